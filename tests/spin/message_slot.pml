/* Chapter 01: MESSAGES control messages, one slot, one CPU (and a crashing one).
   Without a macro: Messages.  With the name of one of its variants: that one. */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#define NONE 0
#define CHANNEL 1
#define TIMER 2
#if defined(CrashingCpuPlainStore) || defined(PlainStore)
#define STORE
#endif
#if defined(CrashingCpu) || defined(CrashingCpuPlainStore)
#define TYPE(n) (n == 1 -> TIMER : CHANNEL)
#else
#define TYPE(n) CHANNEL
#endif

byte type, payload;        /* the slot */
byte posted, delivered;    /* those in between wait in the hypervisor */
byte handled;              /* bit n: message n */
bit irq, busy;             /* the interrupt is raised; CPU 0 executes the handler */
bit scheduled;             /* the tasklet */
byte finished;
#define msg_pending (posted > delivered)

/* The hypervisor, in one step with what comes before. */
inline refill() {
    if
    :: msg_pending && type == NONE -> delivered++; payload = delivered; type = TYPE(delivered); irq = 1
    :: else
    fi
}

active proctype Host() {
    do
    :: posted < MESSAGES -> d_step { posted++; refill() }
    :: posted == MESSAGES -> break
    od;
    finished++
}

/* Each step of a context waits for MAY, which is true where nothing runs on top of it. */
#define S(MAY, what) atomic { MAY -> what }

inline release(MAY) {
#ifdef STORE
    atomic { MAY -> found = seen; type = NONE }
#else
    atomic { MAY -> found = type; if :: type == seen -> type = NONE :: else fi }
#endif
}

inline look(MAY) { S(MAY, more = msg_pending) }
inline eom(MAY) { atomic { MAY -> refill() } }

inline signal_eom(MAY) {
#if defined(PendingReadFirst)
    look(MAY); release(MAY);
    if :: more -> eom(MAY) :: else fi
#elif defined(EomBeforeEmptying)
    look(MAY);
    if :: more -> eom(MAY) :: else fi;
    release(MAY)
#elif defined(NeverEom)
    release(MAY)
#elif defined(AlwaysEom)
    release(MAY);
    if :: found == seen -> eom(MAY) :: else fi
#else
    release(MAY);
    if
    :: found == seen -> look(MAY); if :: more -> eom(MAY) :: else fi
    :: else
    fi
#endif
}

inline handle(MAY) {
#ifdef EmptiedTooEarly
    signal_eom(MAY);
#endif
    S(MAY, number = payload);
    S(MAY, handled = handled | (1 << number));
#ifndef EmptiedTooEarly
    signal_eom(MAY)
#endif
}

active proctype Isr() {
    byte seen, found, number;
    bit more;
end:
    do
    :: atomic { irq && !busy -> irq = 0; busy = 1 };
        seen = type;
        if
        :: seen == TIMER -> handle(true)
        :: seen == CHANNEL -> scheduled = 1
        :: seen == NONE
        fi;
        d_step { busy = 0; seen = 0; found = 0; number = 0; more = 0 }
    od
}

active proctype Tasklet() {
    byte seen, found, number;
    bit more;
end:
    do
    :: atomic { scheduled && !busy -> scheduled = 0 };
        S(!busy, seen = type);
        if
        :: seen != NONE -> handle(!busy)
        :: seen == NONE
        fi;
        d_step { seen = 0; found = 0; number = 0; more = 0 }
    od
}

active proctype Crashing() {
#if defined(CrashingCpu) || defined(CrashingCpuPlainStore) || defined(CrashingCpuSameType)
    byte seen, found, number;
    bit more;
    seen = type;
    if
    :: seen != NONE -> handle(true)
    :: seen == NONE
    fi;
#endif
    finished++
}

active proctype Judge() {
    timeout ->
    if
    :: finished < 2 -> printf("deadlock\n")
    :: else ->
        printf("outcome %d\n", handled);
        assert(handled == (1 << (MESSAGES + 1)) - 2)
    fi
}
