/* Chapter 03: two stores on their way to memory.  Without a macro: BufferedOnce.  With the name of a variant: that one. */
bit contents_on_way, pointer_on_way, contents, pointer;
bit request, pending;
byte used, finished;         /* used: 1 new contents, 2 old contents, 3 no channel */

active proctype Offer() {
    contents_on_way = 1;
    pointer_on_way = 1;
#ifdef BufferedFullBarrier
    !contents_on_way;
    !pointer_on_way;
#endif
    request = 1;
    finished++
}

active proctype ContentsArrive() {
    contents_on_way;
    contents = 1;
    contents_on_way = 0;
    finished++
}

active proctype PointerArrives() {
    pointer_on_way;
#if defined(BufferedRelease) || defined(QueueOnce)
    !contents_on_way;
#endif
    pointer = 1;
    pointer_on_way = 0;
    finished++
}

active proctype Host() {
    request;
    pending = 1;
    finished++
}

active proctype Isr() {
    bit seen;
    pending;
    seen = pointer;
    if
    :: seen -> seen = contents; used = (seen -> 1 : 2)
    :: else -> used = 3
    fi;
    finished++
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 5 -> printf("deadlock\n")
    :: else -> printf("outcome %d\n", used); assert(used == 1)
    fi
}
