/* Chapter 06: the irqfd of June 2009, one event.  VM: the machine is closed.  EVENTFD: the eventfd is.  OWN: who signals
   holds the eventfd's context, not its file.  Without another macro: nothing is changed.  With the name of a change: that. */
#if defined(NoGracePeriodNoFlush)
#define NoGracePeriod
#define NoFlush
#endif
#if defined(MachinePutFirstNoFlush)
#define MachinePutFirst
#define NoFlush
#endif
#define V 0
#define E 1

bit kvm_freed, irqfd_freed, cleaned;     /* cleaned: the counters of its domain are freed */
byte kvm_refs = 2;                       /* the file's, and the irqfd's */
bit pointer = 1;                         /* irqfd->kvm is not NULL */
bit listed = 1, poisoned;
bit mutex, kvm_lock, wqh_lock, hooked = 1;
bit pending, running;                    /* the worker's item */
bit inside, waited_for[2];               /* the worker is in a section; it was when V, or E, called synchronize_srcu */
byte edges, left;                        /* tasks that are not finished */
bit failed;

inline fails_as_uaf() { printf("failure use-after-free\n"); failed = 1; false }
inline fails_as_error() { printf("failure error\n"); failed = 1; false }
inline kvm_is_there() { if :: kvm_freed -> fails_as_uaf() :: else fi }
inline irqfd_is_there() { if :: irqfd_freed -> fails_as_uaf() :: else fi }
inline domain_is_there() { if :: irqfd_freed || cleaned -> fails_as_uaf() :: else fi }

inline lock_kvm() { atomic { !failed && (kvm_freed || !kvm_lock) -> kvm_is_there(); kvm_lock = 1 } }
inline unlock_kvm() { atomic { !failed -> kvm_is_there(); kvm_lock = 0 } }
inline touch_irqfd() { atomic { !failed -> irqfd_is_there() } }

inline put_kvm() {
    atomic {
        !failed -> kvm_is_there();
        if
        :: kvm_refs == 0 -> fails_as_error()
        :: else -> kvm_refs--; last = (kvm_refs == 0)
        fi
    };
    if
    :: last -> last = 0; atomic { !failed -> if :: kvm_freed -> printf("failure double-free\n"); failed = 1; false
                                                :: else -> kvm_freed = 1 fi }
    :: else
    fi
}

inline synchronize(me) {
    atomic { !failed -> domain_is_there(); waited_for[me] = inside; waits = inside };
    if
    :: waits -> atomic { !failed && (irqfd_freed || cleaned || !waited_for[me]) -> domain_is_there(); waits = 0 }
    :: else
    fi
}

inline disconnect(me) {
#ifndef NoMutex
    atomic { !failed && (irqfd_freed || !mutex) -> irqfd_is_there(); mutex = 1 };
#endif
    atomic { !failed -> irqfd_is_there(); seen = pointer };
#ifndef NulledTooLate
    atomic { !failed -> irqfd_is_there(); pointer = 0 };
#endif
#ifndef NoMutex
    atomic { !failed -> irqfd_is_there(); mutex = 0 };
#endif
#ifdef ReadAgain
    atomic { !failed -> irqfd_is_there(); seen = pointer };
#endif
    if
    :: seen ->
        seen = 0;
        lock_kvm();
        atomic {
            !failed -> irqfd_is_there();
            if
            :: poisoned -> fails_as_error()
            :: else -> kvm_is_there(); listed = 0; poisoned = 1
            fi
        };
#ifdef GracePeriodUnderTheLock
        synchronize(me);
#endif
        unlock_kvm();
#if defined(MachinePutFirst)
        put_kvm(); synchronize(me)
#elif defined(NoGracePeriod) || defined(GracePeriodUnderTheLock)
        put_kvm()
#elif defined(NulledTooLate)
        synchronize(me);
        atomic { !failed -> irqfd_is_there(); pointer = 0 };
        put_kvm()
#else
        synchronize(me); put_kvm()
#endif
    :: else
    fi
}

inline signal() {
    atomic { !failed && !wqh_lock -> wqh_lock = 1 };
    atomic { !failed -> told = hooked; if :: told -> irqfd_is_there() :: else fi };
    if
    :: told -> atomic { !failed -> irqfd_is_there(); pending = 1 }
    :: else
    fi;
    atomic { !failed -> wqh_lock = 0 }
}

inline unhook() {
    atomic { !failed && !wqh_lock -> wqh_lock = 1 };
    atomic { !failed -> irqfd_is_there(); hooked = 0 };
    atomic { !failed -> wqh_lock = 0 }
}

inline flush() {                         /* there is one event, so there is one injection to wait for */
    atomic { !failed -> irqfd_is_there(); waits = pending || running };
    if
    :: waits -> atomic { !failed && !pending && !running -> waits = 0 }
    :: else
    fi
}

active proctype Device() {
    bit told, seen, waits, last;
    left++;
#ifndef OWN
    signal();
#endif
#ifdef EVENTFD
    touch_irqfd();                       /* finds it on the queue */
    touch_irqfd();                       /* looks where it is hooked */
#if defined(FlushedThenUnhooked)
    flush(); unhook();
#elif defined(NoFlush)
    unhook();
#elif defined(FlushUnderTheLock)
    unhook();
    atomic { !failed -> irqfd_is_there(); seen = pointer };
    if
    :: seen -> seen = 0; lock_kvm(); flush(); unlock_kvm()
    :: else
    fi;
#else
    unhook(); flush();
#endif
    disconnect(E);
    atomic { !failed -> domain_is_there(); if :: inside -> fails_as_error() :: else -> cleaned = 1 fi };
    atomic { !failed -> irqfd_freed = 1 };
#endif
    atomic { !failed -> left-- }
}

#ifdef OWN
active proctype Signaller() {
    bit told;
    left++;
    signal();
    atomic { !failed -> left-- }
}
#endif

#ifdef VM
active proctype Vmm() {
    bit seen, waits, last, found;
    left++;
    atomic { !failed -> kvm_is_there(); found = listed };
    if
    :: found ->
        atomic { !failed -> irqfd_is_there(); if :: !listed -> fails_as_error() :: else fi };
        disconnect(V)
    :: else
    fi;
    put_kvm();
    atomic { !failed -> left-- }
}
#endif

inline inject() {
    lock_kvm();
    atomic { !failed -> kvm_is_there(); edges++ };
    atomic { !failed -> kvm_is_there() }
}

active proctype Worker() {
    bit seen;
end:
    do
    :: atomic { pending && !failed -> irqfd_is_there(); pending = 0; running = 1 };
        atomic { !failed -> domain_is_there(); inside = 1 };
        atomic { !failed -> irqfd_is_there(); seen = pointer };
#ifdef InjectReadsAgain
        if
        :: seen -> atomic { !failed -> irqfd_is_there();
                            if :: !pointer -> printf("failure assertion\n"); failed = 1; false :: else fi }
        :: else
        fi;
#endif
#ifdef ReaderLeavesEarly
        atomic { !failed -> domain_is_there(); inside = 0; waited_for[V] = 0; waited_for[E] = 0;
                 if :: !seen -> running = 0 :: else fi };
        if
        :: seen -> seen = 0; inject(); atomic { !failed -> kvm_is_there(); kvm_lock = 0; running = 0 }
        :: else
        fi
#else
        if
        :: seen -> seen = 0; inject(); unlock_kvm()
        :: else
        fi;
        atomic { !failed -> domain_is_there(); inside = 0; waited_for[V] = 0; waited_for[E] = 0; running = 0 }
#endif
    od
}

active proctype Judge() {
    bit closed_vm, closed_eventfd, own;
#ifdef VM
    closed_vm = 1;
#endif
#ifdef EVENTFD
    closed_eventfd = 1;
#endif
#ifdef OWN
    own = 1;
#endif
    timeout && !failed ->
    if
    :: left > 0 || pending || running -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d %d\n", kvm_freed, irqfd_freed, listed, edges);
        if :: kvm_freed != closed_vm -> printf("failure at_end\n") :: else fi;
        if :: irqfd_freed != closed_eventfd -> printf("failure at_end\n") :: else fi;
        if :: !closed_vm && !(closed_eventfd && own) && edges == 0 -> printf("failure at_end\n") :: else fi
    fi
}
