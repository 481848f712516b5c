/* Chapter 03: from the offer to the first interrupt.
   Without a macro: OpenChain.  With the name of one of its variants: that one. */
bit mapped, callback, queued, request, answer;
bit flag, pending, busy;
byte ring, finished;

inline ask_host() { request = 1 }

active proctype Offer() {
#ifdef QueuedBeforeMapped
    queued = 1;
    mapped = 1;
#else
    mapped = 1;
    queued = 1;
#endif
    finished++
}

active proctype Work() {
    queued;
#ifdef CallbackAfterOpen
    ask_host();
    callback = 1;
#else
    callback = 1;
    ask_host();
#endif
    answer;
    finished++
}

inline host_sends() {
    d_step { before = ring; ring++ };
    if
    :: before == 0 -> flag = 1; pending = 1
    :: else
    fi
}

active proctype Host() {
    byte before;
#ifdef HostSignalsEarly
    host_sends();
    request;
    answer = 1;
#else
    request;
    answer = 1;
    host_sends();
#endif
    finished++
}

active proctype AnotherChannel() {
    pending = 1;
    finished++
}

active proctype Isr() {
    bit taken, seen, calls;
end:
    do
    :: atomic { pending -> pending = 0; busy = 1 };
#ifdef LooksUpFirst
        seen = mapped;
#endif
        d_step { taken = flag; flag = 0 };
        if
        :: taken ->
#ifndef LooksUpFirst
            seen = mapped;
#endif
            if
            :: seen ->
                calls = callback;
                if
                :: calls -> ring = 0
                :: else
                fi
            :: else
            fi
        :: else
        fi;
        d_step { taken = 0; seen = 0; calls = 0; busy = 0 }
    od
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 4 -> printf("deadlock\n")
    :: else -> printf("outcome %d\n", ring); assert(ring == 0)
    fi
}
