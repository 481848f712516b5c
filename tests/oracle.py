"""A second opinion on every verdict: a brute force that shares no code with the engine.

A ``Case`` is a small kernel race as plain data: programs are tuples of operations such as
``("spin_lock", "a")`` or ``("raise", "irq0")``. ``judge(case)`` executes every schedule of it, on a
state that is one dictionary, by the rules below. They were written from the documented meaning of
the operations and from the real kernel, and are kept as naive as possible: nothing is merged,
nothing is remembered but whole states, and every rule is in this file.

What is *not* compared is how the engine gets there (its states, nodes and footprints).

A program has two registers of its own: ``r``, the last result, and a stack of saved interrupt flags.

    ("read", x)  ("load", x)        r = x            ("write", x, v)  ("store", x, v)      x = v
    ("put", x, d)                   x = r + d, 3 at most   ("fetch_add", x)                r = ++x
    ("xchg", x, v)                  r, x = x, v      ("cmpxchg", x, old, new)              r = x, ...
    ("until", x, v)                 wait for x == v  ("choose", (v, ...))                  r = any of them
    ("if", k, yes, no)              goes on in yes where r == k, else in no; takes no step
    ("point", i)                    r = object i; takes no step
    ("use",) ("set",) ("kfree",) ("kfree_rcu",)      on the object in r; nothing at all if r holds none
    ("alloc",)                      r = a new object
    ("xa_load", i)                  r = entry i of the one xarray; 0 where nothing is, or nothing but a reservation
    ("xa_store", i, v)  ("xa_erase", i)  ("xa_cmpxchg", i, old, new)      under lock X; memory may be short

and the rest as the kernel spells it, see ``Oracle``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

UNUSED, ALLOCATED, FREED = "not allocated", "allocated", "freed"
DUE = "softirqs"  # on top of a CPU's stack: its tasklets come before anything below

SLEEPS = {
    "mutex_lock", "synchronize_rcu", "rcu_barrier", "flush_work", "cancel_work_sync", "flush_workqueue", "wait",
    "tasklet_disable", "cpus_read_lock", "cpus_write_lock", "stop_machine", "synchronize_srcu", "cleanup_srcu",
}
#: Operations on memory: whether they read and write.
ACCESS = {
    "read": "r", "load": "r", "until": "r", "use": "r", "write": "w", "store": "w", "put": "w", "set": "w",
    "fetch_add": "rw", "xchg": "rw", "cmpxchg": "rw",
}
ON_OBJECTS = {"use", "set", "kfree", "kfree_rcu"}


@dataclass(frozen=True)
class Case:
    """A race as data. ``tasks`` are (place, program) with a place of 0, 1, ... (a CPU), "own" or "host"."""

    tasks: tuple
    cpus: int = 0
    irqs: tuple = ()  # (cpu, program): "irq0", "irq1", ...
    tasklets: tuple = ()  # program: "t0", ...
    works: tuple = ()  # program: "w0", ...
    queues: tuple = ((False, None),)  # (ordered, cpu or None): "q0", ...
    objects: int = 0  # there from the start; the pointer p holds the first
    port: tuple | None = None  # what the host does with each message, which is in its r
    invariant: tuple | None = None  # (cell, v): the cell is never v
    at_end: tuple | None = None  # (cell, v): the cell is v in the end


CELLS = ("x", "y", "p")
SPINLOCKS = ("a", "b", "X")
ENTRIES = (0, 1)  # of the xarray: a number, "reserved", or 0 where nothing is
NO_MEMORY = -12
MUTEXES = ("m", "n")
COMPLETIONS = ("c",)
DOMAINS = ("s", "t")
GONE = "cleaned up"
MAX_OBJECTS = 6


class Verdict(NamedTuple):
    """All that two independent searches must agree on."""

    outcomes: frozenset
    seen: frozenset  # kinds of failures
    schedules: int | None  # None: infinitely many
    failing: dict  # kind of failure -> schedules that end in it (empty where they are infinitely many)
    states: int = 0


class TooMany(Exception):
    """The case has more states than a brute force should look at, or more objects than there is room for."""


class Blocked(Exception):
    """There is no such step now."""


class Failed(Exception):
    """The step fails a check: its schedule ends."""


class Run(NamedTuple):
    """A context in its program: on which CPU, what is left of the program, registers, how far in its operation."""

    cpu: object
    todo: tuple
    r: object = 0
    flags: tuple = ()
    phase: int = 0


class Oracle:
    """The rules. Every ``do_...`` method is one operation: (state, who, its position) -> new value of r."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.kind, self.start_at, self.program = {}, {}, {}
        for i, (place, program) in enumerate(case.tasks):
            name = f"task{i}"
            self.kind[name] = "host" if place == "host" else "task"
            self.start_at[name] = {"host": None, "own": f"own {name}"}.get(place, place)
            self.program[name] = program
        for i, (cpu, program) in enumerate(case.irqs):
            self._context(f"irq{i}", "irq", cpu, program)
        for i, program in enumerate(case.tasklets):
            self._context(f"t{i}", "tasklet", None, program)
        for i, program in enumerate(case.works):
            self._context(f"w{i}", "work", f"own w{i}", program)
        for cpu in range(case.cpus):
            self._context(f"ipi{cpu}", "ipi", cpu, ())
        self._context("rcu", "rcu", "own rcu", ())
        if case.port is not None:
            self._context("port", "port", None, case.port)
        self.cpus = {*range(case.cpus), *(cpu for cpu in self.start_at.values() if cpu is not None)}

    def _context(self, name, kind, cpu, program):
        self.kind[name], self.start_at[name], self.program[name] = kind, cpu, program

    def initial(self) -> dict:
        case = self.case
        s = {("cell", x): 0 for x in CELLS}
        if case.objects:
            s["cell", "p"] = ("object", 0)
        for i in range(MAX_OBJECTS):
            s["object", i] = ALLOCATED if i < case.objects else UNUSED
            s["field", i] = 0
        s["objects"] = case.objects
        s.update({("lock", name): None for name in SPINLOCKS + MUTEXES})
        s.update({("completion", name): 0 for name in COMPLETIONS})
        s.update({("entry", i): 1 if i == 0 else 0 for i in ENTRIES})
        for cpu in sorted(self.cpus, key=str):
            s["stack", cpu] = ()
            s["softirqs", cpu] = ()
            s["calls", cpu], s["executing", cpu] = (), ()
        for name, kind in self.kind.items():
            s["depth", name] = 0
            if kind == "irq":
                s["pending", name] = False  # None: its CPU is dead
                s["flag", name], s["synic on", name] = False, True
            if kind == "tasklet":
                s["scheduled", name], s["running", name], s["disabled", name] = None, False, 0
            if kind == "work":
                s["queued", name], s["running", name], s["waiters", name] = None, None, ()
                s["cancelled by", name] = None
        for i in range(len(case.queues)):
            s["queue", f"q{i}"], s["busy", f"q{i}"] = (), None
        s["grace"], s["callbacks"], s["calling back"] = (), (), None
        s.update({("srcu", name): () for name in DOMAINS})  # (who, index) of those inside
        s.update({("srcu grace", name): () for name in DOMAINS})  # (who waits, for whom)
        s["hotplug"], s["messages"] = (None, ()), ()  # (writer, readers); what the host has to take
        for name, kind in self.kind.items():
            s["at", name] = None
            if kind in ("task", "host"):
                run = settle(Run(self.start_at[name], self.program[name]))
                s["at", name] = run if run.todo else None
        return s

    # --- one step ----------------------------------------------------------------------------

    def moves(self, s: dict):
        """Every possible step: (who, what failed or None, the state after it)."""
        for who in self.kind:
            if s["at", who] is None:
                continue
            for choice in self._choices(s, who):
                after = dict(s)
                try:
                    self._step(after, who, choice)
                except Blocked:
                    continue
                except Failed as failed:
                    yield who, failed.args[0], None
                    continue
                self._forget_readers_that_left(after)
                yield who, None, after

    def _choices(self, s, who):
        at = s["at", who]
        if isinstance(at, Run):
            name, *args = at.todo[0]
            if name == "choose":
                return args[0]
            return (None, NO_MEMORY) if self._needs_memory(s, name, *args) else (None,)
        if who == "rcu":  # any callback whose readers have left; call_rcu of one context keeps its order
            return [i for i, callback in enumerate(s["callbacks"]) if not callback[1] and self._first(s, i)]
        return (None,)

    def _step(self, s, who, choice):
        at = s["at", who]
        if not isinstance(at, Run):
            getattr(self, f"start_{self.kind[who]}")(s, who, choice)
            return
        self._may_run(s, who, at.cpu)
        name, *args = at.todo[0]
        if name in ("use", "set") and s["object", at.r[1]] == FREED:
            raise Failed("use-after-free")
        if name in SLEEPS and (not self._task(who) or s["depth", who] or level(s, who, at.cpu)[1:] != (True, 0, 0)):
            raise Failed("sleep-in-atomic")
        if name == "choose":
            result = choice
        else:
            before = {key: s[key] for key in s if key[0] == "entry"}
            result = getattr(self, f"do_{name}")(s, who, at, *args)
            if choice == NO_MEMORY:
                result = NO_MEMORY
                s.update(before)
        if s["at", who] is not at:  # it waits in the middle of its operation
            return
        run = at if result is None else at._replace(r=result)
        if name in ("spin_lock_irqsave", "local_irq_save"):
            run = at._replace(flags=(*at.flags, result))
        if name in ("spin_unlock_irqrestore", "local_irq_restore"):
            run = at._replace(flags=at.flags[:-1])
        self._go_on(s, who, run._replace(todo=at.todo[1:], phase=0))

    def _go_on(self, s, who, run):
        """The next operation; or the program returns, as part of the step that came before."""
        run = settle(run)
        s["at", who] = run
        if run.todo:
            return
        if any(s["lock", lock] == who for lock in SPINLOCKS + MUTEXES) or who in (s["hotplug"][0], *s["hotplug"][1]):
            raise Failed("error")
        if any(who == inside[0] for d in DOMAINS if s["srcu", d] != GONE for inside in s["srcu", d]):
            raise Failed("error")
        kind = self.kind[who]
        if kind not in ("host", "port"):
            _, irqs_on, preempt, bh = level(s, who, run.cpu)
            if s["depth", who] or preempt or bh or irqs_on == (kind in ("irq", "ipi")):
                raise Failed("error")
        s["at", who] = None
        if kind not in ("task", "host"):
            getattr(self, f"end_{kind}")(s, who, run.cpu)

    def _wait(self, s, who, phase=1):
        """The operation has begun, and can't be completed now."""
        s["at", who] = s["at", who]._replace(phase=phase)

    # --- CPUs ------------------------------------------------------------------------------------

    def _task(self, who):
        return self.kind[who] in ("task", "work")

    def _may_run(self, s, who, cpu):
        """Only what is on top of its CPU may step; softirqs that are due come first."""
        if cpu is None:
            return
        stack = s["stack", cpu]
        while stack and stack[-1][0] == DUE and not self._startable(s, cpu):
            stack = stack[:-1]
        if stack and stack[-1][0] != who:
            raise Blocked
        s["stack", cpu] = stack

    def _startable(self, s, cpu):
        return [t for t in s["softirqs", cpu] if not s["disabled", t] and not s["running", t]]

    def _softirqs_come_due(self, s, cpu):
        """Asked on the way out of an interrupt or tasklet, and in local_bh_enable, but nowhere else."""
        stack = s["stack", cpu]
        if stack:
            top, irqs_on, _, bh = stack[-1]
            if self.kind.get(top) not in ("task", "work") or not irqs_on or bh:
                return
        if self._startable(s, cpu):
            s["stack", cpu] = (*stack, (DUE, True, 0, 0))

    def _change(self, s, who, at, irqs_on=None, preempt=0, bh=0):
        stack = s["stack", at.cpu]
        _, old_irqs, old_preempt, old_bh = level(s, who, at.cpu)
        new = (who, old_irqs if irqs_on is None else irqs_on, old_preempt + preempt, old_bh + bh)
        if new[2] < 0 or new[3] < 0:
            raise Failed("error")
        if (bh and self.kind[who] in ("irq", "ipi")) or (bh < 0 and not new[1]):
            raise Failed("error")  # the kernel warns of both
        below = stack[:-1] if stack and stack[-1][0] == who else stack
        if self._task(who) and new[1:] == (True, 0, 0):
            s["stack", at.cpu] = below  # it can be preempted again
        else:
            s["stack", at.cpu] = (*below, new)
        if self._task(who) and bh < 0 and not new[3]:
            self._softirqs_come_due(s, at.cpu)

    def _push(self, s, cpu, who, irqs_on):
        s["stack", cpu] = (*s["stack", cpu], (who, irqs_on, 0, 0))

    def _pop(self, s, cpu, who):
        assert s["stack", cpu][-1][0] == who
        s["stack", cpu] = s["stack", cpu][:-1]

    def do_preempt_disable(self, s, who, at):
        self._change(s, who, at, preempt=1)

    def do_preempt_enable(self, s, who, at):
        self._change(s, who, at, preempt=-1)

    def do_local_bh_disable(self, s, who, at):
        self._change(s, who, at, bh=1)

    def do_local_bh_enable(self, s, who, at):
        self._change(s, who, at, bh=-1)

    def do_local_irq_disable(self, s, who, at):
        self._change(s, who, at, irqs_on=False)

    def do_local_irq_enable(self, s, who, at):
        self._change(s, who, at, irqs_on=True)

    def do_local_irq_save(self, s, who, at):
        flags = level(s, who, at.cpu)[1]
        self._change(s, who, at, irqs_on=False)
        return flags

    def do_local_irq_restore(self, s, who, at):
        self._change(s, who, at, irqs_on=at.flags[-1] if at.flags else True)

    # --- memory ------------------------------------------------------------------------------------

    def do_read(self, s, who, at, x):
        return s["cell", x]

    do_load = do_read

    def do_write(self, s, who, at, x, value):
        s["cell", x] = value

    do_store = do_write

    def do_put(self, s, who, at, x, add):
        s["cell", x] = at.r if isinstance(at.r, tuple) else min(at.r + add, 3)

    def do_fetch_add(self, s, who, at, x):
        s["cell", x] += 1
        return s["cell", x]

    def do_xchg(self, s, who, at, x, value):
        old, s["cell", x] = s["cell", x], value
        return old

    def do_cmpxchg(self, s, who, at, x, old, new):
        found = s["cell", x]
        if found == old:
            s["cell", x] = new
        return found

    def do_until(self, s, who, at, x, value):
        if s["cell", x] != value:
            raise Blocked

    def do_mb(self, s, who, at):
        pass

    def do_alloc(self, s, who, at):
        number = s["objects"]
        if number == MAX_OBJECTS:
            raise TooMany
        s["object", number] = ALLOCATED
        s["objects"] = number + 1
        return ("object", number)

    def do_use(self, s, who, at):
        pass

    def do_set(self, s, who, at):
        s["field", at.r[1]] = 1

    def do_kfree(self, s, who, at):
        self._free(s, at.r)

    def _free(self, s, thing):
        if s["object", thing[1]] == FREED:
            raise Failed("double-free")
        s["object", thing[1]] = FREED

    # --- locks ---------------------------------------------------------------------------------------

    def _spin(self, s, who, at, lock, phase=1, **before):
        """Takes the CPU, then the lock. A context that must wait and is alone on its CPU is just blocked."""
        alone = isinstance(at.cpu, str) and not s["softirqs", at.cpu]
        if at.phase == 0 and not (alone and s["lock", lock]):
            self._change(s, who, at, **before)
            if s["lock", lock]:
                return self._wait(s, who, phase)
        if s["lock", lock]:
            raise Blocked
        s["lock", lock] = who

    def _unlock(self, s, who, lock):
        if s["lock", lock] != who:
            raise Failed("error")
        s["lock", lock] = None

    def do_spin_lock(self, s, who, at, lock):
        self._spin(s, who, at, lock, preempt=1)

    def do_spin_lock_bh(self, s, who, at, lock):
        self._spin(s, who, at, lock, bh=1)

    def do_spin_lock_irq(self, s, who, at, lock):
        self._spin(s, who, at, lock, irqs_on=False, preempt=1)

    def do_spin_lock_irqsave(self, s, who, at, lock):
        flags = {0: level(s, who, at.cpu)[1], 1: True, 2: False}[at.phase]
        self._spin(s, who, at, lock, phase=1 if flags else 2, irqs_on=False, preempt=1)
        return flags

    def do_spin_trylock(self, s, who, at, lock):
        if s["lock", lock]:
            return 0
        self._change(s, who, at, preempt=1)
        s["lock", lock] = who
        return 1

    def do_spin_unlock(self, s, who, at, lock):
        self._unlock(s, who, lock)
        self._change(s, who, at, preempt=-1)

    def do_spin_unlock_bh(self, s, who, at, lock):
        self._unlock(s, who, lock)
        self._change(s, who, at, bh=-1)

    def do_spin_unlock_irq(self, s, who, at, lock):
        self._unlock(s, who, lock)
        self._change(s, who, at, irqs_on=True, preempt=-1)

    def do_spin_unlock_irqrestore(self, s, who, at, lock):
        self._unlock(s, who, lock)
        self._change(s, who, at, irqs_on=at.flags[-1] if at.flags else True, preempt=-1)

    def do_mutex_lock(self, s, who, at, lock):
        if s["lock", lock]:
            raise Blocked
        s["lock", lock] = who

    def do_mutex_trylock(self, s, who, at, lock):
        if not self._task(who):
            raise Failed("error")
        if s["lock", lock]:
            return 0
        s["lock", lock] = who
        return 1

    def do_mutex_unlock(self, s, who, at, lock):
        self._unlock(s, who, lock)

    # --- the xarray ------------------------------------------------------------------------------------

    def _needs_memory(self, s, name, i=0, *args):
        """An entry comes to where nothing was, not even a reservation."""
        if name == "xa_store":
            return s["entry", i] == 0
        return name == "xa_cmpxchg" and s["entry", i] == 0 and args[0] == 0 and args[1] != 0

    def _seen(self, entry):
        return 0 if entry == "reserved" else entry

    def _holds_xa_lock(self, s, who):
        if s["lock", "X"] != who:
            raise Failed("error")

    def do_xa_load(self, s, who, at, i):
        return self._seen(s["entry", i])

    def do_xa_store(self, s, who, at, i, value):
        self._holds_xa_lock(s, who)
        s["entry", i] = value
        return 0

    def do_xa_erase(self, s, who, at, i):
        self._holds_xa_lock(s, who)
        old, s["entry", i] = s["entry", i], 0
        return self._seen(old)

    def do_xa_cmpxchg(self, s, who, at, i, old, new):
        self._holds_xa_lock(s, who)
        found = s["entry", i]
        if found == old:
            s["entry", i] = new
        return self._seen(found)

    # --- CPU hotplug ----------------------------------------------------------------------------------

    def do_cpus_read_lock(self, s, who, at):
        writer, readers = s["hotplug"]
        if writer:
            raise Blocked
        s["hotplug"] = (None, tuple(sorted((*readers, who))))

    def do_cpus_read_unlock(self, s, who, at):
        writer, readers = s["hotplug"]
        if who not in readers:
            raise Failed("error")
        i = readers.index(who)
        s["hotplug"] = (writer, readers[:i] + readers[i + 1 :])

    def do_cpus_write_lock(self, s, who, at):
        """From its first step on, no reader comes in; it has the lock when the last of them has left."""
        writer, readers = s["hotplug"]
        if at.phase == 0:
            if writer:
                raise Blocked
            s["hotplug"] = (who, readers)
            if readers:
                self._wait(s, who)
        elif readers:
            raise Blocked

    def do_cpus_write_unlock(self, s, who, at):
        if s["hotplug"][0] != who:
            raise Failed("error")
        s["hotplug"] = (None, s["hotplug"][1])

    def do_stop_machine(self, s, who, at):
        others = self.cpus - {at.cpu}
        if any(s["stack", cpu] for cpu in others):
            raise Blocked
        for cpu in others:
            self._push(s, cpu, who, irqs_on=False)
        self._change(s, who, at, irqs_on=False)

    def do_play_dead(self, s, who, at):
        for irq in [name for name, kind in self.kind.items() if kind == "irq" and self.start_at[name] == at.cpu]:
            if s["pending", irq]:
                s["at", irq] = None
            s["pending", irq] = None
        for cpu in self.cpus - {at.cpu}:
            if s["stack", cpu] and s["stack", cpu][-1][0] == who:
                self._pop(s, cpu, who)
        self._change(s, who, at, irqs_on=True)

    # --- completions -----------------------------------------------------------------------------------

    def do_complete(self, s, who, at, c):
        if s["completion", c] != "all":
            s["completion", c] += 1

    def do_complete_all(self, s, who, at, c):
        s["completion", c] = "all"

    def do_reinit(self, s, who, at, c):
        s["completion", c] = 0

    def do_wait(self, s, who, at, c):
        if s["completion", c] == 0:
            raise Blocked
        if s["completion", c] != "all":
            s["completion", c] -= 1

    def do_done(self, s, who, at, c):
        return int(s["completion", c] != 0)

    # --- interrupts --------------------------------------------------------------------------------------

    def do_raise(self, s, who, at, irq):
        if s["pending", irq] is None:
            return  # its CPU is dead
        s["pending", irq] = True
        if s["at", irq] is None:
            s["at", irq] = "arrives"

    def do_signal(self, s, who, at, irq):
        """The hypervisor sets a flag, and interrupts if it was clear; nothing at all if the SynIC is off."""
        if s["synic on", irq] and not s["flag", irq]:
            s["flag", irq] = True
            self.do_raise(s, who, at, irq)

    def do_take(self, s, who, at, irq):
        was, s["flag", irq] = s["flag", irq], False
        return was

    def do_synic_off(self, s, who, at, irq):
        s["synic on", irq] = False

    def do_post(self, s, who, at, message):
        s["messages"] = (*s["messages"], message)
        s["at", "port"] = s["at", "port"] or "takes"

    def start_port(self, s, port, _):
        message, *rest = s["messages"]
        s["messages"] = tuple(rest)
        self._go_on(s, port, Run(None, self.program[port], r=message))

    def end_port(self, s, port, cpu):
        if s["messages"]:
            s["at", port] = "takes"

    def _irqs_must_be_on(self, s, cpu):
        if s["stack", cpu] and not s["stack", cpu][-1][1]:
            raise Blocked

    def start_irq(self, s, irq, _):
        cpu = self.start_at[irq]
        self._irqs_must_be_on(s, cpu)
        s["pending", irq] = False
        self._push(s, cpu, irq, irqs_on=False)
        self._go_on(s, irq, Run(cpu, self.program[irq]))

    def end_irq(self, s, irq, cpu):
        self._pop(s, cpu, irq)
        self._softirqs_come_due(s, cpu)
        if s["pending", irq]:
            s["at", irq] = "arrives"

    def do_call(self, s, who, at, target, program, wait):
        """On the own CPU at once, elsewhere in an interrupt; a call is (caller, program, whether it waits)."""
        ipi, here = f"ipi{target}", target == at.cpu
        if at.phase == 0:
            if not self._task(who) or not level(s, who, at.cpu)[1]:
                raise Failed("error")
            if here:
                s["executing", target] = ((who, program, True, True),)
                self._push(s, target, ipi, irqs_on=False)
                self._go_on(s, ipi, Run(target, program))
            else:
                s["calls", target] = (*s["calls", target], (who, program, wait, False))
                s["at", ipi] = s["at", ipi] or "arrives"
                if wait:
                    self._change(s, who, at, preempt=1)
        if any(call[0] == who and call[2] for call in s["calls", target] + s["executing", target]):
            if at.phase:
                raise Blocked
            self._wait(s, who)
        elif wait and not here:
            self._change(s, who, at, preempt=-1)

    def start_ipi(self, s, ipi, _):
        """All calls that are there, those that somebody waits for first; later ones take another interrupt."""
        cpu = self.start_at[ipi]
        self._irqs_must_be_on(s, cpu)
        calls, s["calls", cpu] = s["calls", cpu], ()
        s["executing", cpu] = tuple(c for c in calls if c[2]) + tuple(c for c in calls if not c[2])
        self._push(s, cpu, ipi, irqs_on=False)
        self._go_on(s, ipi, Run(cpu, s["executing", cpu][0][1]))

    def end_ipi(self, s, ipi, cpu):
        (*_, here), *rest = s["executing", cpu]
        s["executing", cpu] = tuple(rest)
        if rest:
            self._go_on(s, ipi, Run(cpu, rest[0][1]))
            return
        self._pop(s, cpu, ipi)
        if not here:
            self._softirqs_come_due(s, cpu)
        if s["calls", cpu]:
            s["at", ipi] = "arrives"

    # --- tasklets ------------------------------------------------------------------------------------------

    def do_tasklet_schedule(self, s, who, at, t):
        if s["scheduled", t] is None:
            s["scheduled", t] = at.cpu
            s["softirqs", at.cpu] = (*s["softirqs", at.cpu], t)
            s["at", t] = s["at", t] or "starts"

    def do_tasklet_disable_in_atomic(self, s, who, at, t):
        if at.phase == 0:
            s["disabled", t] += 1
        if s["running", t]:
            if at.phase:
                raise Blocked
            self._wait(s, who)

    do_tasklet_disable = do_tasklet_disable_in_atomic

    def do_tasklet_enable(self, s, who, at, t):
        if not s["disabled", t]:
            raise Failed("error")
        s["disabled", t] -= 1

    def start_tasklet(self, s, t, _):
        cpu = s["scheduled", t]
        stack = s["stack", cpu]
        if stack and stack[-1][0] == DUE:
            stack = stack[:-1]
        elif stack:
            top, irqs_on, _, bh = stack[-1]
            if not self._task(top) or not irqs_on or bh:
                raise Blocked
        if [t] != self._startable(s, cpu)[:1]:
            raise Blocked
        s["softirqs", cpu] = tuple(other for other in s["softirqs", cpu] if other != t)
        s["scheduled", t], s["running", t], s["stack", cpu] = None, True, stack
        self._push(s, cpu, t, irqs_on=True)
        self._go_on(s, t, Run(cpu, self.program[t]))

    def end_tasklet(self, s, t, cpu):
        s["running", t] = False
        if s["scheduled", t] is not None:
            s["at", t] = "starts"
        self._pop(s, cpu, t)
        self._softirqs_come_due(s, cpu)

    # --- RCU ---------------------------------------------------------------------------------------------------

    def _readers(self, s):
        """Everybody inside rcu_read_lock or with interrupts, softirqs or preemption off (handlers, too)."""
        inside = {who for who in self.kind if s["depth", who]}
        for cpu in self.cpus:
            inside.update(entry[0] for entry in s["stack", cpu] if entry[0] != DUE)
        return frozenset(inside)

    def _forget_readers_that_left(self, s):
        """After each step: who is outside now is waited for by no grace period any more."""
        if s["grace"] or s["callbacks"]:
            inside = self._readers(s)
            s["grace"] = tuple((who, readers & inside) for who, readers in s["grace"])
            s["callbacks"] = tuple((by, readers & inside, *rest) for by, readers, *rest in s["callbacks"])

    def do_rcu_read_lock(self, s, who, at):
        s["depth", who] += 1

    def do_rcu_read_unlock(self, s, who, at):
        if not s["depth", who]:
            raise Failed("error")
        s["depth", who] -= 1

    def do_synchronize_rcu(self, s, who, at):
        if at.phase == 0:
            readers = self._readers(s)
            if readers:
                s["grace"] = (*s["grace"], (who, readers))
                self._wait(s, who)
            return
        if (who, frozenset()) not in s["grace"]:
            raise Blocked
        s["grace"] = tuple(entry for entry in s["grace"] if entry[0] != who)

    def _after_a_grace_period(self, s, who, what, argument):
        """A callback is (by whom, readers to wait for, what, argument, who waits for it in rcu_barrier)."""
        s["callbacks"] = (*s["callbacks"], (who, self._readers(s), what, argument, frozenset()))
        s["at", "rcu"] = s["at", "rcu"] or "grace ends"

    def _first(self, s, i):
        who, _, what, *_ = s["callbacks"][i]
        return what == "free" or all(c[0] != who or c[2] == "free" for c in s["callbacks"][:i])

    def do_call_rcu(self, s, who, at, program):
        self._after_a_grace_period(s, who, "call", program)

    def do_kfree_rcu(self, s, who, at):
        if s["object", at.r[1]] == FREED or any(c[2:4] == ("free", at.r) for c in s["callbacks"]):
            raise Failed("double-free")
        self._after_a_grace_period(s, who, "free", at.r)

    def do_rcu_barrier(self, s, who, at):
        """Waits for every call_rcu of before, by whomever, and for no kfree_rcu."""
        if at.phase == 0:
            s["callbacks"] = tuple((*c[:4], c[4] | {who}) if c[2] == "call" else c for c in s["callbacks"])
            if s["calling back"] is not None:
                s["calling back"] |= {who}
        if any(who in c[4] for c in s["callbacks"]) or who in (s["calling back"] or ()):
            if at.phase:
                raise Blocked
            self._wait(s, who)

    def start_rcu(self, s, rcu, choice):
        callbacks = s["callbacks"]
        _, _, what, argument, waiters = callbacks[choice]
        s["callbacks"] = callbacks[:choice] + callbacks[choice + 1 :]
        if what == "call":
            s["calling back"] = waiters
            self._push(s, "own rcu", "rcu", irqs_on=True)
            self._go_on(s, "rcu", Run("own rcu", argument))
            return
        self._free(s, argument)
        s["at", "rcu"] = "grace ends" if s["callbacks"] else None

    def end_rcu(self, s, rcu, cpu):
        s["calling back"] = None
        self._pop(s, cpu, rcu)
        s["at", "rcu"] = "grace ends" if s["callbacks"] else None

    # --- SRCU --------------------------------------------------------------------------------------------------

    def _inside(self, s, d):
        if s["srcu", d] == GONE:
            raise Failed("use-after-free")
        return s["srcu", d]

    def do_srcu_read_lock(self, s, who, at, d):
        inside, index = self._inside(s, d), 0
        while (who, index) in inside:
            index += 1
        s["srcu", d] = tuple(sorted((*inside, (who, index))))
        return index

    def do_srcu_read_unlock(self, s, who, at, d, index):
        if (who, index) not in self._inside(s, d):
            raise Failed("error")
        s["srcu", d] = tuple(section for section in s["srcu", d] if section != (who, index))
        s["srcu grace", d] = tuple((w, sections - {(who, index)}) for w, sections in s["srcu grace", d])

    def do_synchronize_srcu(self, s, who, at, d):
        """Waits for those who are inside this domain now; nobody else matters."""
        inside = frozenset(self._inside(s, d))
        if at.phase == 0:
            if inside:
                s["srcu grace", d] = (*s["srcu grace", d], (who, inside))
                self._wait(s, who)
            return
        if (who, frozenset()) not in s["srcu grace", d]:
            raise Blocked
        s["srcu grace", d] = tuple(entry for entry in s["srcu grace", d] if entry[0] != who)

    def do_cleanup_srcu(self, s, who, at, d):
        if self._inside(s, d):
            raise Failed("error")
        s["srcu", d] = GONE

    # --- work --------------------------------------------------------------------------------------------------

    def do_queue_work(self, s, who, at, q, w):
        if s["queued", w] is not None or s["cancelled by", w]:
            return 0
        s["queued", w] = q
        s["queue", q] = (*s["queue", q], w)
        s["at", w] = s["at", w] or "starts"
        return 1

    def start_work(self, s, w, _):
        q = s["queued", w]
        ordered, cpu = self.case.queues[int(q[1:])]
        cpu = self.start_at[w] if cpu is None else cpu
        self._may_run(s, w, cpu)  # the worker needs its CPU to take the item
        if ordered and s["busy", q]:
            raise Blocked
        if [other for other in s["queue", q] if not s["running", other]][:1] != [w]:
            raise Blocked
        s["queue", q] = tuple(other for other in s["queue", q] if other != w)
        if ordered:
            s["busy", q] = w
        s["queued", w], s["running", w] = None, q
        s["waiters", w] = tuple((who, "running") for who, _ in s["waiters", w])
        self._go_on(s, w, Run(cpu, self.program[w]))

    def end_work(self, s, w, cpu):
        q, s["running", w] = s["running", w], None
        if s["busy", q] == w:
            s["busy", q] = None
        s["waiters", w] = tuple(entry for entry in s["waiters", w] if entry[1] == "queued")
        if s["queued", w] is not None:
            s["at", w] = "starts"

    def _await(self, s, who, at, works):
        """Waits until none of these makes it wait any more."""
        waits = any(who == other for w in works for other, _ in s["waiters", w])
        if at.phase and waits:
            raise Blocked
        if waits:
            self._wait(s, who)

    def _works(self):
        return [name for name, kind in self.kind.items() if kind == "work"]

    def _register(self, s, who, w, queued):
        stage = "queued" if queued else "running" if s["running", w] else None
        if stage:
            s["waiters", w] = (*s["waiters", w], (who, stage))
        return stage is not None

    def do_flush_work(self, s, who, at, w):
        waited = True if at.phase else self._register(s, who, w, s["queued", w] is not None)
        self._await(s, who, at, [w])
        return int(waited)

    def do_flush_workqueue(self, s, who, at, q):
        for w in self._works() if at.phase == 0 else ():
            if q in (s["queued", w], s["running", w]):
                self._register(s, who, w, s["queued", w] == q)
        self._await(s, who, at, self._works())

    def do_cancel_work_sync(self, s, who, at, w):
        if at.phase == 0:
            if s["cancelled by", w]:
                raise Blocked
            was_queued = s["queued", w] is not None
            if was_queued:
                q, s["queued", w] = s["queued", w], None
                s["queue", q] = tuple(other for other in s["queue", q] if other != w)
                s["waiters", w] = tuple(entry for entry in s["waiters", w] if entry[1] == "running")
                if not s["running", w]:
                    s["at", w] = None
            if s["running", w]:
                self._register(s, who, w, False)
                s["cancelled by", w] = who  # until it returns, the item can't be queued
                self._wait(s, who, 2 if was_queued else 1)
            return int(was_queued)
        if any(who == other for other, _ in s["waiters", w]):
            raise Blocked
        s["cancelled by", w] = None
        return int(at.phase == 2)


def settle(run: Run) -> Run:
    """Passes over what takes no step: branches, and operations on no object."""
    todo, r = run.todo, run.r
    while todo:
        name, *args = todo[0]
        if name == "if":
            value, yes, no = args
            todo = (yes if r == value else no) + todo[1:]
        elif name == "point":
            r, todo = ("object", args[0]), todo[1:]
        elif name in ON_OBJECTS and not isinstance(r, tuple):
            todo = todo[1:]
        else:
            break
    return run._replace(todo=todo, r=r)


def level(s: dict, who: str, cpu: object) -> tuple:
    """(who, interrupts on, preemption off, softirqs off) for a context that runs on this CPU."""
    stack = s["stack", cpu]
    return stack[-1] if stack and stack[-1][0] == who else (who, True, 0, 0)


# --- all schedules -----------------------------------------------------------------------------------


def outcome(s: dict) -> tuple:
    """What remains at the end: memory."""
    return tuple(value for key, value in s.items() if key[0] in ("cell", "object", "field", "entry"))


def races(s: dict) -> bool:
    """Whether two contexts stand at accesses to one cell, one of which writes and one of which is plain."""
    standing = []
    for key, at in s.items():
        if key[0] == "at" and isinstance(at, Run) and at.todo[0][0] in ACCESS:
            name, *args = at.todo[0]
            cell = at.r if name in ON_OBJECTS else args[0]
            standing.append((cell, ACCESS[name], name in ("load", "store")))
    return any(
        one[0] == two[0] and "w" in one[1] + two[1] and (one[2] or two[2])
        for i, one in enumerate(standing)
        for two in standing[:i]
    )


def end_failures(case: Case, s: dict) -> list:
    """What is wrong with a state in which nobody can step."""
    if any(at is not None for key, at in s.items() if key[0] == "at"):
        return ["deadlock"]
    wrong = []
    if case.at_end and s["cell", case.at_end[0]] != case.at_end[1]:
        wrong.append("at_end")
    pointed_at = {s["cell", x][1] for x in CELLS if isinstance(s["cell", x], tuple)}
    for i in range(s["objects"]):
        known_at_start = i < case.objects and i != 0  # belongs to the case itself, which no cell ever led to
        if s["object", i] == ALLOCATED and i not in pointed_at and not known_at_start:
            wrong.append("leak")
    return wrong


def judge(case: Case, max_states: int = 4000) -> Verdict:
    """Every schedule, depth first; a whole state that was met before is not looked at again."""
    oracle, outcomes, seen = Oracle(case), set(), set()
    counts: dict = {}  # by state: how many schedules go on from there, by how they end; None while that is open
    endless = False

    def visit(s: dict):
        """The endings of this state's own, and the states after it."""
        if breaks_invariant(case, s):
            seen.add("invariant")
            return Counter(invariant=1), []
        if races(s):
            seen.add("data-race")
        own, after = Counter(), []
        for _, failed, state in oracle.moves(s):
            if failed:
                seen.add(failed)
                own[failed] += 1
            else:
                after.append(state)
        if not own and not after:
            wrong = end_failures(case, s)
            seen.update(wrong)
            if "deadlock" not in wrong:
                outcomes.add(outcome(s))
            own[wrong[0] if wrong else "end"] += 1
        return own, after

    def enter(s: dict, at: tuple) -> None:
        if len(counts) >= max_states:
            raise TooMany
        counts[at] = None
        path.append((at, *visit(s)))

    start = oracle.initial()
    path: list = []
    enter(start, tuple(start.values()))
    while path:
        at, total, after = path[-1]
        if not after:
            counts[at] = total
            path.pop()
            continue
        s = after[-1]
        below = tuple(s.values())
        if below not in counts:
            enter(s, below)
            continue
        after.pop()
        if counts[below] is None:
            endless = True  # this state comes before itself
        else:
            total.update(counts[below])
    ends = counts[tuple(start.values())]
    failing = {} if endless else {kind: n for kind, n in ends.items() if kind != "end"}
    return Verdict(frozenset(outcomes), frozenset(seen), None if endless else ends.total(), failing, len(counts))


def breaks_invariant(case: Case, s: dict) -> bool:
    """Whether the case's own property does not hold in this state."""
    return bool(case.invariant) and s["cell", case.invariant[0]] == case.invariant[1]


def schedules(case: Case):
    """Every complete schedule in turn, nothing remembered: (who steps, ...), how it ends."""
    oracle = Oracle(case)

    def go_on(s: dict, steps: tuple):
        if breaks_invariant(case, s):
            yield steps, "invariant"
            return
        stuck = True
        for who, failed, after in oracle.moves(s):
            stuck = False
            if failed:
                yield (*steps, who), failed
            else:
                yield from go_on(after, (*steps, who))
        if stuck:
            wrong = end_failures(case, s)
            yield steps, wrong[0] if wrong else "end"

    return go_on(oracle.initial(), ())
