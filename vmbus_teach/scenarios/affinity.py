"""Chapter 05: two doors to one setting: which CPU a channel interrupts, by /proc/irq and by sysfs.

With Linux IRQs, an administrator (or irqbalance) can write to /proc/irq/N/smp_affinity, and as before to the channel's
file ``cpu`` in sysfs. Three must agree in the end: the host, which interrupts a CPU; VMBus, which notes the channel's
target; and the generic layer, which notes the effective affinity. (Source: "Hyper-V guests use Linux IRQs for channel
interrupts", RFC of 3 June 2024, patch 10; target_cpu_store and vmbus_disconnect_ring in Linux 6.1, drivers/hv.)

The host takes the guest's messages in their order. ``housekeeping`` CPUs and the choice among several are left out.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    IrqDomain,
    MessagePort,
    Mutex,
    hv_post_message,
    mutex_lock,
    mutex_unlock,
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
)
from ..scenario import at_end, thread
from .genirq import EIO, GenericIrq

RELID = 7
BY_PROC, BY_SYSFS = 1, 2  # the CPU that each of the two asks for
CLOSE = "CLOSECHANNEL"
OPENED, NOT_OPEN = "CHANNEL_OPENED_STATE", "CHANNEL_OPEN_STATE"  # the kernel's names; the second means: not open


class TwoDoors(GenericIrq):
    """Both doors end in irq_set_affinity: one after the other, under the descriptor's lock."""

    def setup(self):
        self.domain = IrqDomain("VMBus", (RELID,), self.handle_simple_irq)
        self.desc = self.domain.mapped(RELID, affinity=frozenset({0}), effective_affinity=0)
        self.cpu_online_mask = Cell(frozenset({0, 1, 2}))
        self.channel_mutex = Mutex()
        self.state = Cell(OPENED)  # the channel's
        self.target_cpu = Cell(0)  # VMBus's idea of the channel's CPU
        self.host_target = Cell(0)  # the host's
        self.host_port = MessagePort(self.host_takes)

    # --- the host ------------------------------------------------------------------------------

    def host_takes(self, cpu):
        yield WRITE_ONCE(self.host_target, cpu)  # interrupts this CPU from now on

    # --- the doors -----------------------------------------------------------------------------

    @thread()
    def write_proc_irq(self):
        yield from self.irq_set_affinity(self.desc, frozenset({BY_PROC}))

    @thread()
    def target_cpu_store(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.set_by_sysfs(BY_SYSFS)
        yield mutex_unlock(self.channel_mutex)

    def set_by_sysfs(self, cpu):
        yield from self.irq_set_affinity(self.desc, frozenset({cpu}))

    # --- behind both ---------------------------------------------------------------------------

    def chip_set_affinity(self, desc, mask):
        origin = yield READ_ONCE(self.target_cpu)  # which CPU is it now?
        if origin in mask:
            return 0
        state = yield READ_ONCE(self.state)  # is the channel open?
        if state != OPENED:
            return -EIO
        yield from self.retarget(min(mask))
        yield WRITE_ONCE(desc.effective_affinity, min(mask))  # tells the generic layer
        return 0

    def retarget(self, cpu):
        yield hv_post_message(self.host_port, cpu)  # asks the host to interrupt this CPU
        yield WRITE_ONCE(self.target_cpu, cpu)  # notes the new target

    # --- what must hold ------------------------------------------------------------------------

    @at_end
    def all_agree(self, s):
        host, vmbus, core = s[self.host_target], s[self.target_cpu], s[self.desc.effective_affinity]
        return host == vmbus == core or f"the host interrupts CPU {host}, sysfs says {vmbus}, /proc/irq says {core}"

    def outcome(self, s):
        return s[self.target_cpu]


class SysfsAsBefore(TwoDoors):
    """The sysfs door stays as it was: it tells the host by itself, and the generic layer nothing."""

    def set_by_sysfs(self, cpu):
        yield from self.retarget(cpu)


class SysfsTellsBoth(TwoDoors):
    """The sysfs door tells the host and the generic layer by itself, under the channel mutex."""

    def set_by_sysfs(self, cpu):
        yield from self.retarget(cpu)
        yield WRITE_ONCE(self.desc.effective_affinity, cpu)


class SysfsTakesTheLock(SysfsTellsBoth):
    """The same, under the descriptor's lock as well."""

    def set_by_sysfs(self, cpu):
        flags = yield raw_spin_lock_irqsave(self.desc.lock)
        yield from super().set_by_sysfs(cpu)
        yield raw_spin_unlock_irqrestore(self.desc.lock, flags)


class SysfsWithoutMutex(TwoDoors):
    """The sysfs door goes to irq_set_affinity without the channel mutex."""

    def target_cpu_store(self):
        yield from self.set_by_sysfs(BY_SYSFS)


class TargetNotedFirst(TwoDoors):
    """The new target is noted first, and the host is asked then."""

    def retarget(self, cpu):
        yield WRITE_ONCE(self.target_cpu, cpu)  # notes the new target
        yield hv_post_message(self.host_port, cpu)  # asks the host to interrupt this CPU


class NoDescriptorLock(TwoDoors):
    """irq_set_affinity without the descriptor's lock."""

    def irq_set_affinity(self, desc, mask):
        return (yield from self.irq_do_set_affinity(desc, mask))


# --- and a third party closes the channel -------------------------------------------------------------


class Closing(TwoDoors):
    """The channel is closed meanwhile: does a request reach the host when the channel is closed already?

    The host ignores such a request (a comment in target_cpu_store says so), and guest and host no longer agree.
    """

    def setup(self):
        super().setup()
        self.host_closed = Cell(False)
        self.ignored = Cell(False)  # our own note

    def host_takes(self, message):
        if message == CLOSE:
            yield WRITE_ONCE(self.host_closed, True)
            return
        closed = yield READ_ONCE(self.host_closed)
        if closed:
            yield WRITE_ONCE(self.ignored, True)
        else:
            yield WRITE_ONCE(self.host_target, message)  # interrupts this CPU from now on

    @thread()
    def vmbus_disconnect_ring(self):
        yield mutex_lock(self.channel_mutex)
        yield from self.close()
        yield mutex_unlock(self.channel_mutex)

    def close(self):
        yield WRITE_ONCE(self.state, NOT_OPEN)  # the channel is open no more
        yield hv_post_message(self.host_port, CLOSE)  # tells the host

    def all_agree(self, s):
        said = f"the host has ignored a request: it interrupts CPU {s[self.host_target]}, not {s[self.target_cpu]}"
        return not s[self.ignored] or said


class ClosingBySysfsAlone(Closing):
    """Only the sysfs door, which the channel mutex keeps apart from closing."""

    def write_proc_irq(self):
        yield from ()


class ClosingUnderTheLock(Closing):
    """Who closes the channel takes the descriptor's lock, too."""

    def close(self):
        flags = yield raw_spin_lock_irqsave(self.desc.lock)
        yield from super().close()
        yield raw_spin_unlock_irqrestore(self.desc.lock, flags)


class ClosingMutexInTheChip(Closing):
    """The channel mutex is taken behind both doors, where the state is looked at."""

    def target_cpu_store(self):
        yield from self.set_by_sysfs(BY_SYSFS)

    def chip_set_affinity(self, desc, mask):
        yield mutex_lock(self.channel_mutex)
        error = yield from super().chip_set_affinity(desc, mask)
        yield mutex_unlock(self.channel_mutex)
        return error
