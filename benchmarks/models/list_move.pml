/* An item is moved from list 0 to list 1, in two steps; R readers look on list 0, then on list 1, and count if they miss it. */
bit list0 = 1, list1;
byte missed, finished;

#define DONE finished++; if :: finished == R + 1 -> assert(missed == 0) :: else fi

active proctype Mover() {
    list0 = 0;
    d_step { list1 = 1; DONE }
}

active [R] proctype Reader() {
    if
    :: d_step { list0 -> DONE }
    :: !list0 ->
        if
        :: d_step { list1 -> DONE }
        :: !list1 -> d_step { missed++; DONE }
        fi
    fi
}
