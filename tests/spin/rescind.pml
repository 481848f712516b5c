/* Chapter 04: an offer, taken back while the guest is at work on it; the code of 2015 and the strategies of the thread.
   Without a macro: OfferAndRescind.  With the name of one of its variants: that one.
   ONE_CPU: the channel is freed on the queue that handles the messages.  OPENS: the driver waits for the host.
   KEPT: the host does not take its offer back.  LUCKY: the device can always be made. */
#if defined(GetPut) || defined(NeverFree) || defined(DelayedFree) || defined(FlagAndRemove) \
    || defined(GetTooLate) || defined(PutFirst)
#define LinkedFirst
#endif
#ifdef LinkedFirst
#define AnswersOnFailure
#endif
#ifdef AnswersOnFailure
#define UnlinksOnFailure
#endif
#if defined(GetPut) || defined(GetTooLate) || defined(PutFirst)
#define COUNTED
#endif

mtype = { offer, rescind, offer_work, rescind_work, release };
chan work_queue = [3] of { mtype };      /* of the connection; handles one after the other */
chan controlwq = [2] of { mtype };       /* the channel's own, the same */
chan freeing = [1] of { mtype };
bit work_busy, control_busy;
#ifdef ONE_CPU
#define FREEING work_queue
#else
#define FREEING freeing
#endif

byte left = 2;                           /* what has been begun or queued, and is not finished */
byte released, refs = 1, answers;
bit taken_back, allocated, freed, listed, list_lock;
bit rescinded, offer_done, device, channel_lock;      /* in the channel */
bit failed;

inline alive() {                         /* whoever uses the channel now */
    if
    :: freed -> printf("failure use-after-free\n"); failed = 1; false
    :: else
    fi
}

inline queue(q, item) { atomic { !failed -> left++; q!item } }
inline take_list() { atomic { !list_lock && !failed -> list_lock = 1 } }
inline take_channel() { atomic { (freed || !channel_lock) && !failed -> alive(); channel_lock = 1 } }
inline drop_channel() { atomic { !failed -> alive(); channel_lock = 0 } }
inline use() { atomic { !failed -> alive() } }

inline link() { take_list(); listed = 1; list_lock = 0 }
inline unlink() { take_list(); listed = 0; list_lock = 0 }
inline tell_host() { use(); released++ }

inline put() {
    atomic {
        !failed -> alive();
        if
        :: refs == 0 -> printf("failure error\n"); failed = 1; false
        :: else -> refs--; last = (refs == 0)
        fi
    };
    if
    :: last -> queue(FREEING, release)
    :: else
    fi;
    last = 0
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

inline free_channel() {
#if defined(COUNTED)
    put()
#elif defined(NeverFree)
    skip
#elif defined(DelayedFree)
    queue(freeing, release)
#else
    queue(FREEING, release)
#endif
}

inline remove_channel() {
    tell_host();
#ifdef PutFirst
    free_channel(); unlink()
#else
    unlink(); free_channel()
#endif
}

inline device_unregister() {
    atomic {
        !failed -> alive();
        if
        :: !device -> printf("failure assertion\n"); failed = 1; false
        :: else -> device = 0
        fi
    };
#ifdef FlagAndRemove
    remove_channel()
#endif
}

active proctype Host() {
#ifndef KEPT
    taken_back = 1;
#endif
    left--
}

active proctype Messages() {
    queue(work_queue, offer);
#ifndef KEPT
    taken_back && !failed;
    queue(work_queue, rescind);
#endif
    atomic { !failed -> left-- }
}

active proctype OnOffer() {
end:
    atomic { work_queue?[offer] && !work_busy && !failed -> work_queue?offer; work_busy = 1 };
    allocated = 1;
#ifdef LinkedFirst
    link();
#endif
    queue(controlwq, offer_work);
    d_step { work_busy = 0; left-- }
}

active proctype OfferWork() {
    bit last, seen;
end:
    atomic { controlwq?[offer_work] && !control_busy && !failed -> controlwq?offer_work; control_busy = 1 };
#ifndef LinkedFirst
    link();
#endif
    if
#ifndef LUCKY
    :: true ->                           /* no device can be made */
#if defined(AnswersOnFailure)
        remove_channel()
#elif defined(UnlinksOnFailure)
        unlink(); free_channel()
#else
        free_channel()
#endif
    :: true ->                           /* it cannot be registered */
#ifdef AnswersOnFailure
        remove_channel()
#else
        unlink(); free_channel()
#endif
#endif
    :: true ->
        atomic { !failed -> alive(); device = 1 };
#ifdef OPENS
        use();
        if
        :: !taken_back -> atomic { alive(); answers++ }
        :: taken_back
        fi;
        atomic { answers > 0 && !failed -> alive(); answers-- };
#endif
        take_channel();
        atomic { !failed -> alive(); offer_done = 1 };
        atomic { !failed -> alive(); seen = rescinded };
#ifdef FlagAndRemove
        drop_channel();
        if
        :: seen -> device_unregister()
        :: else
        fi
#else
        if
        :: seen -> use(); queue(controlwq, rescind_work)
        :: else
        fi;
        drop_channel()
#endif
    fi;
    d_step { control_busy = 0; left-- }
}

active proctype OnRescind() {
    bit found, seen, last;
end:
    atomic { work_queue?[rescind] && !work_busy && !failed -> work_queue?rescind; work_busy = 1 };
    take_list();
    if
    :: listed ->
        use();                           /* looks at its relid */
#if defined(COUNTED) && !defined(GetTooLate)
        get();
#endif
        found = 1
    :: !listed
    fi;
    list_lock = 0;
    if
    :: found ->
#ifdef GetTooLate
        get();
#endif
        take_channel();
        atomic { !failed -> alive(); rescinded = 1 };
        atomic { !failed -> alive(); seen = offer_done };
#ifdef FlagAndRemove
        drop_channel();
        if
        :: seen -> device_unregister()
        :: else
        fi
#else
        if
        :: seen -> use(); queue(controlwq, rescind_work)
        :: else
        fi;
        drop_channel()
#endif
#ifdef COUNTED
        ; put()
#endif
    :: else
    fi;
    d_step { work_busy = 0; left-- }
}

active proctype RescindWork() {
    bit last;
end:
    atomic { controlwq?[rescind_work] && !control_busy && !failed -> controlwq?rescind_work; control_busy = 1 };
    device_unregister();
    remove_channel();
    d_step { control_busy = 0; left-- }
}

active proctype Release() {
end:
#if defined(ONE_CPU) && !defined(DelayedFree)
    atomic { work_queue?[release] && !work_busy && !failed -> work_queue?release; work_busy = 1 };
#else
    atomic { freeing?[release] && !failed -> freeing?release };
#endif
    !control_busy && empty(controlwq) && !failed;      /* destroys the channel's queue */
    atomic {
        !failed ->
        if
        :: freed -> printf("failure double-free\n"); failed = 1; false
        :: else -> freed = 1
        fi
    };
    d_step {
#if defined(ONE_CPU) && !defined(DelayedFree)
        work_busy = 0;
#endif
        left--
    }
}

active proctype Judge() {
    timeout && !failed ->
    if
    :: left > 0 -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d\n", released, listed, freed);
#ifndef KEPT
        if :: released != 1 -> printf("failure at_end\n") :: else fi;
#endif
        if :: listed && freed -> printf("failure at_end\n") :: else fi;
        if :: allocated && !freed && !listed -> printf("failure leak\n") :: else fi
    fi
}
