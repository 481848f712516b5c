/* Two processes take two locks in opposite orders.  SAME_ORDER: in the same one. */
bit lock[2];
byte finished;

active [2] proctype Worker() {
#ifdef SAME_ORDER
    byte first = 0;
#else
    byte first = _pid;
#endif
    atomic { !lock[first] -> lock[first] = 1 };
    atomic { !lock[1 - first] -> lock[1 - first] = 1 };
    lock[1 - first] = 0;
    lock[first] = 0;
    finished++
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 2 -> printf("deadlock\n")
    :: else -> printf("outcome\n")
    fi
}
