/* T processes add 1 to one counter, N times each.
   Default: a read and a write.  ATOMIC: one step.  LOCKED: a lock around the two. */
#ifndef T
#define T 2
#endif
#ifndef N
#define N 1
#endif

byte count, finished;
bit lock;

active [T] proctype Worker() {
    byte value, n;
    do
    :: n < N ->
#ifdef ATOMIC
        count++;
#else
#ifdef LOCKED
        atomic { !lock -> lock = 1 };
#endif
        value = count;
        count = value + 1;
        value = 0;
#ifdef LOCKED
        lock = 0;
#endif
#endif
        n++
    :: n == N -> break
    od;
    finished++
}

active proctype Judge() {
    timeout ->              /* nobody else can go on */
    if
    :: finished < T -> printf("deadlock\n")
    :: else -> printf("outcome %d\n", count); assert(count == T * N)
    fi
}
