"""The engine against a brute force that shares no code with it (oracle.py), on random small races."""

import ast
from collections import Counter
from pathlib import Path

import oracle
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from oracle import Case

from vmbus_teach import Scenario, at_end, explore, invariant
from vmbus_teach import kernel as k

# --- a case as a scenario ----------------------------------------------------------------------------

ON_LOCKS = {
    name: getattr(k, name)
    for name in (
        "spin_lock", "spin_lock_bh", "spin_lock_irq", "spin_lock_irqsave", "spin_trylock", "spin_unlock",
        "spin_unlock_bh", "spin_unlock_irq", "mutex_lock", "mutex_trylock", "mutex_unlock",
    )
}
ALONE = {
    name: getattr(k, name)
    for name in (
        "preempt_disable", "preempt_enable", "local_bh_disable", "local_bh_enable", "local_irq_disable",
        "local_irq_enable", "local_irq_save", "rcu_read_lock", "rcu_read_unlock", "synchronize_rcu", "rcu_barrier",
        "stop_machine", "play_dead",
    )
}
ON_COMPLETIONS = {
    "complete": k.complete, "complete_all": k.complete_all, "reinit": k.reinit_completion,
    "wait": k.wait_for_completion, "done": k.completion_done,
}
ON_TASKLETS = {
    name: getattr(k, name)
    for name in ("tasklet_schedule", "tasklet_disable", "tasklet_disable_in_atomic", "tasklet_enable")
}
ON_HOTPLUG = {
    name: getattr(k, name)
    for name in ("cpus_read_lock", "cpus_read_unlock", "cpus_write_lock", "cpus_write_unlock")
}
ON_DOMAINS = {
    "srcu_read_lock": k.srcu_read_lock, "srcu_read_unlock": k.srcu_read_unlock,
    "synchronize_srcu": k.synchronize_srcu, "cleanup_srcu": k.cleanup_srcu_struct,
}
ON_WORKS = {name: getattr(k, name) for name in ("flush_work", "cancel_work_sync")}
SAVES = {"spin_lock_irqsave", "local_irq_save"}
RESTORES = {"spin_unlock_irqrestore", "local_irq_restore"}
#: What leaves its result in the register.
RESULTS = {
    "xa_load", "xa_store", "xa_erase", "xa_cmpxchg",
    "read", "load", "fetch_add", "xchg", "cmpxchg", "choose", "alloc", "spin_trylock", "mutex_trylock", "done",
    "queue_work", "flush_work", "cancel_work_sync", "take", "srcu_read_lock",
}


#: What stands for an entry in a case.
ENTRY = {0: None, 1: 1, 2: 2, "reserved": k.RESERVED}


def is_object(r):
    """Whether the register holds an object."""
    return isinstance(r, k.Object)


class FromCase(Scenario):
    """A case, told to the engine."""

    def setup(self, case):
        self._case = case
        self.cell = {name: k.Cell(0) for name in oracle.CELLS}
        self.xa = k.XArray({0: 1}, may_fail=True)
        self.lock = {name: self.xa.xa_lock if name == "X" else k.SpinLock() for name in oracle.SPINLOCKS}
        self.lock.update({name: k.Mutex() for name in oracle.MUTEXES})
        self.domain = {name: k.Srcu() for name in oracle.DOMAINS}
        self.completion = {name: k.Completion() for name in oracle.COMPLETIONS}
        self.struct = k.Struct("object", capacity=oracle.MAX_OBJECTS, f=0)
        for _ in range(case.objects):
            self.struct.new()
        if case.objects:
            self.cell["p"].initial = self.struct.objects[0]
        self.line = [
            self.add_interrupt(self.program, ops, cpu=cpu, name=f"irq{i}") for i, (cpu, ops) in enumerate(case.irqs)
        ]
        self.hotplug_lock = k.CpuHotplugLock()
        self.page = tuple(k.EventFlagsPage(line) for line in self.line)
        self.target = tuple(k.Cell(i) for i in range(len(self.line)))
        if case.port is not None:
            self.port = k.MessagePort(self.takes)
        self.tasklet = {f"t{i}": k.Tasklet(self.program, ops) for i, ops in enumerate(case.tasklets)}
        self.work = {f"w{i}": k.Work(self.program, ops) for i, ops in enumerate(case.works)}
        self.queue = {f"q{i}": k.WorkQueue(ordered=o, cpu=cpu) for i, (o, cpu) in enumerate(case.queues)}
        for place, ops in case.tasks:
            if place == "host":
                self.add_thread(self.program, ops, host=True, name="task")
            else:
                self.add_thread(self.program, ops, cpu=None if place == "own" else place, name="task")

    def program(self, ops):
        yield from self.block(ops, 0, ())

    def takes(self, message):
        yield from self.block(self._case.port, message, ())

    def block(self, ops, r, flags):
        """Executes operations; gives back the registers. The engine has to find its way through the recursion."""
        for name, *args in ops:
            if name == "if":
                r, flags = yield from self.block(args[1] if r == args[0] else args[2], r, flags)
            elif name == "point":
                r = self.struct.objects[args[0]]
            elif name in oracle.ON_OBJECTS and not is_object(r):
                pass
            elif name in RESTORES:
                yield self.restore(name, args, flags[-1] if flags else True)
                flags = flags[:-1]
            else:
                result = yield self.operation(name, args, r)
                if name in SAVES:
                    flags = (*flags, result)
                elif name in RESULTS:
                    r = 0 if result is None else result
        return r, flags

    def restore(self, name, args, flags):
        if name == "local_irq_restore":
            return k.local_irq_restore(flags)
        return k.spin_unlock_irqrestore(self.lock[args[0]], flags)

    def operation(self, name, args, r):
        first = args[0] if args else None
        if name in ON_LOCKS:
            return ON_LOCKS[name](self.lock[first])
        if name in ALONE:
            return ALONE[name]()
        if name in ON_COMPLETIONS:
            return ON_COMPLETIONS[name](self.completion[first])
        if name in ON_HOTPLUG:
            return ON_HOTPLUG[name](self.hotplug_lock)
        if name in ON_TASKLETS:
            return ON_TASKLETS[name](self.tasklet[first])
        if name in ON_DOMAINS:
            return ON_DOMAINS[name](self.domain[first], *args[1:])
        if name in ON_WORKS:
            return ON_WORKS[name](self.work[first])
        match name:
            case "read":
                return k.READ_ONCE(self.cell[first])
            case "load":
                return k.load(self.cell[first])
            case "write":
                return k.WRITE_ONCE(self.cell[first], args[1])
            case "store":
                return k.store(self.cell[first], args[1])
            case "put":
                return k.WRITE_ONCE(self.cell[first], r if is_object(r) else min(r + args[1], 3))
            case "fetch_add":
                return k.atomic_inc_return(self.cell[first])
            case "xchg":
                return k.xchg(self.cell[first], args[1])
            case "cmpxchg":
                return k.cmpxchg(self.cell[first], args[1], args[2])
            case "until":
                return k.smp_cond_load_relaxed(self.cell[first], equals(args[1]))
            case "choose":
                return k.choose(first)
            case "mb":
                return k.smp_mb()
            case "xa_load":
                return k.xa_load(self.xa, first)
            case "xa_store":
                return k.xa_store_locked(self.xa, first, args[1])
            case "xa_erase":
                return k.xa_erase_locked(self.xa, first)
            case "xa_cmpxchg":
                return k.xa_cmpxchg_locked(self.xa, first, *map(ENTRY.get, args[1:]))
            case "alloc":
                return k.kzalloc(self.struct)
            case "use":
                return k.READ_ONCE(r.f)
            case "set":
                return k.WRITE_ONCE(r.f, 1)
            case "kfree":
                return k.kfree(r)
            case "kfree_rcu":
                return k.kfree_rcu(r)
            case "call_rcu":
                return k.call_rcu(self.program, first)
            case "raise":
                return k.raise_irq(self.line[int(first[3:])])
            case "signal":
                return k.hv_signal_event(1, self.target[int(first[3:])], self.page)
            case "take":
                return k.sync_test_and_clear_bit(1, self.page[int(first[3:])])
            case "synic_off":
                return k.WRITE_ONCE(self.page[int(first[3:])].enabled, False)
            case "post":
                return k.hv_post_message(self.port, first)
            case "call":
                return k.smp_call_function_single(first, self.program, args[1], args[2])
            case "queue_work":
                return k.queue_work(self.queue[first], self.work[args[1]])
            case "flush_workqueue":
                return k.flush_workqueue(self.queue[first])
        raise LookupError(name)

    def outcome(self, s):
        """The same tuple as the oracle's."""
        objects = self.struct.objects
        cells = [("object", s[c].number) if is_object(s[c]) else s[c] for c in map(self.cell.get, oracle.CELLS)]
        things = [x for thing in objects for x in (thing.show(s[thing]), s[thing.f])]
        entries = {i: "reserved" if entry is k.RESERVED else entry for i, entry in s[self.xa]}
        return (*cells, *things, *(entries.get(i, 0) for i in oracle.ENTRIES))


class WithProperties(FromCase):
    """A case that also says what must hold."""

    @invariant
    def never(self, s):
        cell, value = self._case.invariant or (None, None)
        return cell is None or s[self.cell[cell]] != value

    @at_end
    def finally_is(self, s):
        cell, value = self._case.at_end or (None, None)
        return cell is None or s[self.cell[cell]] == value


def equals(wanted):
    """A predicate; each call makes another function, and the engine has to see that they mean the same."""
    return lambda value: value == wanted


def ask_engine(case, symmetry=True):
    """What the engine says of a case, in the oracle's terms."""
    kind = WithProperties if case.invariant or case.at_end else FromCase
    found = explore(type(kind.__name__, (kind,), {"cpus": case.cpus})(case=case), symmetry=symmetry)
    assert found.complete
    failing = Counter()
    for failure in found.failures:
        if failure.share:
            failing[failure.kind] += failure.share
    seen = frozenset(failure.kind for failure in found.failures)
    return oracle.Verdict(found.outcomes, seen, found.schedules, dict(failing))


def compare(case):
    """Raises where the engine and the brute force do not say the same of a case."""
    expected = oracle.judge(case, max_states=1000)
    for symmetry in (False, True):
        found = ask_engine(case, symmetry)
        assert found._replace(states=expected.states) == expected, f"symmetry={symmetry}: {case}"
    return expected


# --- random cases ----------------------------------------------------------------------------------------

SPIN = {
    "spin_lock": "spin_unlock", "spin_lock_bh": "spin_unlock_bh", "spin_lock_irq": "spin_unlock_irq",
    "spin_lock_irqsave": "spin_unlock_irqrestore",
}
REGIONS = {
    "preempt_disable": "preempt_enable", "local_bh_disable": "local_bh_enable",
    "local_irq_disable": "local_irq_enable", "local_irq_save": "local_irq_restore",
    "rcu_read_lock": "rcu_read_unlock",
}


TASKS = ("task", "own", "work")


class Author:
    """Writes programs that are mostly well formed, from the random numbers that Hypothesis gives it.

    ``where`` says what a piece may do: "task", "own" (a task with a CPU of its own), "work", "irq", "tasklet",
    "ipi", "rcu", "host". ``after`` is the number of the handler or work item itself, which
    triggers later ones only: then nothing goes on for ever.
    """

    def __init__(self, random, topics):
        self.random = random
        self.topics = topics
        self.cpus = self.pick((1, 1, 2) if topics & {"irq", "bh", "call"} else (0, 1, 1, 2))
        self.irqs = self.pick((1, 1, 2)) if "irq" in topics and self.cpus else 0
        self.tasklets = self.pick((1, 2, 2)) if "bh" in topics and self.cpus else 0
        self.works = self.pick((1, 2, 2)) if "work" in topics else 0
        self.queues = self.pick((1, 1, 1, 2)) if self.works else 1
        self.loops = self.chance(15)  # then handlers may trigger themselves, and nothing counts upwards

    def pick(self, values):
        return self.random.choice(tuple(values))

    def chance(self, percent):
        return self.random.randrange(100) >= 100 - percent

    def program(self, where, size, after=-1):
        ops = self.sequence(where, size, False, after)
        if where != "host" and ops and self.chance(7):
            ops = self.spoil(ops)
        return ops

    def spoil(self, ops):
        """Leaves something out, says it twice, or too late."""
        i = self.pick(range(len(ops)))
        match self.pick(("drop", "twice", "swap")):
            case "drop":
                return ops[:i] + ops[i + 1 :]
            case "twice":
                return (*ops[:i], ops[i], *ops[i:])
        return (*ops[:i], *ops[i + 1 : i + 2], ops[i], *ops[i + 2 :])

    def sequence(self, where, size, atomic, after):
        ops = ()
        while len(ops) < size:
            ops += self.piece(where, size - len(ops), atomic, after)
        return ops

    def piece(self, where, size, atomic, after):
        sleepy = where in TASKS and (not atomic or self.chance(3))
        kinds = ["memory", "memory"]
        if where == "host":
            how = "signal" if "hotplug" in self.topics and self.chance(70) else "raise"
            return self.memory() if not self.irqs or self.chance(40) else ((how, self.irq(-1)),)
        if "lock" in self.topics:
            kinds += ["spin", "spin"] + ["mutex", "trymutex"] * sleepy
        if "irq" in self.topics:
            kinds += ["region", "trigger", "trigger"]
        if "bh" in self.topics and self.tasklets:
            kinds += ["region", "tasklet", "tasklet"]
        if "rcu" in self.topics:
            kinds += ["region", "defer"] + ["sync"] * 2 * sleepy
        if "srcu" in self.topics:
            kinds += ["section", "section"] + ["grace", "grace"] * sleepy
        if "heap" in self.topics:
            kinds += ["heap", "heap", "heap"]
        if "xarray" in self.topics:
            kinds += ["entry", "entry", "entry"]
        if "work" in self.topics:
            kinds += ["queue", "queue"] + ["flush"] * 2 * sleepy
        if "complete" in self.topics:
            kinds += ["complete"] + ["wait"] * sleepy
        if "hotplug" in self.topics:
            kinds += ["post"] + ["take"] * bool(self.irqs) + ["cpus_lock", "cpus_lock"] * sleepy
        if "call" in self.topics and (where in TASKS or self.chance(3)):
            kinds += ["call", "call"]
        return getattr(self, self.pick(kinds))(where, size, atomic, after)

    def memory(self, *_):
        x = self.pick("xy")
        what = ("inc", "inc", "write", "read", "fetch_add", "xchg", "cmpxchg", "until", "if", "plain", "choose", "mb")
        match self.pick(what):
            case "inc":
                return (("read", x), ("put", x, 1))
            case "write":
                return (("write", x, self.pick((1, 2))),)
            case "read":
                return (("read", x), ("put", self.pick("xy"), 0))
            case "fetch_add":
                return (("fetch_add", x),) if not self.loops else (("mb",),)
            case "xchg":
                return (("xchg", x, 1),)
            case "cmpxchg":
                return (("cmpxchg", x, 0, 2),)
            case "until":
                return (("until", x, self.pick((0, 0, 1))),)
            case "if":
                return (("read", x), ("if", self.pick((0, 1)), (("write", "x", 2),), (("write", "y", 2),)))
            case "plain":
                return (("load", x), ("store", x, 1)) if self.chance(40) else (("store", x, 2),)
            case "choose":
                return (("choose", (0, 1)), ("put", x, 0))
        return (("mb",),)

    def spin(self, where, size, atomic, after):
        lock = self.pick("aab")
        if self.chance(15):
            inner = self.sequence(where, min(size, 2) - 1, True, after)
            return (("spin_trylock", lock), ("if", 1, (*inner, ("spin_unlock", lock)), ()))
        takes = self.pick(self.suitable(SPIN, where, atomic))
        return ((takes, lock), *self.sequence(where, max(1, size - 2), True, after), (SPIN[takes], lock))

    def suitable(self, names, where, atomic):
        """Mostly without what fails in a handler, or where interrupts may be off."""
        if (where not in ("irq", "ipi") and not atomic) or self.chance(10):
            return [*names]
        unfit = ("spin_lock_bh", "local_bh_disable")
        if where in ("irq", "ipi"):
            unfit += ("spin_lock_irq", "local_irq_disable")
        return [name for name in names if name not in unfit]

    def mutex(self, where, size, atomic, after):
        lock = self.pick("mmn")
        return (("mutex_lock", lock), *self.sequence(where, max(1, size - 2), atomic, after), ("mutex_unlock", lock))

    def trymutex(self, *_):
        return (("mutex_trylock", "m"), ("if", 1, (*self.memory(), ("mutex_unlock", "m")), ()))

    def region(self, where, size, atomic, after):
        names = [n for n in REGIONS if ("rcu" in n) == ("rcu" in self.topics) or self.chance(30)]
        begin = self.pick(self.suitable(names, where, atomic) or ["preempt_disable"])
        return ((begin,), *self.sequence(where, max(1, size - 2), True, after), (REGIONS[begin],))

    def cpus_lock(self, where, size, atomic, after):
        how = self.pick(("read", "read", "write"))
        inner = self.sequence(where, max(1, size - 2), atomic, after)
        return ((f"cpus_{how}_lock",), *inner, (f"cpus_{how}_unlock",))

    def post(self, *_):
        return (("post", self.pick((1, 2))),)

    def take(self, *_):
        irq = f"irq{self.pick(range(self.irqs))}"
        if self.chance(30):
            return (("synic_off", irq),)
        return (("take", irq), ("if", True, (("fetch_add", "x"),) if not self.loops else (("mb",),), ()))

    def irq(self, after):
        later = range(0 if self.loops else after + 1, self.irqs)
        return f"irq{self.pick(later)}" if later else None

    def trigger(self, where, size, atomic, after):
        irq = self.irq(after) if where != "tasklet" or self.loops else None
        return (("raise", irq),) if irq else self.memory()

    def tasklet(self, where, size, atomic, after):
        if where == "tasklet" and not self.loops:
            return self.memory()
        t = f"t{self.pick(range(self.tasklets))}"
        if where in TASKS and self.chance(20):
            begin = "tasklet_disable_in_atomic" if atomic else "tasklet_disable"
            return ((begin, t), *self.sequence(where, 1, atomic, after), ("tasklet_enable", t))
        if self.tasklets == 2 and self.chance(40):
            return (("tasklet_schedule", "t1"), ("tasklet_schedule", "t0"))
        return (("tasklet_schedule", t),)

    def defer(self, where, *_):
        if where == "rcu":
            return self.memory()
        return (("call_rcu", self.program("rcu", self.pick((1, 1, 2)))),)

    def sync(self, *_):
        return (("synchronize_rcu",),) if self.chance(90) else (("rcu_barrier",),)

    def section(self, where, size, atomic, after):
        d, inner = self.pick("sst"), self.sequence(where, max(1, size - 2), atomic, after)
        index = int(("srcu_read_unlock", d, 0) in inner) * self.chance(20)
        inner = tuple(op if op != ("srcu_read_unlock", d, 0) else (*op[:2], 1) for op in inner)  # the inner one's
        return (("srcu_read_lock", d), *inner, ("srcu_read_unlock", d, index))

    def grace(self, *_):
        return (("synchronize_srcu" if self.chance(85) else "cleanup_srcu", self.pick("sst")),)

    def heap(self, where, size, atomic, after):
        match self.pick(("deref", "deref", "swap", "swap", "alloc", "point")):
            case "deref":
                use = (("read", "p"), (self.pick(("use", "set")),))
                if "rcu" in self.topics and self.chance(70):
                    return (("rcu_read_lock",), *use, ("rcu_read_unlock",))
                return use
            case "swap":
                grace = (("synchronize_rcu",),) if where in TASKS and not atomic and self.chance(40) else ()
                free = self.pick(("kfree", "kfree_rcu")) if "rcu" in self.topics else "kfree"
                return (("xchg", "p", 0), *grace, (free,))
            case "alloc" if not self.loops:
                return (("alloc",), self.pick((("put", "p", 0), ("xchg", "y", 1), ("kfree",), ("set",))))
        return (("point", 0), (self.pick(("use", "set", "kfree", "kfree_rcu")),))

    def entry(self, where, size, atomic, after):
        i = self.pick((0, 0, 1))
        if self.chance(25):
            return (("xa_load", i), ("put", self.pick("xy"), 0))
        inner = ()
        for _ in range(self.pick((1, 1, 2))):
            match self.pick(("store", "erase", "reserve", "release", "cmpxchg")):
                case "store":
                    inner += (("xa_store", i, self.pick((1, 2))),)
                case "erase":
                    inner += (("xa_erase", i),)
                case "reserve":
                    inner += (("xa_cmpxchg", i, 0, "reserved"),)
                case "release":
                    inner += (("xa_cmpxchg", i, "reserved", 0),)
                case "cmpxchg":
                    inner += (("xa_cmpxchg", i, self.pick((0, 1, 2)), self.pick((0, 1, 2))),)
        if self.chance(5):
            return inner  # without the lock
        takes = self.pick(self.suitable(SPIN, where, atomic))
        return ((takes, "X"), *inner, (SPIN[takes], "X"), ("put", self.pick("xy"), 0))

    def queue(self, where, size, atomic, after):
        works = range(after + 1 if where == "work" and not self.loops else 0, self.works)
        if not works:
            return self.memory()
        q = f"q{self.pick(range(self.queues))}"
        if len(works) == 2 and self.chance(40):
            return (("queue_work", q, "w1"), ("queue_work", q, "w0"))
        return (("queue_work", q, f"w{self.pick(works)}"),)

    def flush(self, *_):
        if self.chance(25):
            return (("flush_workqueue", f"q{self.pick(range(self.queues))}"),)
        return ((self.pick(("flush_work", "cancel_work_sync")), f"w{self.pick(range(self.works))}"),)

    def complete(self, *_):
        return ((self.pick(("complete", "complete", "complete", "complete_all", "reinit", "done")), "c"),)

    def wait(self, *_):
        return (("wait", "c"),)

    def call(self, where, size, atomic, after):
        return (("call", self.pick(range(self.cpus)), self.program("ipi", self.pick((1, 1, 2))), self.chance(60)),)

    def case(self):
        places = [*range(self.cpus), *range(self.cpus), "own", "own", "host"]
        shapes = (
            (6,), (2, 2), (3, 2), (4, 3), (5, 2), (3, 3), (2, 2, 2), (3, 2, 1), (4, 1, 1), (3, 3, 2), (1, 1, 1, 1),
        )
        tasks = []
        for size in self.pick(shapes):
            if tasks and self.chance(15):
                tasks.append(tasks[-1])  # the two are interchangeable
                continue
            place = self.pick(places)
            tasks.append((place, self.program(place if isinstance(place, str) else "task", size)))
        if "hotplug" in self.topics and self.cpus == 2 and self.chance(60):  # CPU 1 goes; nothing else has a task there
            tasks = [(0 if place == 1 else place, ops) for place, ops in tasks]
            tasks.append((1, (("stop_machine",), *self.memory(), ("play_dead",), *self.memory())))
        handlers = [self.program("irq", self.pick((0, 1, 1, 2, 3)), i) for i in range(self.irqs)]
        return Case(
            tasks=tuple(tasks),
            cpus=self.cpus,
            irqs=tuple((self.pick(range(self.cpus)), handler) for handler in handlers),
            tasklets=tuple(self.program("tasklet", self.pick((1, 2))) for _ in range(self.tasklets)),
            works=tuple(self.program("work", self.pick((0, 1, 2, 3)), i) for i in range(self.works)),
            queues=tuple((self.chance(50), self.pick((None, None, *range(self.cpus)))) for _ in range(self.queues)),
            objects=self.pick((1, 1, 2)) if "heap" in self.topics else 0,
            port=self.program("host", self.pick((1, 2))) if "hotplug" in self.topics else None,
            invariant=(self.pick("xy"), self.pick((1, 2, 3))) if self.chance(10) else None,
            at_end=(self.pick("xy"), self.pick((0, 1, 2))) if self.chance(15) else None,
        )


TOPICS = {
    "locks": {"lock", "irq"},
    "softirqs": {"lock", "irq", "bh"},
    "rcu": {"rcu", "irq", "heap", "lock"},
    "srcu": {"srcu", "lock", "rcu", "heap"},
    "work": {"work", "lock", "complete"},
    "xarray": {"xarray", "irq", "bh"},
    "calls": {"call", "lock", "irq", "rcu"},
    "hotplug": {"hotplug", "irq", "lock"},
    "everything": {"lock", "irq", "bh", "rcu", "heap", "work", "complete", "call"},
}


# --- the tests ---------------------------------------------------------------------------------------------

ENOUGH = settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("topic", TOPICS)
@ENOUGH
@given(random=st.randoms(use_true_random=False))
def test_random_races_get_the_same_verdict(topic, random):
    """Outcomes, kinds of failures, and the number of schedules that end in each are those of the brute force."""
    case = Author(random, TOPICS[topic]).case()
    try:
        compare(case)
    except oracle.TooMany:
        reject()


@ENOUGH
@given(random=st.randoms(use_true_random=False))
def test_the_oracle_counts_schedules_as_if_it_listed_them(random):
    """What the brute force remembers of states changes no number: walking through every schedule gives the same."""
    case = Author(random, TOPICS["everything"]).case()
    try:
        verdict = oracle.judge(case, max_states=120)
    except oracle.TooMany:
        reject()
    if verdict.schedules is None or verdict.schedules > 3000:
        reject()
    endings = Counter(end for _, end in oracle.schedules(case))
    assert endings.total() == verdict.schedules
    assert {kind: n for kind, n in endings.items() if kind != "end"} == verdict.failing


def test_the_oracle_shares_no_code_with_the_engine():
    """It imports the standard library and nothing else."""
    tree = ast.parse(Path(oracle.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert imported == {"__future__", "collections", "dataclasses", "typing"}


INC = (("read", "x"), ("put", "x", 1))
BY_HAND = {
    # (case, values of x in the end, kinds of failures, schedules)
    "lost update": (Case((("own", INC), ("own", INC))), {1, 2}, set(), 6),
    "interrupted": (Case(((0, (("raise", "irq0"), *INC)),), 1, ((0, INC[1:]),)), {1, 2}, set(), 3),
    "mutex": (Case((("own", (("mutex_lock", "m"), *INC, ("mutex_unlock", "m"))),) * 2), {2}, set(), 2),
    "own lock twice": (Case((("own", (("spin_lock", "a"), ("spin_lock", "a"))),)), set(), {"deadlock"}, 1),
    "sleep": (Case((("own", (("spin_lock", "a"), ("mutex_lock", "m"))),)), set(), {"sleep-in-atomic"}, 1),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_small_races_are_judged_as_by_hand(name):
    """For races that one can count on paper, the brute force and the engine give the numbers on the paper."""
    case, values, failures, schedules = BY_HAND[name]
    verdict = compare(case)
    assert {outcome[0] for outcome in verdict.outcomes} == values
    assert (verdict.seen, verdict.schedules) == (failures, schedules)


SET = (("write", "x", 1),)
SEEN = (("read", "x"), ("put", "y", 0))
CALL = ("call", 0, SEEN, False)
#: Where an earlier engine meant something else than the kernel does, or a random race once found the two to differ.
DISPUTED = {
    "a worker needs its CPU to take an item": Case(
        ((0, (("preempt_disable",), ("queue_work", "q0", "w0"), ("queue_work", "q0", "w0"), ("put", "x", 0),
              ("preempt_enable",))),), 1, works=((),), queues=((False, 0),),
    ),
    "an item that is cancelled cannot queue itself": Case(
        (("own", (("queue_work", "q0", "w0"), ("cancel_work_sync", "w0"), ("read", "y"), ("put", "x", 0))),),
        works=((("queue_work", "q0", "w0"), ("write", "y", 1)),),
    ),
    "preempt_enable runs no softirqs": Case(
        ((0, (("preempt_disable",), ("tasklet_schedule", "t0"), ("preempt_enable",), *SEEN)),), 1, tasklets=(SET,)
    ),
    "local_bh_enable does, also with preemption off": Case(
        ((0, (("preempt_disable",), ("local_bh_disable",), ("tasklet_schedule", "t0"), ("local_bh_enable",), *SEEN,
              ("preempt_enable",))),), 1, tasklets=(SET,),
    ),
    "a tasklet interrupts a task on a CPU of its own": Case(
        (("own", (("tasklet_schedule", "t0"), ("spin_lock", "a"), ("spin_unlock", "a"))),), tasklets=((*SET, *SEEN),)
    ),
    "who spins with softirqs off keeps its tasklet waiting": Case(
        (("own", (("tasklet_schedule", "t0"), ("spin_lock_bh", "a"), ("spin_unlock_bh", "a"))),
         ("own", (("spin_lock", "a"), ("until", "x", 1), ("spin_unlock", "a")))), tasklets=(SET,),
    ),
    "rcu_barrier waits for everybody's callbacks": Case(
        (("own", (("call_rcu", SET), ("write", "y", 1))),
         ("own", (("until", "y", 1), ("rcu_barrier",), ("read", "x"), ("put", "y", 0)))),
    ),
    "between two calls the CPU goes on": Case(
        (("own", (CALL,)), ("own", (CALL,)), (0, (*SET, ("write", "x", 2)))), 1
    ),
    "a call through a queue of two CPUs": Case(((0, (("call", 1, INC, True),)), (1, (("call", 0, INC, True),))), 2),
}


@pytest.mark.parametrize("name", DISPUTED)
def test_what_was_disputed_is_settled(name):
    """The engine says what the brute force says where the two once differed, or easily might."""
    compare(DISPUTED[name])


def test_identical_tasks_that_wait_in_turn():
    """Two identical tasks at the same line are told apart by who came first; a failure behind that has a schedule."""
    waits = (1, (("synchronize_rcu",), ("raise", "irq0")))
    compare(Case((("own", (("call", 0, (("until", "y", 1),), True),)), waits, waits), 2, irqs=((0, ()),)))
