/* Chapter 05: CPU 2 goes offline while channel 7's interrupt is moved from ORIGIN to TARGET by a task on CPU 0.
   With the name of a scenario: that one. */
#define STAYS 1
#define DYING 2

#if defined(AutomaticMigration) || defined(MigrationSynicOffLast) || defined(MigrationThenLook) \
    || defined(MigrationLookTooEarly)
#define MIGRATES
#define ORIGIN DYING
#define TARGET DYING
#endif
#if defined(MigrationSynicOffLast) || defined(MigrationThenLook) || defined(MigrationLookTooEarly)
#define OFF_LAST
#endif
#if defined(NoLock) || defined(LockAroundTheLook) || defined(ClearedAfterTheSearch) || defined(SearchedThenCleared) \
    || defined(NeverSetOnlineAgain) || defined(GracePeriodInsteadOfLock) || defined(SynicOnline) \
    || defined(PatchedBothWays) || defined(PatchedTwoSetters)
#define ONLINE_BIT
#endif
#if defined(ONLINE_BIT) && !defined(NoLock) && !defined(GracePeriodInsteadOfLock)
#define LOCK
#endif
#if defined(WaitsForModifychannel) || defined(LooksThenWaits) || defined(NeverLooks) || defined(SynicOffThenWaits) \
    || defined(CountedBeforeTheSearch) || defined(CountedAfterTheTarget) || defined(HostLooksUpEarly) \
    || defined(PatchedBothWays) || defined(PatchedTwoSetters) || defined(TwoSetters) || defined(TwoSettersCountedFirst) \
    || defined(TwoSettersPlainCount) || defined(TwoSettersOneLock)
#define WAITS
#endif
#if defined(WAITS) || defined(PollsFiveTimes) || defined(PollsThenRefuses)
#define COUNTS
#endif
#if defined(TwoSetters) || defined(TwoSettersCountedFirst) || defined(TwoSettersPlainCount) \
    || defined(TwoSettersOneLock) || defined(PatchedTwoSetters)
#define TWO
#define PROCESSES 5
#else
#define PROCESSES 4
#endif
#if defined(TwoSettersPlainCount) || defined(TwoSettersOneLock)
#define PLAIN
#endif
#if defined(ONLINE_BIT) && !defined(PatchedBothWays) && !defined(PatchedTwoSetters)
#define COMES
#endif
#if defined(COMES) || defined(Race12) || defined(Race12BeforeTheSeries) || defined(LooksTwice)
#define ORIGIN STAYS
#define TARGET DYING
#endif
#ifndef ORIGIN
#define ORIGIN DYING
#define TARGET STAYS
#endif

byte ring, host_target = ORIGIN, target_cpu = ORIGIN;
bit flag[3], pending[3], busy[3], synic_on[3] = 1;
bit online = 1, synic_online = 1, dead, stopped;
bit held;                    /* the descriptor's lock: its holder on CPU 0 cannot be preempted */
bit lock;                    /* set_affinity_lock, or one lock for all setters */
bit reader, writer;          /* of the hotplug lock */
bit kicked, reported, answered;
bit wait_setter, wait_isr[3];
byte sent, completed, finished;
chan port = [2] of { byte };

inline signal(cpu) {
    d_step {
        if
        :: synic_on[cpu] && !flag[cpu] -> flag[cpu] = 1; if :: cpu != DYING || !dead -> pending[cpu] = 1 :: else fi
        :: else
        fi
    }
}

active [3] proctype Isr() {            /* their _pid is their CPU */
    bit taken;
end:
    do
    :: atomic { pending[_pid] && !busy[_pid] && !stopped && !(_pid == 0 && held) -> pending[_pid] = 0; busy[_pid] = 1 };
        d_step { taken = flag[_pid]; flag[_pid] = 0 };
        if
        :: taken -> ring = 0
        :: else
        fi;
        d_step { taken = 0; busy[_pid] = 0; wait_isr[_pid] = 0 }
    od
}

active proctype HostSends() {
    byte looked_up;
    ring++;
#ifdef HostLooksUpEarly
    looked_up = host_target;
    signal(looked_up);
    looked_up = 0;
#else
    signal(host_target);
#endif
    finished++
}

active proctype HostModifies() {
    byte cpu;
end:
    do
    :: port?cpu ->
        if
        :: cpu != 8 -> host_target = cpu
        :: else
        fi;
        d_step { completed++; answered = 1; cpu = 0 }
    od
}

/* --- who moves the channel, on CPU 0 --- */

#define ON_0(condition) (!busy[0] && !stopped && (condition))
#define ON_2(condition) (!busy[2] && (condition))

inline count() {
#ifdef COUNTS
#ifdef PLAIN
    atomic { ON_0(true) -> seen = sent };
    atomic { ON_0(true) -> sent = seen + 1; seen = 0 };
#else
    atomic { ON_0(true) -> sent++ };
#endif
#endif
    skip
}

inline retarget(cpu) {
#ifdef TwoSettersCountedFirst
    count();
    atomic { ON_0(true) -> port!cpu };
    atomic { ON_0(true) -> target_cpu = cpu }
#elif defined(CountedAfterTheTarget)
    atomic { ON_0(true) -> port!cpu };
    atomic { ON_0(true) -> target_cpu = cpu };
    count()
#else
    atomic { ON_0(true) -> port!cpu };
    count();
    atomic { ON_0(true) -> target_cpu = cpu }
#endif
}

inline take() {
#ifdef LOCK
    atomic { ON_0(!lock) -> lock = 1 }
#else
    skip
#endif
}

inline give() {
#ifdef LOCK
    atomic { ON_0(true) -> lock = 0 }
#else
    skip
#endif
}

active proctype Setter() {
    bit may = 1;
    byte seen, origin;
#if defined(Race12BeforeTheSeries)
    atomic { ON_0(!writer) -> reader = 1 };
    atomic { ON_0(true) -> may = online };
    if
    :: may -> retarget(TARGET)
    :: else
    fi;
    atomic { ON_0(true) -> reader = 0 };
#else
#ifndef TWO
    atomic { ON_0(true) -> held = 1 };
    atomic { ON_0(true) -> may = (TARGET != DYING || online) };
#endif
    if
    :: may ->
#ifdef TwoSettersOneLock
        atomic { ON_0(!lock) -> lock = 1 };
#endif
        take();
#ifdef ONLINE_BIT
        atomic { ON_0(true) -> may = (TARGET != DYING || synic_online) };
#endif
#ifdef LockAroundTheLook
        give();
#endif
        if
        :: may ->
            atomic { ON_0(true) -> origin = target_cpu };
            if
            :: origin != TARGET -> retarget(TARGET)
            :: else
            fi
        :: else
        fi;
#ifndef LockAroundTheLook
        give();
#endif
#ifdef TwoSettersOneLock
        atomic { ON_0(true) -> lock = 0 };
#endif
    :: else
    fi;
#ifndef TWO
    atomic { ON_0(true) -> held = 0; wait_setter = 0 };
#endif
#endif
    finished++
}

#ifdef TWO
active proctype AnotherSetter() {      /* on a CPU of its own */
    byte seen;
#if defined(LOCK) || defined(TwoSettersOneLock)
    atomic { !lock -> lock = 1 };
#endif
#ifdef TwoSettersCountedFirst
    sent++;
#endif
    port!8;
#ifdef PLAIN
    seen = sent;
    d_step { sent = seen + 1; seen = 0 };
#elif !defined(TwoSettersCountedFirst)
    sent++;
#endif
#if defined(LOCK) || defined(TwoSettersOneLock)
    lock = 0;
#endif
    finished++
}
#endif

/* --- taking CPU 2 down --- */

#define CAN_RUN_0 ON_0(!held)

active proctype CpuDown() {            /* on CPU 0 */
    bit taken;
#ifndef TWO
    atomic { CAN_RUN_0 -> writer = 1 };
    CAN_RUN_0 && !reader;
    atomic { CAN_RUN_0 -> kicked = 1 };
    CAN_RUN_0 && reported;
#ifdef OFF_LAST
    if
    :: CAN_RUN_0 && online
    :: CAN_RUN_0 && !online ->
#ifdef MigrationLookTooEarly
        atomic { CAN_RUN_0 -> taken = flag[DYING]; flag[DYING] = 0 };
        if
        :: taken -> atomic { CAN_RUN_0 -> ring = 0 }
        :: else
        fi;
        CAN_RUN_0 && answered;
#endif
#ifdef MigrationThenLook
        CAN_RUN_0 && answered;
#endif
#ifndef MigrationLookTooEarly
        atomic { CAN_RUN_0 -> synic_on[DYING] = 0 };
#endif
#ifdef MigrationThenLook
        atomic { CAN_RUN_0 -> taken = flag[DYING]; flag[DYING] = 0 };
        if
        :: taken -> atomic { CAN_RUN_0 -> ring = 0 }
        :: else
        fi;
#endif
        skip
    fi;
#endif
    atomic { CAN_RUN_0 -> writer = 0 };
#else
    atomic { CAN_RUN_0 -> kicked = 1 };
#endif
    finished++
}

inline look() {              /* hv_synic_event_pending: two looks, some time between them */
#ifndef NeverLooks
    atomic { ON_2(true) -> refuse = flag[DYING] };
    if
    :: refuse -> atomic { ON_2(true) -> refuse = flag[DYING] }
    :: else
    fi
#else
    skip
#endif
}

inline wait_for_host() {
#if defined(PollsFiveTimes) || defined(PollsThenRefuses)
    late = 1; tries = 0;
    do
    :: late && tries < 5 -> atomic { ON_2(true) -> late = (completed < base); tries++ }
    :: else -> break
    od;
    tries = 0;
#ifdef PollsThenRefuses
    refuse = late;
#endif
    late = 0
#else
    ON_2(completed >= base)
#endif
}

inline take_2() {
#ifdef LOCK
    atomic { ON_2(!lock) -> lock = 1 }
#else
    skip
#endif
}

inline give_2() {
#ifdef LOCK
    atomic { ON_2(true) -> lock = 0 }
#else
    skip
#endif
}

inline clear_online() {
#ifdef ONLINE_BIT
    atomic { ON_2(true) -> synic_online = 0 };
#ifdef GracePeriodInsteadOfLock
    atomic { ON_2(true) -> wait_setter = held; wait_isr[0] = busy[0]; wait_isr[1] = busy[1] };
    ON_2(!wait_setter && !wait_isr[0] && !wait_isr[1]);
#endif
#endif
    skip
}

inline search() {
#ifndef MIGRATES
    atomic { ON_2(true) -> refuse = (target_cpu == DYING) }
#else
    skip
#endif
}

active proctype Cpuhp() {              /* on CPU 2 */
    bit refuse, late;
    byte base, tries;
    ON_2(kicked);
#ifdef CountedBeforeTheSearch
    atomic { ON_2(true) -> base = sent };
#endif
    take_2();
#if !defined(ClearedAfterTheSearch) && !defined(SearchedThenCleared)
    clear_online();
#endif
    search();
#ifdef SearchedThenCleared
    clear_online();
#endif
    give_2();
#ifdef ClearedAfterTheSearch
    clear_online();
#endif
    if
    :: !refuse ->
#ifdef SynicOffThenWaits
        atomic { ON_2(true) -> synic_on[DYING] = 0 };
#endif
#ifdef LooksThenWaits
        look();
#endif
#ifdef COUNTS
        if
        :: !refuse ->
#ifndef CountedBeforeTheSearch
            atomic { ON_2(true) -> base = sent };
#endif
            wait_for_host()
        :: else
        fi;
#endif
#ifndef LooksThenWaits
        if
        :: !refuse -> look()
        :: else
        fi;
#endif
#ifndef OFF_LAST
        if
        :: !refuse -> atomic { ON_2(true) -> synic_on[DYING] = 0 }
        :: else
        fi;
#endif
#ifdef LooksTwice
        if
        :: !refuse ->
            search();
            if
            :: refuse -> atomic { ON_2(true) -> synic_on[DYING] = 1 }
            :: else
            fi
        :: else
        fi;
#endif
    :: else
    fi;
#if defined(ONLINE_BIT) && !defined(NeverSetOnlineAgain)
    if
    :: refuse -> atomic { ON_2(true) -> synic_online = 1 }
    :: else
    fi;
#endif
    if
    :: !refuse ->
#ifdef TWO
        atomic { ON_2(true) -> online = 0 };
#else
        atomic { ON_2(!held && !busy[0] && !busy[1]) -> stopped = 1 };
        online = 0;
#ifdef MIGRATES
        port!0;
        target_cpu = 0;
#endif
        d_step { dead = 1; pending[DYING] = 0; stopped = 0 }
#endif
    :: else
    fi;
    d_step { reported = 1; finished++ }
}

active proctype Judge() {
    timeout ->
    if
    :: finished < PROCESSES -> printf("deadlock\n")
    :: else ->
        printf("outcome %d %d %d\n", ring, !online, target_cpu);
        assert(ring == 0 && (!online || synic_online) && target_cpu < 3)
    fi
}
