/* Chapter 01: two channels (bits 1 and 2), MESSAGES messages for each, one handler.
   Without a macro: EventFlags.  With the name of one of its variants: that one. */
#ifndef MESSAGES
#define MESSAGES 2
#endif

byte ring[3], flags, finished;
bit irq, busy;

proctype Host(byte relid) {
    byte sent, before;
    bit was_set;
    do
    :: sent < MESSAGES ->
        d_step { before = ring[relid]; ring[relid] = before + 1; sent++ };
        if
        :: before == 0 ->
#ifdef ClearedAfterwardsAlwaysRaised
            flags = flags | (1 << relid);
            irq = 1
#else
            d_step { was_set = (flags >> relid) & 1; flags = flags | (1 << relid) };
            if
            :: !was_set -> irq = 1
            :: else
            fi
#endif
        :: else
        fi
    :: else -> break
    od;
    finished++
}

#define BIT(word) ((word >> relid) & 1)

active proctype Isr() {
    byte word, relid;
end:
    do
    :: atomic { irq && !busy -> irq = 0; busy = 1 };
#if defined(WordCleared)
        word = flags;
        flags = 0;
#elif defined(WordExchanged)
        d_step { word = flags; flags = 0 };
#elif defined(ScanOfACopy)
        word = flags;
#endif
        relid = 1;
        do
        :: relid < 3 ->
#if defined(WordCleared) || defined(WordExchanged)
            if :: BIT(word) -> ring[relid] = 0 :: else fi;
#elif defined(ScanOfACopy)
            if :: BIT(word) -> flags = flags & ~(1 << relid); ring[relid] = 0 :: else fi;
#elif defined(ClearedAfterwards) || defined(ClearedAfterwardsAlwaysRaised)
            word = flags;
            if :: BIT(word) -> ring[relid] = 0; flags = flags & ~(1 << relid) :: else fi;
#else
            d_step { word = flags; flags = flags & ~(1 << relid) };
            if :: BIT(word) -> ring[relid] = 0 :: else fi;
#endif
            relid++
        :: else -> break
        od;
        atomic { busy = 0; word = 0; relid = 0 }
    od
}

active proctype Judge() {
    atomic { run Host(1); run Host(2) };
    timeout ->
    if
    :: finished < 2 -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d\n", ring[1], ring[2]);
        assert(ring[1] == 0 && ring[2] == 0)
    fi
}
