/* Chapter 01: the host sends MESSAGES messages into a ring and heeds the guest's mask; the guest reads.
   Without a macro: Batched.  With the name of one of its variants: that one. */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#if defined(Direct) || defined(DirectOnce) || defined(InIsrReadsAll)
#define UNMASKED
#endif
#if defined(DirectOnce) || defined(InIsrNeverUnmasked)
#define READ_ONLY
#endif
#if defined(NeverMasked) || defined(NeverMaskedNoRecheck) || defined(UNMASKED)
#define MASK(MAY) skip
#else
#define MASK(MAY) S(MAY, mask = 1)
#endif
#define S(MAY, what) atomic { MAY -> what }

byte write_index, read_index, finished;
bit mask, flag, irq, busy, scheduled;

active proctype Host() {
    byte old, read;
    bit masked, was_set;
    do
    :: old < MESSAGES ->
#ifdef HostLooksFirst
        masked = mask;
        write_index = old + 1;
#else
        write_index = old + 1;
        masked = mask;
#endif
        if
        :: !masked ->
#ifdef HostAlwaysSignals
            read = old;
#else
            read = read_index;
#endif
            if
            :: read == old ->
                d_step { was_set = flag; flag = 1 };
                if
                :: !was_set -> irq = 1
                :: else
                fi
            :: else
            fi
        :: else
        fi;
        d_step { old++; masked = 0; read = 0; was_set = 0 }
    :: else -> break
    od;
    finished++
}

inline read_until_empty(MAY) {
    S(MAY, write = write_index);
    do
    :: write != read ->
        S(MAY, read_index = write);
        read = write;
        S(MAY, write = write_index)
    :: else -> break
    od
}

active proctype Isr() {
    bit taken;
    byte write, read = 255;
end:
    do
    :: atomic { irq && !busy -> irq = 0; busy = 1 };
        d_step { taken = flag; flag = 0 };
        if
        :: taken ->
#ifdef InIsrReadsAll
            read_until_empty(true)
#else
            MASK(true);
            scheduled = 1
#endif
        :: else
        fi;
        atomic { busy = 0; taken = 0; write = 0; read = 255 }
    od
}

active proctype Tasklet() {
    byte write, read = 255;
    bit more;
end:
    do
    :: atomic { scheduled && !busy -> scheduled = 0 };
#ifdef Direct
        read_until_empty(!busy);
#else
        S(!busy, write = write_index);
        S(!busy, read_index = write);
#ifndef READ_ONLY
#if defined(NoRecheck) || defined(NeverMaskedNoRecheck) || defined(HostAlwaysSignals)
        S(!busy, mask = 0);
#elif defined(RecheckedTooEarly)
        S(!busy, write = write_index);
        S(!busy, more = (write != read_index));
        S(!busy, mask = 0);
#else
        S(!busy, mask = 0);
        S(!busy, write = write_index);
        S(!busy, more = (write != read_index));
#endif
        if
        :: more ->
#ifndef ReadAgainUnmasked
            MASK(!busy);
#endif
            S(!busy, scheduled = 1)
        :: else
        fi;
#endif
#endif
        atomic { write = 0; read = 255; more = 0 }
    od
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 1 -> printf("deadlock\n")
    :: else ->
        printf("outcome %d\n", write_index - read_index);
        assert(write_index == read_index)
    fi
}
