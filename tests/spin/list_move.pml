/* An item is moved from list 0 to list 1, in two steps; R readers look on list 0, then on list 1.
   PUT_ON_FIRST: the two steps the other way round. */
#ifndef R
#define R 2
#endif

bit list0 = 1, list1;
byte missed, finished;

active proctype Mover() {
#ifdef PUT_ON_FIRST
    list1 = 1;
    list0 = 0;
#else
    list0 = 0;
    list1 = 1;
#endif
    finished++
}

active [R] proctype Reader() {
    bit found;
    found = list0;
    if
    :: !found -> found = list1
    :: else
    fi;
    if
    :: !found -> missed++
    :: else
    fi;
    finished++
}

active proctype Judge() {
    timeout ->
    if
    :: finished < R + 1 -> printf("deadlock\n")
    :: else -> printf("outcome %d\n", missed); assert(missed == 0)
    fi
}
