/* Chapter 06: SRCU by two sets of counters. R readers, each once; an updater that replaces an object UPDATES times and
   frees the old one after a grace period.  Without a macro: TwoScans.  With the name of one of its variants: that one. */
#ifndef R
#define R 2
#endif
#ifndef UPDATES
#define UPDATES 2
#endif
#if defined(OneScanOneStep)
#define OneScan
#endif

bit index;
byte came[2 * R], went[2 * R];   /* of reader k: [2k] with index 0, [2k + 1] with index 1 */
byte object, finished;
bit freed[UPDATES + 1];
bit failed;

active [R] proctype Reader() {
    byte i, seen;
#ifdef OneScanOneStep
    atomic { i = index; came[2 * _pid + i]++ };
#else
    i = index;
    came[2 * _pid + i]++;
#endif
    seen = object;
    atomic {
        if
        :: freed[seen] -> failed = 1; assert(!failed); false
        :: else
        fi
    };
    went[2 * _pid + i]++;
    finished++
}

inline sum_came(which) {
    entered = 0; k = 0;
    do
    :: k < R -> atomic { entered = entered + came[2 * k + which]; k++ }
    :: k == R -> break
    od
}

inline sum_went(which) {
    gone = 0; k = 0;
    do
    :: k < R -> atomic { gone = gone + went[2 * k + which]; k++ }
    :: k == R -> break
    od
}

inline drain(which) {
    do
    :: true ->
#ifdef LocksSummedFirst
        sum_came(which); sum_went(which);
#else
        sum_went(which); sum_came(which);
#endif
        if
        :: entered == gone -> break
        :: else
        fi
    od
}

active proctype Updater() {
    byte old, k, entered, gone;
    bit now;
    do
    :: old < UPDATES ->
        object = old + 1;
        now = index;
#if defined(OneScan)
        index = 1 - now; drain(now);
#elif defined(IdleScanOnly)
        drain(1 - now); index = 1 - now;
#elif defined(NoFlip)
        drain(1 - now); drain(now);
#elif defined(FlipBetweenBoth)
        index = 1 - now; drain(now); drain(1 - now);
#else
        drain(1 - now); index = 1 - now; drain(now);
#endif
        freed[old] = 1;
        old++
    :: old == UPDATES -> break
    od;
    finished++
}

active proctype Judge() {
    timeout && !failed ->
    if
    :: finished < R + 1 -> printf("deadlock\n")
    :: else -> printf("outcome %d %d %d\n", index, came[0], came[2 * R - 1])
    fi
}
