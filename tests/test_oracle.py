"""The engine against a brute force that shares no code with it (oracle.py), on random small races."""

from collections import Counter

import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Case

from vmbus_teach import Scenario, explore
from vmbus_teach import kernel as k

# --- a case as a scenario ----------------------------------------------------------------------------

ON_LOCKS = {
    name: getattr(k, name)
    for name in (
        "spin_lock", "spin_lock_bh", "spin_lock_irq", "spin_lock_irqsave", "spin_trylock", "spin_unlock",
        "spin_unlock_bh", "spin_unlock_irq", "mutex_lock", "mutex_trylock", "mutex_unlock",
    )
}  # fmt: skip
ALONE = {
    name: getattr(k, name)
    for name in (
        "preempt_disable", "preempt_enable", "local_bh_disable", "local_bh_enable", "local_irq_disable",
        "local_irq_enable", "local_irq_save", "rcu_read_lock", "rcu_read_unlock", "synchronize_rcu", "rcu_barrier",
    )
}  # fmt: skip
ON_COMPLETIONS = {
    "complete": k.complete, "complete_all": k.complete_all, "reinit": k.reinit_completion,
    "wait": k.wait_for_completion, "done": k.completion_done,
}  # fmt: skip
ON_TASKLETS = {name: getattr(k, name) for name in ("tasklet_schedule", "tasklet_disable", "tasklet_enable")}
ON_WORKS = {name: getattr(k, name) for name in ("flush_work", "cancel_work_sync")}
SAVES = {"spin_lock_irqsave", "local_irq_save"}
RESTORES = {"spin_unlock_irqrestore", "local_irq_restore"}
#: What leaves its result in the register.
RESULTS = {
    "read", "load", "fetch_add", "xchg", "cmpxchg", "choose", "alloc", "spin_trylock", "mutex_trylock", "done",
    "queue_work", "flush_work", "cancel_work_sync",
}  # fmt: skip


def is_object(r):
    return isinstance(r, k.Object)


class FromCase(Scenario):
    """A case, told to the engine."""

    def setup(self, case):
        self.case = case
        self.cell = {name: k.Cell(0) for name in oracle.CELLS}
        self.lock = {name: k.SpinLock() for name in oracle.SPINLOCKS}
        self.lock.update({name: k.Mutex() for name in oracle.MUTEXES})
        self.completion = {name: k.Completion() for name in oracle.COMPLETIONS}
        self.struct = k.Struct("object", capacity=oracle.MAX_OBJECTS, f=0)
        for _ in range(case.objects):
            self.struct.new()
        if case.objects:
            self.cell["p"].initial = self.struct.objects[0]
        self.line = [
            self.add_interrupt(self.program, ops, cpu=cpu, name=f"irq{i}") for i, (cpu, ops) in enumerate(case.irqs)
        ]
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
                    r = result
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
        if name in ON_TASKLETS:
            return ON_TASKLETS[name](self.tasklet[first])
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
                return k.WRITE_ONCE(self.cell[first], r if is_object(r) else r + args[1])
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
        state = {"allocated": oracle.ALLOCATED, "freed": oracle.FREED, "not allocated": None}
        things = [x for thing in objects for x in (state[s[thing]], s[thing.f])]
        return (*cells, *things)


class WithInvariant(FromCase):
    def never(self, s):
        return s[self.cell[self.case.invariant[0]]] != self.case.invariant[1]


class WithEnd(FromCase):
    def finally_is(self, s):
        return s[self.cell[self.case.at_end[0]]] == self.case.at_end[1]


def equals(wanted):
    return lambda value: value == wanted
