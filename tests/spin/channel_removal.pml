/* Chapter 03: a channel is taken out of the array and freed while its interrupt is in flight.
   Without a macro: ChannelRemoval.  With the name of one of its variants: that one.
   SAME_CPU: the task that removes the channel runs on CPU 0, where the interrupt arrives. */
#define HANDLER 0
#define THREAD 1

#if defined(FreedAtOnce) || defined(LockInTheChannel) || defined(LockAroundTheArray) \
    || defined(LockAroundTheUse) || defined(LockWithInterruptsOn)
#define FREE_AT_ONCE
#endif
#if defined(LockAroundTheUse) || defined(LockWithInterruptsOn)
#define LOCK_USE
#endif
#if defined(InAThread) || defined(InAThreadNoReadLock)
#define TASKS 3
#else
#define TASKS 2
#endif

bit flag, pending, woken, mapped = 1, freed, failed;
bit busy, irqs_off;          /* CPU 0 executes the handler; has its interrupts off */
bit lock;                    /* the lock of the variants that have one */
bit reading[2];              /* who is inside a read-side critical section: a handler always is */
bit waited_for[2];           /* was inside when the grace period began, and has not left since */
bit free_later;              /* kfree_rcu has been called */
byte interrupts, finished;

inline alive() {             /* whoever touches the channel now, touches freed memory or not */
    if
    :: freed -> failed = 1; assert(!failed); false
    :: else
    fi
}

/* The steps of a task on CPU 0; none while CPU 0 executes the handler. */
#define ON_0(condition) (!busy && (condition))
#ifdef SAME_CPU
#define ON_ITS_CPU(condition) ON_0(condition)
#else
#define ON_ITS_CPU(condition) (condition)
#endif

#define HERE(condition) ((me == HANDLER || !busy) && (condition))

inline find_and_use() {
#if defined(LOCK_USE) || defined(LockAroundTheArray)
    atomic { HERE(!lock) -> lock = 1 };
#endif
    atomic { HERE(true) -> seen = mapped };
#ifdef LockAroundTheArray
    lock = 0;
#endif
    if
    :: seen ->
#ifdef LockInTheChannel
        atomic { freed || !lock -> alive(); lock = 1 };
#endif
        atomic { HERE(true) -> alive(); before = interrupts };
        atomic { HERE(true) -> alive(); interrupts = before + 1 };
#ifdef LockInTheChannel
        atomic { alive(); lock = 0 };
#endif
        before = 0
    :: else
    fi;
#ifdef LOCK_USE
    lock = 0;
#endif
    seen = 0
}

inline chan_sched() {
    atomic { HERE(true) -> taken = flag; flag = 0 };
    if
    :: taken ->
#ifndef InAThreadNoReadLock
        atomic { HERE(true) -> reading[me] = 1 };
#endif
        find_and_use();
        if
        :: me == THREAD -> atomic { ON_0(true) -> reading[THREAD] = 0; waited_for[THREAD] = 0 }
        :: else
        fi
    :: else
    fi;
    taken = 0
}

active proctype Host() {
    flag = 1;
    pending = 1;
    finished++
}

active proctype Isr() {
    bit taken, seen;
    byte before, me = HANDLER;
end:
    do
    :: atomic { pending && !busy && !irqs_off -> pending = 0; busy = 1; reading[HANDLER] = 1 };
#if TASKS == 3
        woken = 1;
#else
        chan_sched();
#endif
        d_step { reading[HANDLER] = 0; waited_for[HANDLER] = 0; busy = 0 }
    od
}

#if TASKS == 3
active proctype Irqd() {
    bit taken, seen;
    byte before, me = THREAD;
    ON_0(woken);
    chan_sched();
    atomic { ON_0(true) -> finished++ }
}
#endif

active proctype Grace() {    /* frees what kfree_rcu was given */
end:
    atomic { free_later && !waited_for[HANDLER] && !waited_for[THREAD] -> freed = 1 }
}

inline begin_grace_period() {
    waited_for[HANDLER] = reading[HANDLER];
    waited_for[THREAD] = reading[THREAD]
}

inline unmap() {
#if defined(LockInTheChannel) || defined(LockAroundTheArray) || defined(LockAroundTheUse)
#ifdef SAME_CPU
    atomic { ON_0(!lock) -> lock = 1; irqs_off = 1 };
#else
    atomic { !lock -> lock = 1 };
#endif
    mapped = 0;
    d_step { lock = 0; irqs_off = 0 }
#elif defined(LockWithInterruptsOn)
    atomic { ON_ITS_CPU(!lock) -> lock = 1 };
    atomic { ON_ITS_CPU(true) -> mapped = 0 };
    atomic { ON_ITS_CPU(true) -> lock = 0 }
#elif defined(NeverUnmapped)
    skip
#else
    atomic { ON_ITS_CPU(true) -> mapped = 0 }
#endif
}

inline release() {
#ifdef FREE_AT_ONCE
    atomic { ON_ITS_CPU(true) -> freed = 1 }
#else
    atomic { ON_ITS_CPU(true) -> begin_grace_period(); free_later = 1 }
#endif
}

inline wait_for_readers() {
    atomic { ON_ITS_CPU(true) -> begin_grace_period() };
    ON_ITS_CPU(!waited_for[HANDLER] && !waited_for[THREAD])
}

active proctype Removal() {
#if defined(FreedThenUnmapped)
    release(); unmap();
#elif defined(WaitAndFree)
    unmap(); wait_for_readers();
    atomic { ON_ITS_CPU(true) -> freed = 1 };
#elif defined(WaitTooEarly)
    wait_for_readers(); unmap();
    atomic { ON_ITS_CPU(true) -> freed = 1 };
#else
    unmap(); release();
#endif
    atomic { ON_ITS_CPU(true) -> finished++ }
}

active proctype Judge() {
    timeout && !failed ->
    if
    :: finished < TASKS || busy -> printf("deadlock\n")
    :: else -> printf("outcome %d %d\n", interrupts, freed)
    fi
}
