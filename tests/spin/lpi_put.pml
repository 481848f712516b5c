/* A task on CPU 0 and a handler (or a second task) each erase an entry of their own under xa_lock.
   FORM: 0 plain, 1 _bh, 2 _irq, 3 irqsave.  ENCLOSED: both hold a second lock around it, with interrupts saved and off.
   HANDLER_CPU: 0 or 1; TASK: no handler, but a task on CPU 1.
   A CPU's interrupt flag belongs to what runs on it; a handler starts only while the flag of what it interrupts is on. */
#ifndef HANDLER_CPU
#define HANDLER_CPU 1
#endif

bit xa_lock, list_lock;
bit entry[2] = 1;
bit irqs[2] = 1;           /* of the task on CPU 0, and of the other one */
bit pending, in_handler;
byte finished;
bit failed;

#if HANDLER_CPU == 0
#define RUNS_0 (!in_handler)
#else
#define RUNS_0 (1)
#endif
#define RUNS_1 (1)

#define FAULT failed = 1; printf("failure error\n"); false

inline last_put(me, runs, is_handler) {
#ifdef ENCLOSED
    atomic { runs -> outer = irqs[me]; irqs[me] = 0 };
    atomic { runs && !list_lock -> list_lock = 1 };
#endif
#if FORM == 1
    atomic {
        runs ->
        if
        :: is_handler -> FAULT
        :: else -> skip
        fi
    };
#elif FORM == 2
    atomic { runs -> irqs[me] = 0 };
#elif FORM == 3
    atomic { runs -> inner = irqs[me]; irqs[me] = 0 };
#endif
    atomic { runs && !xa_lock -> xa_lock = 1 };
    atomic { runs -> entry[me] = 0 };
    atomic {
        runs -> xa_lock = 0;
#if FORM == 1
        if
        :: !irqs[me] -> FAULT       /* softirqs cannot be switched on while interrupts are off */
        :: else -> skip
        fi
#elif FORM == 2
        irqs[me] = 1
#elif FORM == 3
        irqs[me] = inner
#endif
    };
#ifdef ENCLOSED
    atomic { runs -> list_lock = 0; irqs[me] = outer };
#endif
}

active proctype Task() {
    bit outer, inner;
    last_put(0, RUNS_0, 0);
    finished++
}

#ifdef TASK
active proctype Second() {
    bit outer, inner;
    last_put(1, RUNS_1, 0);
    finished++
}
#else
active proctype Device() {
    pending = 1
}

active proctype Handler() {
    bit outer, inner;
#if HANDLER_CPU == 0
    atomic { pending && irqs[0] -> in_handler = 1; irqs[1] = 0 };
#else
    atomic { pending -> in_handler = 1; irqs[1] = 0 };
#endif
    last_put(1, RUNS_1, 1);
    atomic {
        if
        :: irqs[1] -> FAULT         /* a handler must not return with interrupts on */
        :: else -> in_handler = 0
        fi
    };
    finished++
}
#endif

active proctype Judge() {
    timeout && !failed ->
    if
    :: finished < 2 -> printf("deadlock\n")
    :: else -> printf("outcome %d %d\n", entry[0], entry[1]); assert(entry[0] + entry[1] <= 2)  /* Spin forgets what is only printed */
    fi
}
