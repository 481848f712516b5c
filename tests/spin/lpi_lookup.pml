/* A reader looks an object up and uses it; another CPU puts the mapping's reference. Who puts the last one takes the
   entry out, under a lock, and has the object freed when the readers of that moment are gone.
   READER_IS_TASK: else the reader is a handler, which is a reader of RCU from its first step to its last.
   NO_READ_LOCK, NO_UNLESS_ZERO, FREED_AT_ONCE, ERASED_AFTER_FREE, NO_REFERENCE (used outside of the section, never counted),
   INSIDE (the same, used inside).  ONE_LOCK: every get and put is done under one lock, without RCU. */
bit entry = 1, freed, given;        /* given: it is to be freed */
bit waited_for[2];                  /* by the grace period: the reader, and who puts the mapping's reference */
bit reads[2];                       /* is a reader now */
byte count = 1, finished;
bit lock, used;
bit failed;

#define UAF failed = 1; printf("failure use-after-free\n"); false
#define ERROR failed = 1; printf("failure error\n"); false

inline enter(me) { reads[me] = 1 }
inline leave(me) { d_step { reads[me] = 0; waited_for[me] = 0 } }

inline take(me, handler) {          /* who holds a spin lock is a reader, too */
    atomic { !lock -> lock = 1; reads[me] = 1 }
}
inline give(me, handler) {
    d_step {
        lock = 0;
        if
        :: handler -> skip
        :: else -> reads[me] = 0; waited_for[me] = 0
        fi
    }
}

inline erase(me, handler) {
#ifdef ONE_LOCK
    entry = 0
#else
    take(me, handler);
    entry = 0;
    give(me, handler)
#endif
}

inline free() {
#if defined(ONE_LOCK) || defined(FREED_AT_ONCE)
    freed = 1
#else
    d_step { given = 1; waited_for[0] = reads[0]; waited_for[1] = reads[1] }
#endif
}

inline put(me, handler) {
#ifdef ONE_LOCK
    take(me, handler);
#endif
    atomic {
        if
        :: freed -> UAF
        :: else -> count--; last = (count == 0)
        fi
    };
    if
    :: last ->
#ifdef ERASED_AFTER_FREE
        free();
        erase(me, handler)
#else
        erase(me, handler);
        free()
#endif
    :: else -> skip
    fi;
#ifdef ONE_LOCK
    give(me, handler);
#endif
}

inline use() {
    atomic {
        if
        :: freed -> UAF
        :: else -> used = 1
        fi
    }
}

active proctype Reader() {
    bit found, last, handler;
#ifndef READER_IS_TASK
    handler = 1;
    enter(0);
#endif
#ifdef ONE_LOCK
    take(0, handler);
#else
#if defined(READER_IS_TASK) && !defined(NO_READ_LOCK)
    enter(0);
#endif
#endif
    found = entry;
#if !defined(NO_REFERENCE) && !defined(INSIDE)
    if
    :: found ->
        atomic {
            if
            :: freed -> UAF
            :: !freed && count == 0 ->
#ifdef NO_UNLESS_ZERO
                ERROR
#else
                found = 0
#endif
            :: else -> count++
            fi
        }
    :: else -> skip
    fi;
#endif
#ifdef INSIDE
    if
    :: found -> use()
    :: else -> skip
    fi;
#endif
#ifdef ONE_LOCK
    give(0, handler);
#else
#if defined(READER_IS_TASK) && !defined(NO_READ_LOCK)
    leave(0);
#endif
#endif
#ifndef INSIDE
    if
    :: found ->
        use();
#ifndef NO_REFERENCE
        put(0, handler)
#endif
    :: else -> skip
    fi;
#endif
#ifndef READER_IS_TASK
    leave(0);
#endif
    finished++
}

active proctype Discard() {
    bit last;
    put(1, 0);
    finished++
}

active proctype GracePeriod() {
    atomic { given && !waited_for[0] && !waited_for[1] && !failed -> freed = 1 }
}

active proctype Judge() {
    timeout && !failed ->
    if
    :: finished < 2 -> printf("deadlock\n")
    :: else -> printf("outcome %d %d %d\n", entry, used, freed); assert(used <= 1)  /* Spin forgets what is only printed */
    fi
}
