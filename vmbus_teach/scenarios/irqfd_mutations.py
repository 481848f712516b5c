"""Chapter 06: the irqfd of June 2009 with one thing changed. Which of these changes does harm, and on which side?

Each class changes what its docstring says and nothing else; ``vm``, ``eventfd`` and ``own_signaller`` say who closes
and who signals, as in irqfd.py.
"""

from __future__ import annotations

from ..kernel import (
    POLLHUP,
    POLLIN,
    READ_ONCE,
    Kref,
    Struct,
    cleanup_srcu_struct,
    flush_work,
    inside,
    kfree,
    kref_get,
    kref_put,
    list_add_tail,
    list_del,
    mutex_lock,
    mutex_unlock,
    rcu_assign_pointer,
    rcu_dereference,
    remove_wait_entry,
    schedule_work,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
)
from ..scenario import thread
from .irqfd import EventfdClose, VmClose

# --- when is the machine's reference dropped? --------------------------------------------------------------


class NoGracePeriod(VmClose):
    """Nobody waits for the readers."""

    def drop_the_machine(self, irqfd, kvm):
        yield from self.kvm_put_kvm(kvm)


class NoGracePeriodNoFlush(NoGracePeriod):
    """... nor for the worker, when the eventfd is closed."""

    def unhook_and_flush(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)


class MachinePutFirst(VmClose):
    """The machine's reference is dropped, and then readers are waited for."""

    def drop_the_machine(self, irqfd, kvm):
        yield from self.kvm_put_kvm(kvm)
        yield synchronize_srcu(irqfd.srcu)


class NoFlush(VmClose):
    """Closing the eventfd does not wait for the worker."""

    def unhook_and_flush(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)


class MachinePutFirstNoFlush(NoFlush, MachinePutFirst):
    """Both: the reference is dropped first, and nobody waits for the worker."""


class NulledTooLate(VmClose):
    """The pointer is set to NULL after the grace period, so that readers go on finding it meanwhile."""

    def take_the_machine(self, irqfd):
        yield mutex_lock(irqfd.lock)
        kvm = yield rcu_dereference(irqfd.kvm)
        yield mutex_unlock(irqfd.lock)
        return kvm

    def drop_the_machine(self, irqfd, kvm):
        yield synchronize_srcu(irqfd.srcu)
        yield rcu_assign_pointer(irqfd.kvm, None)
        yield from self.kvm_put_kvm(kvm)


class ReaderLeavesEarly(VmClose):
    """The worker leaves its section once it has the pointer, and uses it afterwards."""

    def irqfd_inject(self, irqfd):
        index = yield srcu_read_lock(irqfd.srcu)
        kvm = yield rcu_dereference(irqfd.kvm)
        yield srcu_read_unlock(irqfd.srcu, index)
        if kvm is not None:
            yield mutex_lock(kvm.lock)
            yield from self.kvm_set_irq(kvm, 1)
            yield from self.kvm_set_irq(kvm, 0)
            yield mutex_unlock(kvm.lock)


# --- who drops it, and what is left to him ------------------------------------------------------------------


class NoMutex(VmClose):
    """The pointer is read and set to NULL without the irqfd's mutex."""

    def take_the_machine(self, irqfd):
        kvm = yield rcu_dereference(irqfd.kvm)
        yield rcu_assign_pointer(irqfd.kvm, None)
        return kvm


class ReadAgain(VmClose):
    """The pointer is read once more after the mutex has been given back: no copy is kept."""

    def take_the_machine(self, irqfd):
        yield from super().take_the_machine(irqfd)
        return (yield rcu_dereference(irqfd.kvm))


class InjectReadsAgain(VmClose):
    """The worker tests the pointer, and reads it again to use it."""

    def irqfd_inject(self, irqfd):
        index = yield srcu_read_lock(irqfd.srcu)
        if (yield rcu_dereference(irqfd.kvm)) is not None:
            kvm = yield rcu_dereference(irqfd.kvm)
            assert kvm is not None, "a NULL pointer is used"
            yield mutex_lock(kvm.lock)
            yield from self.kvm_set_irq(kvm, 1)
            yield from self.kvm_set_irq(kvm, 0)
            yield mutex_unlock(kvm.lock)
        yield srcu_read_unlock(irqfd.srcu, index)


# --- what waits for what ----------------------------------------------------------------------------------


class GracePeriodUnderTheLock(VmClose):
    """Readers are waited for under kvm->lock, which a reader may want."""

    def unlink(self, irqfd, kvm):
        yield mutex_lock(kvm.lock)
        yield list_del(irqfd.list)
        yield synchronize_srcu(irqfd.srcu)
        yield mutex_unlock(kvm.lock)

    def drop_the_machine(self, irqfd, kvm):
        yield from self.kvm_put_kvm(kvm)


class FlushUnderTheLock(EventfdClose):
    """The worker is waited for under kvm->lock, which it wants."""

    def unhook_and_flush(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield from self.remove_wait_queue(ctx, irqfd.wait)
        kvm = yield rcu_dereference(irqfd.kvm)
        if kvm is not None:
            yield mutex_lock(kvm.lock)
            yield flush_work(irqfd.inject)
            yield mutex_unlock(kvm.lock)


class FlushedThenUnhooked(EventfdClose):
    """The worker is waited for, and then the callback is unhooked."""

    def unhook_and_flush(self, irqfd):
        ctx = yield READ_ONCE(irqfd.eventfd)
        yield flush_work(irqfd.inject)
        yield from self.remove_wait_queue(ctx, irqfd.wait)


# --- where it is called from ------------------------------------------------------------------------------


class ReleaseInDestroy(VmClose):
    """The irqfds are disconnected when the machine's last reference goes, as before the patch."""

    def kvm_vm_release(self, kvm):
        yield from self.kvm_put_kvm(kvm)

    def kvm_destroy_vm(self, kvm):
        yield from self.kvm_irqfd_release(kvm)
        yield from super().kvm_destroy_vm(kvm)


class Assigning(VmClose):
    """An irqfd is made while a program closes the eventfd: the last of the two has to deal with the close."""

    def setup(self, vm=False, eventfd=True, **parameters):
        super().setup(vm, eventfd, **parameters)
        self.file = Struct("file", refs=inside(lambda file: Kref(2))).new()  # the program's, and the ioctl's
        self.kvm.refs.initial = 1
        self.kvm.irqfds.begin_with()
        self.ctx[-1].wqh.begin_with()
        self.irqfd[-1].list.initial = self.irqfd[-1].wait.initial = None

    @thread()
    def ioctl(self):
        yield from self.kvm_irqfd_assign(self.kvm, self.irqfd[-1], self.ctx[-1])

    def kvm_irqfd_assign(self, kvm, irqfd, ctx):
        yield from self.add_wait_queue(ctx, irqfd.wait)  # by the file's poll method
        yield kref_get(kvm.refs)
        yield mutex_lock(kvm.lock)
        yield list_add_tail(irqfd.list, kvm.irqfds)
        yield mutex_unlock(kvm.lock)
        yield from self.fput(ctx)  # the irqfd is complete

    def device(self):
        yield from self.fput(self.ctx[-1])

    def fput(self, ctx):
        last = yield kref_put(self.file.refs)
        if last:
            yield kfree(self.file)
            yield from self.eventfd_release(ctx)

    def an_event_of_an_open_machine_is_injected(self, s):
        return True  # there is none


class EarlyFput(Assigning):
    """The file is dropped once the callback is hooked, before the irqfd is complete."""

    def kvm_irqfd_assign(self, kvm, irqfd, ctx):
        yield from self.add_wait_queue(ctx, irqfd.wait)
        yield from self.fput(ctx)
        yield kref_get(kvm.refs)
        yield mutex_lock(kvm.lock)
        yield list_add_tail(irqfd.list, kvm.irqfds)
        yield mutex_unlock(kvm.lock)


# --- what the callback may do -----------------------------------------------------------------------------


class HupUnderTheLock(EventfdClose):
    """POLLHUP is told under the queue's lock, as it has been since it was merged."""

    def wake_up_poll(self, ctx, key):
        yield from super(VmClose, self).wake_up_poll(ctx, key)


class HupUnderTheLockUnhooks(HupUnderTheLock):
    """... and the callback unhooks itself without taking the lock, which is held already."""

    def remove_wait_queue(self, ctx, entry):
        yield remove_wait_entry(ctx.wqh, entry)


class BothBits(EventfdClose):
    """Whoever closes tells both at once: POLLIN | POLLHUP. The callback's switch knows neither."""

    def eventfd_release(self, ctx):
        yield from self.wake_up_poll(ctx, POLLIN | POLLHUP)
        yield from self.eventfd_ctx_put(ctx)


class BitsTested(BothBits):
    """The same, and the callback tests each bit."""

    def irqfd_wakeup(self, irqfd, key):
        if key & POLLIN:
            yield schedule_work(irqfd.inject)
        if key & POLLHUP:
            yield from self.unhook_and_flush(irqfd)
            yield from self.irqfd_disconnect(irqfd)
            yield cleanup_srcu_struct(irqfd.srcu)
            yield kfree(irqfd)


class ModuleUnloaded(VmClose):
    """The machine is closed and KVM's module is unloaded; the callback, which is still hooked, was in it."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.module = Struct("kvm_ko", text="code").new()

    def irqfd_wakeup(self, irqfd, key):
        yield READ_ONCE(self.module.text)  # executes the module's code
        yield from super().irqfd_wakeup(irqfd, key)

    def kvm_destroy_vm(self, kvm):
        yield from super().kvm_destroy_vm(kvm)
        yield kfree(self.module)  # rmmod: no machine is left, so nothing keeps the module


#: Every change of this file, for a table: who closes is a parameter.
CHANGES = (
    NoGracePeriod, NoGracePeriodNoFlush, MachinePutFirst, NoFlush, MachinePutFirstNoFlush, NulledTooLate,
    ReaderLeavesEarly, NoMutex, ReadAgain, InjectReadsAgain, GracePeriodUnderTheLock, FlushUnderTheLock,
    FlushedThenUnhooked, ReleaseInDestroy,
)  # fmt: skip
