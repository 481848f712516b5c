"""Chapter 06: an irqfd ties an eventfd to a virtual machine, and either side may be closed first.

A write to the eventfd raises an interrupt of the guest. What ties the two is an object, the **irqfd**, with a callback
on the eventfd's wait queue. The callback runs under the queue's lock with interrupts off, so it leaves the injection to
a worker. When the eventfd or the machine is closed, callback, worker and irqfd have to go, in some order.

This is the design of 2 June 2009, which was not merged: each irqfd has a reference to the machine, a mutex that says
who drops it, and an SRCU domain that says when. (Source: a patch by Gregory Haskins and its review by Paul McKenney.
[1] to [4] are the points that their mails name.)

``vm`` and ``eventfd`` say which side is closed. A program that writes to an eventfd holds the file, so the last close
comes after it; somebody in the kernel who holds the context only (``own_signaller``) may signal at any time. ``events``
is how often it is signalled. With several irqfds, what happens on the eventfd's side happens to the last one.
"""

from __future__ import annotations

from ..kernel import (
    POLLHUP,
    POLLIN,
    READ_ONCE,
    WRITE_ONCE,
    Kref,
    ListEntry,
    ListHead,
    Mutex,
    Srcu,
    Struct,
    WaitEntry,
    Work,
    atomic_inc,
    cleanup_srcu_struct,
    flush_work,
    inside,
    kfree,
    kref_put,
    list_del,
    list_first,
    list_next,
    mutex_lock,
    mutex_unlock,
    rcu_assign_pointer,
    rcu_dereference,
    schedule_work,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
    usleep_range,
)
from ..kernel.heap import Freed
from ..scenario import at_end
from .eventfd import Eventfd


class Machine(Eventfd):
    """A virtual machine with irqfds, and those who signal and close; how an irqfd comes and goes is left open."""

    def setup(self, vm=True, eventfd=False, irqfds=1, events=1, own_signaller=False):
        self.vm, self.eventfd, self.events, self.own_signaller = vm, eventfd, events, own_signaller
        machine = Struct("kvm", capacity=1, **self.kvm_fields(irqfds))
        kind = Struct("irqfd", capacity=irqfds, **self.irqfd_fields())
        self.kvm = machine.new()
        self.ctx = self.eventfd_ctx(irqfds, references=1 + own_signaller + self.irqfd_holds_the_context)
        self.irqfd = [kind.new(kvm=self.kvm, eventfd=ctx) for ctx in self.ctx]
        self.kvm.irqfds.begin_with(*(irqfd.list for irqfd in self.irqfd))
        for ctx, irqfd in zip(self.ctx, self.irqfd, strict=True):
            ctx.wqh.begin_with(irqfd.wait)
        self.add_thread(self.device)
        if own_signaller:
            self.add_thread(self.signaller)
        if vm:
            self.add_thread(self.vmm, cpu=self.cpu_of_vmm)

    #: The CPU on which the machine is closed; None: one of its own.
    cpu_of_vmm: int | None = None
    #: An irqfd has a reference of its own to the eventfd's context.
    irqfd_holds_the_context = False

    def kvm_fields(self, irqfds):
        return {"refs": inside(Kref), "irqfds": inside(ListHead), "edges": 0, "line": 0}

    def irqfd_fields(self):
        return {
            "kvm": None,
            "eventfd": None,
            "list": inside(ListEntry),
            "inject": inside(lambda irqfd: Work(self.irqfd_inject, irqfd)),
            "wait": inside(lambda irqfd: WaitEntry(self.irqfd_wakeup, irqfd)),
        }

    def irqfd_wakeup(self, irqfd, key):
        """The callback: what has happened is in ``key``."""
        raise NotImplementedError(f"{self}: irqfd_wakeup")

    def irqfd_inject(self, irqfd):
        """What the worker does."""
        raise NotImplementedError(f"{self}: irqfd_inject")

    def kvm_irqfd_release(self, kvm):
        """What becomes of the irqfds when the machine is closed."""
        raise NotImplementedError(f"{self}: kvm_irqfd_release")

    # --- the two sides ---------------------------------------------------------------------------

    def device(self):
        if not self.own_signaller:
            yield from self.signals(self.ctx[-1])
        if self.eventfd:
            yield from self.eventfd_release(self.ctx[-1])  # the file is closed for the last time

    def signaller(self):
        yield from self.signals(self.ctx[-1])
        yield from self.eventfd_ctx_put(self.ctx[-1])

    def signals(self, ctx):
        for _ in range(self.events):
            yield from self.eventfd_signal(ctx)

    def vmm(self):
        yield from self.kvm_vm_release(self.kvm)

    def kvm_vm_release(self, kvm):
        yield from self.kvm_irqfd_release(kvm)
        yield from self.kvm_put_kvm(kvm)

    def kvm_put_kvm(self, kvm):
        last = yield kref_put(kvm.refs)
        if last:
            yield from self.kvm_destroy_vm(kvm)

    def kvm_destroy_vm(self, kvm):
        yield kfree(kvm)  # frees the machine

    def kvm_set_irq(self, kvm, level):
        if level:
            yield atomic_inc(kvm.edges)  # raises the line: an edge, which the guest will see
        else:
            yield WRITE_ONCE(kvm.line, level)  # lowers the line again

    @at_end
    def the_machine_goes_with_its_last_user(self, s):
        gone = isinstance(s[self.kvm], Freed)
        return gone == self.vm or ("the machine is closed, and never freed" if self.vm else "it is freed, and in use")

    @at_end
    def an_event_of_an_open_machine_is_injected(self, s):
        may_be_missed = self.vm or (self.eventfd and self.own_signaller) or not self.events
        return may_be_missed or s[self.kvm.edges] > 0 or "an event is lost"


class VmClose(Machine):
    """The irqfd of June 2009; the machine is closed while an interrupt is injected."""

    def kvm_fields(self, irqfds):
        return super().kvm_fields(irqfds) | {
            "lock": inside(Mutex),
            "refs": inside(lambda kvm: Kref(1 + irqfds)),  # the file's, and one for each irqfd
        }

    def irqfd_fields(self):
        return super().irqfd_fields() | {"lock": inside(Mutex), "srcu": inside(Srcu)}

    # --- an event comes ----------------------------------------------------------------------------

    def irqfd_wakeup(self, irqfd, key):
        if key == POLLIN:  # switch (key)
            yield schedule_work(irqfd.inject)  # leaves the injection to a worker: wqh.lock is held
        if key == POLLHUP:
            yield from self.unhook_and_flush(irqfd)
            yield from self.irqfd_disconnect(irqfd)
            yield cleanup_srcu_struct(irqfd.srcu)
            yield kfree(irqfd)  # frees the irqfd

    def unhook_and_flush(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        yield flush_work(irqfd.inject)  # waits for an injection that is under way

    def irqfd_inject(self, irqfd):
        index = yield srcu_read_lock(irqfd.srcu)  # is a reader from here
        kvm = yield rcu_dereference(irqfd.kvm)  # [4] fetches the machine
        if kvm is not None:
            yield mutex_lock(kvm.lock)  # takes the machine's lock
            yield from self.kvm_set_irq(kvm, 1)
            yield from self.kvm_set_irq(kvm, 0)
            yield mutex_unlock(kvm.lock)  # uses the machine no more
        yield srcu_read_unlock(irqfd.srcu, index)  # [1] is no reader any more

    # --- a side is closed ---------------------------------------------------------------------------

    def irqfd_disconnect(self, irqfd):
        kvm = yield from self.take_the_machine(irqfd)
        if kvm is None:
            return  # the other side has it
        yield from self.unlink(irqfd, kvm)
        yield from self.drop_the_machine(irqfd, kvm)

    def take_the_machine(self, irqfd):
        yield mutex_lock(irqfd.lock)  # takes the irqfd's mutex
        kvm = yield rcu_dereference(irqfd.kvm)  # fetches the machine, or NULL
        yield rcu_assign_pointer(irqfd.kvm, None)  # whoever comes later finds NULL
        yield mutex_unlock(irqfd.lock)  # [2] gives the mutex back
        return kvm

    def unlink(self, irqfd, kvm):
        yield mutex_lock(kvm.lock)
        yield list_del(irqfd.list)  # takes the irqfd off the machine's list
        yield mutex_unlock(kvm.lock)

    def drop_the_machine(self, irqfd, kvm):
        yield synchronize_srcu(irqfd.srcu)  # waits for the readers of before
        yield from self.kvm_put_kvm(kvm)  # [3] drops the irqfd's reference

    def kvm_irqfd_release(self, kvm):
        irqfd = yield list_first(kvm.irqfds)  # picks the first irqfd
        while irqfd is not None:
            following = yield list_next(irqfd.list)  # notes which one comes next; no lock is held
            yield from self.irqfd_disconnect(irqfd)
            irqfd = following

    def wake_up_poll(self, ctx, key):
        yield from self.wake_up_locked_poll(ctx, key)  # POLLHUP is told without the queue's lock

    @at_end
    def an_irqfd_goes_with_its_eventfd(self, s):
        gone = isinstance(s[self.irqfd[-1]], Freed)
        return gone == self.eventfd or "the eventfd is closed, and the irqfd is never freed"


class EventfdClose(VmClose):
    """The eventfd is closed, and the machine stays."""

    def setup(self, vm=False, eventfd=True, **parameters):
        super().setup(vm, eventfd, **parameters)


class BothClose(VmClose):
    """Both sides are closed."""

    def setup(self, vm=True, eventfd=True, **parameters):
        super().setup(vm, eventfd, **parameters)


class TwoIrqfds(BothClose):
    """The machine with two irqfds is closed, and the eventfd of the second."""

    def setup(self, irqfds=2, **parameters):
        super().setup(irqfds=irqfds, **parameters)


class BothCloseInTime(BothClose):
    """Each side is closed at some moment of the same ``spread_us`` microseconds, without events."""

    def setup(self, spread_us=1_000, events=0, **parameters):
        super().setup(events=events, **parameters)
        self.spread_us = spread_us

    def device(self):
        yield usleep_range(0, self.spread_us)
        yield from super().device()

    def vmm(self):
        yield usleep_range(0, self.spread_us)
        yield from super().vmm()
