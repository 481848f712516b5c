/* CPU 0 erases an entry under xa_lock. CPU 1 takes another one off a list under list_lock, interrupts off, and erases it.
   A handler on CPU INTERRUPTED puts something on the list, under list_lock.
   FORM: 0 plain, 2 _irq, 3 irqsave.  DEFERRED: CPU 1 only marks the entry, and erases what is marked after list_lock.
   INSIDE: CPU 0 first takes list_lock inside xa_lock, interrupts off. */
bit xa_lock, list_lock;
bit entry[2] = 1;
bit listed = 1, queued, marked;
bit irqs[2] = 1;
bit pending, in_handler;
byte finished;

#define RUNS(cpu) (!(in_handler && cpu == INTERRUPTED))

inline take_xa(cpu) {
#if FORM == 2
    atomic { RUNS(cpu) -> irqs[cpu] = 0 };
#elif FORM == 3
    atomic { RUNS(cpu) -> inner = irqs[cpu]; irqs[cpu] = 0 };
#endif
    atomic { RUNS(cpu) && !xa_lock -> xa_lock = 1 }
}

inline give_xa(cpu) {
    atomic {
        RUNS(cpu) -> xa_lock = 0;
#if FORM == 2
        irqs[cpu] = 1
#elif FORM == 3
        irqs[cpu] = inner
#endif
    }
}

active proctype Discard() {
    bit inner;
#ifdef INSIDE
    atomic { RUNS(0) -> irqs[0] = 0 };
    atomic { RUNS(0) && !xa_lock -> xa_lock = 1 };
    atomic { RUNS(0) && !list_lock -> list_lock = 1 };
    atomic { RUNS(0) -> list_lock = 0 };
    atomic { RUNS(0) -> xa_lock = 0; irqs[0] = 1 };
#endif
    take_xa(0);
    atomic { RUNS(0) -> entry[0] = 0 };
    give_xa(0);
    finished++
}

active proctype Flush() {
    bit inner;
    atomic { RUNS(1) -> irqs[1] = 0 };
    atomic { RUNS(1) && !list_lock -> list_lock = 1 };
    atomic { RUNS(1) -> listed = 0 };
#ifdef DEFERRED
    atomic { RUNS(1) -> marked = 1 };
    atomic { RUNS(1) -> list_lock = 0; irqs[1] = 1 };
#endif
    take_xa(1);
#ifdef DEFERRED
    atomic {
        RUNS(1) ->
        if
        :: marked -> entry[1] = 0
        :: else -> skip
        fi
    };
#else
    atomic { RUNS(1) -> entry[1] = 0 };
#endif
    give_xa(1);
#ifndef DEFERRED
    atomic { RUNS(1) -> list_lock = 0; irqs[1] = 1 };
#endif
    finished++
}

active proctype Hardware() {
    pending = 1
}

active proctype Handler() {
    atomic { pending && irqs[INTERRUPTED] -> in_handler = 1 };
    atomic { !list_lock -> list_lock = 1 };
    queued = 1;
    list_lock = 0;
    in_handler = 0;
    finished++
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 3 -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d %d\n", entry[0], entry[1], listed, queued);
        assert(entry[0] + entry[1] + listed + queued <= 4)  /* Spin forgets what is only printed */
    fi
}
