/* The last reference to object 0 is put while its number is registered again, for object 1.
   DIRECT, DEFERRED: how many puts of each kind there are. A direct one takes the lock after the count has come to zero,
   or, UNDER_LOCK, before; a deferred one leaves it to whoever goes through the table later.
   EVICTS: the registration frees a dead object that it finds.  OWN_ONLY: who erases looks whether it is still object 0.
   BY_COUNT: who goes through the table looks at the count, else at a mark.  LOOKS: reads the count, and puts then.
   ALWAYS: every direct put takes the lock.  NOBODY_MAPS: there is no registration. */
#ifndef DIRECT
#define DIRECT 0
#endif
#ifndef DEFERRED
#define DEFERRED 0
#endif
#define NOTHING 2

byte table_entry = 0, mapped = NOTHING;
byte count = DIRECT + DEFERRED;         /* of object 0 */
bit lock, list_lock, marked, given, new_freed;
byte finished;
bit failed;

#define DOUBLE failed = 1; printf("failure double-free\n"); false

inline free_old() {
    atomic {
        if
        :: given -> DOUBLE
        :: else -> given = 1
        fi
    }
}

inline erase() {
#ifdef OWN_ONLY
    atomic {
        if
        :: table_entry == 0 -> table_entry = NOTHING
        :: else -> skip
        fi
    }
#else
    table_entry = NOTHING
#endif
}

#ifndef NOBODY_MAPS
active proctype Register() {
    byte old;
    bit got;
    atomic { !lock -> lock = 1 };
    old = table_entry;
    if
    :: old == 0 ->
        atomic {
            if
            :: count > 0 -> count++; got = 1
            :: else -> skip
            fi
        }
    :: else -> skip
    fi;
    if
    :: got -> skip
    :: else ->
        table_entry = 1;
#ifdef EVICTS
        if
        :: old == 0 -> free_old()
        :: else -> skip
        fi
#endif
    fi;
    lock = 0;
    if
    :: got -> new_freed = 1; mapped = 0
    :: else -> mapped = 1
    fi;
    finished++
}
#endif

#if DIRECT > 0
active [DIRECT] proctype Direct() {
    bit last, done;
#ifdef LOOKS
    if
    :: atomic { count > 1 -> skip };
       count--;
       done = 1
    :: atomic { count <= 1 -> skip }
    fi;
#endif
#if defined(UNDER_LOCK) && !defined(LOOKS) && !defined(ALWAYS)
    atomic {
        if
        :: count > 1 -> count--; done = 1
        :: else -> skip
        fi
    };
#endif
#ifdef UNDER_LOCK
#ifdef LOOKS
    if
    :: done -> skip
    :: else ->
        atomic {
            if
            :: count > 1 -> count--; done = 1
            :: else -> skip
            fi
        }
    fi;
#endif
    if
    :: done -> skip
    :: else ->
        atomic { !lock -> lock = 1 };
        atomic { count--; last = (count == 0) };
        if
        :: last -> erase()
        :: else -> skip
        fi;
        lock = 0;
        if
        :: last -> free_old()
        :: else -> skip
        fi
    fi;
#else
    atomic { count--; last = (count == 0) };
    if
    :: last ->
        atomic { !lock -> lock = 1 };
        erase();
        lock = 0;
        free_old()
    :: else -> skip
    fi;
#endif
    finished++
}
#endif

#if DEFERRED > 0
active [DEFERRED] proctype Deferred() {
    bit last, dead;
    atomic { !list_lock -> list_lock = 1 };
    atomic { count--; last = (count == 0) };
#ifndef BY_COUNT
    if
    :: last -> marked = 1
    :: else -> skip
    fi;
#endif
    list_lock = 0;
    if
    :: last ->
        atomic { !lock -> lock = 1 };
        if
        :: table_entry == 0 ->
#ifdef BY_COUNT
            dead = (count == 0);
#else
            dead = marked;
#endif
            if
            :: dead -> table_entry = NOTHING; free_old()
            :: else -> skip
            fi
        :: else -> skip
        fi;
        lock = 0
    :: else -> skip
    fi;
    finished++
}
#endif

#ifdef NOBODY_MAPS
#define ALL (DIRECT + DEFERRED)
#else
#define ALL (DIRECT + DEFERRED + 1)
#endif

active proctype Judge() {
    timeout && !failed ->
    if
    :: finished < ALL -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d %d\n", mapped, table_entry, given, new_freed);
        if
        :: !given && table_entry != 0 && mapped != 0 -> printf("failure leak\n")
        :: else -> skip
        fi;
        assert(mapped == table_entry);
        assert(new_freed <= 1)  /* Spin forgets what is only printed */
    fi
}
