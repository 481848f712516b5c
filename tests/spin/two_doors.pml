/* Chapter 05: two tasks, each on a CPU of its own, set the CPU of one channel: PROC by /proc/irq, SYSFS by sysfs.
   Without a macro: TwoDoors.  With the name of one of its variants: that one. */
#define PROC 1
#define SYSFS 2
#define CLOSE 3

#if defined(Closing) || defined(ClosingBySysfsAlone) || defined(ClosingUnderTheLock)
#define CLOSES
#define TASKS 3
#else
#define TASKS 2
#endif

byte target, core, host;     /* what VMBus, the generic layer and the host take the channel's CPU to be */
bit open = 1, closed, ignored;
bit mutex, lock;
byte finished;
chan port = [3] of { byte };

inline retarget(cpu) {
#ifdef TargetNotedFirst
    target = cpu;
    port!cpu
#else
    port!cpu;
    target = cpu
#endif
}

inline chip(cpu) {
    origin = target;
    if
    :: origin != cpu ->
        may = open;
        if
        :: may -> retarget(cpu); core = cpu
        :: else
        fi
    :: else
    fi
}

inline set_affinity(cpu) {
#ifndef NoDescriptorLock
    atomic { !lock -> lock = 1 };
#endif
    chip(cpu);
    lock = 0
}

active proctype Proc() {
    byte origin;
    bit may;
#ifndef ClosingBySysfsAlone
    set_affinity(PROC);
#endif
    finished++
}

active proctype Sysfs() {
    byte origin;
    bit may;
#ifndef SysfsWithoutMutex
    atomic { !mutex -> mutex = 1 };
#endif
#if defined(SysfsAsBefore)
    retarget(SYSFS);
#elif defined(SysfsTellsBoth)
    retarget(SYSFS); core = SYSFS;
#elif defined(SysfsTakesTheLock)
    atomic { !lock -> lock = 1 };
    retarget(SYSFS); core = SYSFS;
    lock = 0;
#else
    set_affinity(SYSFS);
#endif
    mutex = 0;
    finished++
}

#ifdef CLOSES
active proctype Disconnect() {
    atomic { !mutex -> mutex = 1 };
#ifdef ClosingUnderTheLock
    atomic { !lock -> lock = 1 };
#endif
    open = 0;
    port!CLOSE;
#ifdef ClosingUnderTheLock
    lock = 0;
#endif
    mutex = 0;
    finished++
}
#endif

active proctype Host() {
    byte message;
end:
    do
    :: port?message ->
        if
        :: message == CLOSE -> closed = 1
        :: message != CLOSE && closed -> ignored = 1
        :: message != CLOSE && !closed -> host = message
        fi;
        message = 0
    od
}

active proctype Judge() {
    timeout ->
    if
    :: finished < TASKS -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d\n", target, core, host);
#ifdef CLOSES
        assert(!ignored && target + core + host < 9)   /* Spin forgets what is only written and printed */
#else
        assert(target == core && core == host)
#endif
    fi
}
