/* Chapter 04: one queue for offers and rescinds, and then a queue for rescinds alone.
   Without a macro: OneQueue.  With the name of one of its variants: that one.  OPENS: the driver waits for the host. */
#if defined(CountedDownTooEarly) || defined(WokenTooLate) || defined(ReferencedTooLate) || defined(NotWaitedForProbe)
#define Referenced
#endif
#ifdef Referenced
#define CountedDownEarly
#endif
#if defined(OwnRescindQueue) || defined(CountedDownAlways) || defined(CountedDownEarly)
#define OWN_QUEUE
#endif
#if defined(OWN_QUEUE) || defined(OneQueueRcu)
#define BY_RCU
#endif

bit offer_there, rescind_there;          /* in a queue, not taken up yet */
bit busy;                                /* the one queue is at work */
byte left = 2;                           /* what has been begun or queued, and is not finished */
byte released, refs = 1, answers, in_progress;
bit taken_back, allocated, freed, listed, list_lock;
bit probe_done, device;
bit free_later, gone_on = 1;             /* kfree_rcu was called; whoever held the lock then has left it */
bit failed;

inline alive() {
    if
    :: freed -> printf("failure use-after-free\n"); failed = 1; false
    :: else
    fi
}
inline use() { atomic { !failed -> alive() } }
inline lock() { atomic { !list_lock && !failed -> list_lock = 1 } }
inline unlock() { atomic { !failed -> list_lock = 0; gone_on = 1 } }
inline unlink() { lock(); listed = 0; unlock() }

inline free_it() {
#ifdef BY_RCU
    atomic {
        !failed ->
        if
        :: freed || free_later -> printf("failure double-free\n"); failed = 1; false
        :: else -> free_later = 1; gone_on = !list_lock; left++
        fi
    }
#else
    atomic {
        !failed ->
        if
        :: freed -> printf("failure double-free\n"); failed = 1; false
        :: else -> freed = 1
        fi
    }
#endif
}

inline free_channel() {
#ifdef Referenced
    atomic {
        !failed -> alive();
        if
        :: refs == 0 -> printf("failure error\n"); failed = 1; false
        :: else -> refs--; last = (refs == 0)
        fi
    };
    if
    :: last -> last = 0; free_it()
    :: else
    fi
#else
    free_it()
#endif
}

inline get() {
    atomic {
        !failed -> alive();
        if
        :: refs == 0 -> printf("failure error\n"); failed = 1; false
        :: else -> refs++
        fi
    }
}

inline remove_channel() { use(); released++; unlink(); free_channel() }

inline process_rescind() {
    atomic {
        !failed -> alive();
        if
        :: !device -> printf("failure assertion\n"); failed = 1; false
        :: else -> device = 0
        fi
    };
    remove_channel()
}

inline after_failure() {
#ifdef CountedDownEarly
    atomic { !failed -> alive(); probe_done = 1 };
#endif
#ifdef OneQueueAlone
    skip
#else
    remove_channel()
#endif
#ifdef CountedDownAlways
    ; in_progress--
#endif
}

active proctype Host() { taken_back = 1; left-- }

active proctype Messages() {
#ifdef OWN_QUEUE
    in_progress++;
#endif
    atomic { offer_there = 1; left++ };
    taken_back && !failed;
    atomic { rescind_there = 1; left++ };
    atomic { !failed -> left-- }
}

active proctype Offer() {
    bit last;
end:
    atomic { offer_there && !failed -> offer_there = 0; busy = 1 };
    allocated = 1;
#ifdef CountedDownTooEarly
    in_progress--;
#endif
    lock();
#if defined(CountedDownEarly) && !defined(CountedDownTooEarly)
    in_progress--;
#endif
    listed = 1;
    unlock();
    if
    :: true ->                           /* no device can be made */
#ifdef OneQueueAlone
        free_channel();
#endif
        after_failure()
    :: true ->                           /* it cannot be registered */
#ifdef OneQueueAlone
        unlink(); free_channel();
#endif
        after_failure()
    :: true ->
        atomic { !failed -> alive(); device = 1 };
#ifdef OPENS
        use(); use();
        if
        :: !taken_back -> atomic { !failed -> alive(); answers++ }
        :: taken_back
        fi;
        atomic { (freed || answers > 0) && !failed -> alive(); answers-- };
#endif
#if defined(CountedDownEarly)
        atomic { !failed -> alive(); probe_done = 1 }
#elif defined(OWN_QUEUE)
        in_progress--
#else
        skip
#endif
    fi;
    d_step { busy = 0; left-- }
}

active proctype Rescind() {
    bit found, last, seen;
end:
#ifdef OWN_QUEUE
    atomic { rescind_there && !failed -> rescind_there = 0 };
    in_progress == 0 && !failed;
#else
    atomic { rescind_there && !offer_there && !busy && !failed -> rescind_there = 0; busy = 1 };
#endif
    lock();
    if
    :: listed ->
        use();                           /* looks at its relid */
#if defined(Referenced) && !defined(ReferencedTooLate)
        get();
#endif
        found = 1
    :: !listed
    fi;
    unlock();
    if
    :: found ->
#ifdef OWN_QUEUE
#ifndef WokenTooLate
        use();
        atomic { !failed -> alive(); answers++ };
#endif
#ifdef ReferencedTooLate
        get();
#endif
#if defined(CountedDownEarly) && !defined(NotWaitedForProbe)
        atomic { (freed || probe_done) && !failed -> alive() };
#endif
#ifdef WokenTooLate
        use();
        atomic { !failed -> alive(); answers++ };
#endif
#endif
#ifdef CountedDownEarly
        atomic { !failed -> alive(); seen = device };
        if
        :: seen -> process_rescind()
        :: else
        fi;
#ifdef Referenced
        free_channel()
#else
        skip
#endif
#else
        process_rescind()
#endif
    :: else ->
#ifdef AnswersTooOften
        released++
#else
        skip
#endif
    fi;
    d_step {
#ifndef OWN_QUEUE
        busy = 0;
#endif
        left--
    }
}

active proctype Grace() {
end:
    atomic { free_later && gone_on && !failed -> freed = 1; left-- }
}

active proctype Judge() {
    timeout && !failed ->
    if
    :: left > 0 -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d\n", released, listed, freed);
        if :: released != 1 -> printf("failure at_end\n") :: else fi;
        if :: listed && freed -> printf("failure at_end\n") :: else fi;
        if :: allocated && !freed && !listed -> printf("failure leak\n") :: else fi
    fi
}
