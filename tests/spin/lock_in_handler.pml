/* A task and an interrupt handler of the same CPU take the same spin lock.
   While the handler runs, the task does not; it starts only with interrupts on.
   IRQSAVE: the task holds the lock with interrupts off. */
bit lock, pending, in_handler;
bit irqs_on = 1;
byte events, finished;

active proctype Device() {
    pending = 1;
    finished++
}

active proctype Task() {
    byte value;
#ifdef IRQSAVE
    atomic { !in_handler -> irqs_on = 0 };
#endif
    atomic { !in_handler && !lock -> lock = 1 };
    atomic { !in_handler -> value = events };
    atomic { !in_handler -> events = value + 1 };
#ifdef IRQSAVE
    atomic { !in_handler -> lock = 0; irqs_on = 1 };
#else
    atomic { !in_handler -> lock = 0 };
#endif
    finished++
}

active proctype Handler() {
    byte value;
    atomic { pending && irqs_on -> pending = 0; in_handler = 1 };
    atomic { !lock -> lock = 1 };
    value = events;
    events = value + 1;
    lock = 0;
    in_handler = 0;
    finished++
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 3 -> printf("deadlock\n")
    :: else -> printf("outcome %d\n", events); assert(events == 2)
    fi
}
