/* Chapter 02: a channel moves from CPU 0 to CPU 1 while the host sends MESSAGES messages and signals.
   Without a macro: PerCpuLists.  With the name of one of its variants: that one. */
#ifndef MESSAGES
#define MESSAGES 1
#endif
#define OLD 0
#define NEW 1

bit flag[2];               /* the channel's event flag, on each CPU */
#ifdef GlobalArray
bit on_old;                /* the channel is on CPU 0's list */
#else
bit on_old = 1;
#endif
bit on_new;                /* ... and on CPU 1's */
bit pending[2];            /* the CPU's interrupt is raised */
bit busy[2];               /* the CPU executes a handler: nothing below it goes on, nothing interrupts it */
bit irqs_off;              /* the task has switched interrupts off on CPU 0 */
bit host_target, modify_request;
byte ring, finished;
bit call;                  /* CPU 1 is asked to put the channel on its list */
bit list_lock;
bit host_signals, modify_response;

inline lock_lists() {
#ifdef WithALock
    atomic { !list_lock -> list_lock = 1 }
#else
    skip
#endif
}

inline unlock_lists() {
#ifdef WithALock
    list_lock = 0
#else
    skip
#endif
}

active [2] proctype Isr() {            /* their _pid is their CPU */
    bit taken, found;
end:
    do
    :: atomic { pending[_pid] && !busy[_pid] && !(_pid == 0 && irqs_off) -> pending[_pid] = 0; busy[_pid] = 1 };
        d_step { taken = flag[_pid]; flag[_pid] = 0 };
        if
        :: taken ->
#ifdef GlobalArray
            found = 1;
#else
            lock_lists();
            found = (_pid == OLD -> on_old : on_new);
            unlock_lists();
#endif
            if
            :: found -> ring = 0
            :: else ->
#ifdef PassItOn
                flag[1 - _pid] = 1;
                pending[1 - _pid] = 1
#else
                skip
#endif
            fi
        :: else
        fi;
        d_step { taken = 0; found = 0; busy[_pid] = 0 }
    od
}

active proctype HostSends() {
    byte before, cpu, sent;
    bit was_set;
    do
    :: sent < MESSAGES ->
        d_step { before = ring; ring++; sent++ };
        if
        :: before == 0 ->
            host_signals = 1;
            cpu = host_target;
            d_step { was_set = flag[cpu]; flag[cpu] = 1 };
            if
            :: !was_set -> pending[cpu] = 1
            :: else
            fi;
            host_signals = 0
        :: else
        fi
    :: sent == MESSAGES -> break
    od;
    finished++
}

active proctype HostRetargets() {
#ifdef HostIsLate
    on_new == 1;
#endif
    modify_request == 1;
    host_target = NEW;
#if defined(WaitForTheHost) || defined(WaitAndDrain)
    host_signals == 0;
    modify_response = 1;
#endif
    finished++
}

active proctype CallOnNew() {          /* the IPI on CPU 1 */
end:
    do
    :: atomic { call && !busy[NEW] -> busy[NEW] = 1 };
        lock_lists();
        on_new = 1;
        unlock_lists();
        d_step { busy[NEW] = 0; call = 0 }
    od
}

/* The steps of the task on CPU 0; none while CPU 0 executes a handler. */
#define WHEN(condition) (!busy[OLD] && (condition))

inline enqueue() {                     /* on CPU 1, waited for; interrupts can still come */
    atomic { WHEN(true) -> call = 1 };
    WHEN(!call)
}

inline ask_host() {
    atomic { WHEN(true) -> modify_request = 1 };
#ifdef HostIsEarly
    WHEN(host_target == NEW)
#endif
}

inline dequeue() {                     /* on CPU 0 itself, with interrupts off */
    atomic { WHEN(true) -> busy[OLD] = 1 };
    lock_lists();
    on_old = 0;
    unlock_lists();
    busy[OLD] = 0
}

active proctype TargetCpuStore() {
#if defined(GlobalArray)
    ask_host();
#elif defined(EnqueueFirst) || defined(WithALock)
    enqueue(); ask_host(); dequeue();
#elif defined(OnBothLists)
    enqueue(); ask_host();
#elif defined(InterruptsOff)
    enqueue();
    atomic { WHEN(true) -> irqs_off = 1 };
    ask_host();
    atomic { WHEN(true) -> on_old = 0 };
    atomic { WHEN(true) -> irqs_off = 0 };
#elif defined(WaitForTheHost)
    enqueue(); ask_host();
    WHEN(modify_response);
    dequeue();
#elif defined(WaitAndDrain)
    enqueue(); ask_host();
    WHEN(modify_response);
    WHEN(!flag[OLD]);
    dequeue();
#else
    ask_host(); dequeue(); enqueue();
#endif
    atomic { WHEN(true) -> finished++ }
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 3 -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d\n", ring, on_old, on_new);
        assert(ring == 0 && !on_old)
    fi
}
