/* Chapter 06: the irqfd that was merged in 2009, one event; the machine is closed (VM), the eventfd (EVENTFD), or both.
   Without another macro: Merged.  With the name of a change: that. */
bit kvm_freed, irqfd_freed, ctx_freed;
#ifdef NoContextReference
byte ctx_refs = 1;
#else
byte ctx_refs = 2;                       /* the file's, and the irqfd's */
#endif
bit listed = 1, poisoned, hooked = 1;
byte wqh_lock, irqfds_lock;              /* who holds it: 1 device, 2 vmm, 3 the worker that frees */
bit pending, running;                    /* the injection */
bit sh_pending, sh_running;              /* the work that frees */
byte vmm_waits;                          /* in flush_workqueue: 1 for one that is pending, 2 for one that runs */
byte edges, left;
bit failed;

inline fails_as_uaf() { printf("failure use-after-free\n"); failed = 1; false }
inline fails_as_error() { printf("failure error\n"); failed = 1; false }
inline kvm_is_there() { if :: kvm_freed -> fails_as_uaf() :: else fi }
inline irqfd_is_there() { if :: irqfd_freed -> fails_as_uaf() :: else fi }
inline ctx_is_there() { if :: ctx_freed -> fails_as_uaf() :: else fi }

inline lock_wqh(me) { atomic { !failed && (ctx_freed || !wqh_lock) -> ctx_is_there(); wqh_lock = me } }
inline unlock_wqh() { atomic { !failed -> ctx_is_there(); wqh_lock = 0 } }
inline lock_irqfds(me) { atomic { !failed && (kvm_freed || !irqfds_lock) -> kvm_is_there(); irqfds_lock = me } }
inline unlock_irqfds() { atomic { !failed -> kvm_is_there(); irqfds_lock = 0 } }

inline put_ctx() {
    atomic { !failed -> ctx_is_there(); ctx_refs--; last = (ctx_refs == 0) };
    if
    :: last -> last = 0; atomic { !failed -> ctx_freed = 1 }
    :: else
    fi
}

inline walk() {                          /* looks who is to be told */
    atomic { !failed -> ctx_is_there(); told = hooked; if :: told -> irqfd_is_there() :: else fi }
}

inline take_off() {
    atomic {
        !failed -> irqfd_is_there();
#ifdef ListDel
        if :: poisoned -> fails_as_error() :: else fi;
        kvm_is_there(); listed = 0; poisoned = 1
#else
        if :: listed -> kvm_is_there(); listed = 0 :: else fi
#endif
    }
}

inline deactivate() {
    take_off();
    atomic { !failed -> irqfd_is_there(); sh_pending = 1 }
}

inline shut_down(me) {
    atomic { !failed -> irqfd_is_there() };                /* looks where it is hooked */
#ifdef FlushedFirst
    flush();
#endif
    lock_wqh(me);
    atomic {
        !failed -> ctx_is_there(); irqfd_is_there();
        if :: !hooked -> fails_as_error() :: else -> hooked = 0 fi
    };
    unlock_wqh();
#ifdef ContextPutFirst
    put_ctx(); flush();
#else
#if !defined(NotFlushed) && !defined(FlushedFirst)
    flush();
#endif
#ifndef NoContextReference
    put_ctx();
#endif
#endif
}

inline flush() {                         /* one event: one injection */
    atomic { !failed -> irqfd_is_there(); waits = pending || running };
    if
    :: waits -> atomic { !failed && !pending && !running -> waits = 0 }
    :: else
    fi
}

inline free_irqfd() { if :: irqfd_freed -> printf("failure double-free\n"); failed = 1; false :: else -> irqfd_freed = 1 fi }

active proctype Device() {
    bit told, active_, last, waits;
    left++;
    lock_wqh(1);
    walk();
    if
    :: told -> atomic { !failed -> irqfd_is_there(); pending = 1 }
    :: else
    fi;
    unlock_wqh();
#ifdef EVENTFD
#ifndef HangupToldUnlocked
    lock_wqh(1);
#endif
    walk();
    if
    :: told ->
        told = 0;
#ifndef HangupTakesNoLock
        atomic { !failed -> irqfd_is_there() };            /* fetches the machine */
        lock_irqfds(1);
#endif
#ifdef NotTested
        active_ = 1;
#else
        atomic { !failed -> irqfd_is_there(); active_ = listed || poisoned };
#endif
#ifdef ShutDownAtOnce
        if
        :: active_ -> take_off()
        :: else
        fi;
        unlock_irqfds();
        if
        :: active_ -> shut_down(1); atomic { !failed -> free_irqfd() }
        :: else
        fi
#else
        if
        :: active_ -> deactivate()
        :: else
        fi;
#ifndef HangupTakesNoLock
        unlock_irqfds()
#else
        skip
#endif
#endif
    :: else
    fi;
#ifndef HangupToldUnlocked
    unlock_wqh();
#endif
    put_ctx();
#endif
    atomic { !failed -> left-- }
}

#ifdef VM
active proctype Vmm() {
    bit found;
    left++;
    lock_irqfds(2);
    atomic { !failed -> kvm_is_there(); found = listed };
    if
    :: found ->
        atomic { !failed -> irqfd_is_there(); if :: !listed -> fails_as_error() :: else fi };
        deactivate()
    :: else
    fi;
    unlock_irqfds();
#ifndef ReleaseDoesNotWait
    atomic {
        !failed ->
        if
        :: sh_pending -> vmm_waits = 1
        :: !sh_pending && sh_running -> vmm_waits = 2
        :: else
        fi
    };
    !failed && !vmm_waits;
#endif
    atomic { !failed -> kvm_is_there() };                  /* drops the last reference */
    atomic { !failed -> kvm_freed = 1 };
    atomic { !failed -> left-- }
}
#endif

active proctype Shutdown() {
    bit last, waits;
end:
    do
    :: atomic {
            sh_pending && !failed -> irqfd_is_there(); sh_pending = 0; sh_running = 1;
            if :: vmm_waits == 1 -> vmm_waits = 2 :: else fi
        };
        shut_down(3);
        atomic {
            !failed -> free_irqfd(); sh_running = 0;
            if :: vmm_waits == 2 -> vmm_waits = 0 :: else fi
        }
    od
}

active proctype Worker() {
end:
    do
    :: atomic { pending && !failed -> irqfd_is_there(); pending = 0; running = 1 };
        atomic { !failed -> irqfd_is_there() };            /* fetches the machine */
        atomic { !failed -> kvm_is_there(); edges++ };
        atomic { !failed -> kvm_is_there(); running = 0 }
    od
}

active proctype Judge() {
    bit closed_vm, closed_eventfd;
#ifdef VM
    closed_vm = 1;
#endif
#ifdef EVENTFD
    closed_eventfd = 1;
#endif
    timeout && !failed ->
    if
    :: left > 0 || pending || running || sh_pending || sh_running -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d %d\n", kvm_freed, irqfd_freed, ctx_freed, edges);
        if :: kvm_freed != closed_vm -> printf("failure at_end\n") :: else fi;
        if :: irqfd_freed != (closed_vm || closed_eventfd) -> printf("failure at_end\n") :: else fi;
        if :: ctx_freed != closed_eventfd -> printf("failure at_end\n") :: else fi;
        if :: !closed_vm && edges == 0 -> printf("failure at_end\n") :: else fi
    fi
}
