/* A writer publishes a new object, waits for the readers of before, and frees the old one, ROUNDS times;
   two readers read through the pointer, each in two sections.
   NO_WAIT: frees without waiting.  LATE_UNPUBLISH: waits first, and publishes then. */
#define READERS 2
#ifndef ROUNDS
#define ROUNDS 1
#endif

byte current;              /* which object is published; object k holds the value k */
bit freed[ROUNDS + 1];
bit inside[READERS];
bit waited_for[READERS];   /* was inside when the grace period began, and has not left since */
byte sum[READERS], finished;
bit failed;                /* a freed object was read: nothing after that counts */

active [READERS] proctype Reader() {   /* their _pid is 0 and 1 */
    byte seen, section;
    do
    :: section < 2 ->
        inside[_pid] = 1;
        seen = current;
        atomic {
            if
            :: freed[seen] -> failed = 1; assert(!failed); false
            :: else -> sum[_pid] = sum[_pid] * 4 + seen + 1
            fi
        };
        d_step { inside[_pid] = 0; waited_for[_pid] = 0 };
        section++
    :: section == 2 -> break
    od;
    finished++
}

active proctype Writer() {
    byte old;
    do
    :: old < ROUNDS ->
#ifndef LATE_UNPUBLISH
        current = old + 1;
#endif
#ifndef NO_WAIT
        d_step { waited_for[0] = inside[0]; waited_for[1] = inside[1] };
        !waited_for[0] && !waited_for[1];
#endif
#ifdef LATE_UNPUBLISH
        current = old + 1;
#endif
        freed[old] = 1;
        old++
    :: old == ROUNDS -> break
    od;
    finished++
}

active proctype Judge() {
    timeout && !failed ->
    if
    :: finished < READERS + 1 -> printf("deadlock\n")
    :: else -> printf("outcome %d %d\n", sum[0], sum[1])
    fi
}
