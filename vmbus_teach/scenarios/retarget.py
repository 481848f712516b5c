"""Chapter 02: a channel is given another target CPU while its interrupt is in flight.

Until 2020, the interrupt handler of each CPU looked a channel up in that CPU's own list. The
host decides which CPU it interrupts, the guest which list the channel is on, and nothing makes the
two change at one moment. (Source: the cover text of "Drivers: hv: vmbus: Replace the per-CPU
channel lists with a global array of channels", 25 March 2020, merged as 8b6a877c060e. The writable
target came later in the same series, 7527810573436, so this loss never reached a release.)

The model has one channel, relid 7, moving from CPU 0 to CPU 1. The administrator's write runs on
CPU 0. As the host does, it signals only when the ring was empty: what is behind a lost signal
stays there. The request to the host (MODIFYCHANNEL) had no answer in 2020.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Mutex,
    SpinLock,
    Traffic,
    atomic_fetch_add,
    local_irq_restore,
    local_irq_save,
    mutex_lock,
    mutex_unlock,
    next_arrival,
    raise_irq,
    set_bit,
    smp_call_function_single,
    smp_cond_load_acquire,
    smp_store_release,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    sync_test_and_clear_bit,
    test_and_set_bit,
    xchg,
)
from ..scenario import Scenario, at_end, interrupt, invariant, thread

RELID = 7
OLD, NEW = 0, 1


class PerCpuLists(Scenario):
    """The channel moves to CPU 1 while the host raises its interrupt."""

    cpus = 2

    def setup(self, messages=1):
        self.messages = messages
        self.event_flags = [Cell(0), Cell(0)]  # one word of event flags per CPU, shared with the host
        self.chan_list = [Cell(frozenset({RELID})), Cell(frozenset())]  # which channels a CPU looks up
        self.host_target = Cell(OLD)  # the host's idea of the channel's CPU
        self.modify_request = Cell(None)  # CHANNELMSG_MODIFYCHANNEL, on its way to the host
        self.ring = Cell(0)  # messages in the channel's ring buffer
        self.channel_mutex = Mutex()

    # --- the host --------------------------------------------------------------------------

    @thread(host=True)
    def host_sends(self):
        for _ in range(self.messages):
            before = yield atomic_fetch_add(1, self.ring)  # puts a message into the ring
            if before == 0:  # only then does it signal
                cpu = yield READ_ONCE(self.host_target)  # looks up which CPU to interrupt
                yield from self.signal(cpu)

    def signal(self, cpu):
        was_set = yield test_and_set_bit(RELID, self.event_flags[cpu])  # sets the channel's event flag
        if not was_set:
            yield raise_irq(self.vmbus_isr_0 if cpu == OLD else self.vmbus_isr_1)  # interrupts the CPU

    @thread(host=True)
    def host_retargets(self):
        cpu = yield smp_cond_load_acquire(self.modify_request, is_there)  # takes the guest's request
        yield WRITE_ONCE(self.host_target, cpu)  # interrupts the new CPU from now on

    # --- the guest ---------------------------------------------------------------------------

    @thread(cpu=OLD)
    def target_cpu_store(self):
        yield mutex_lock(self.channel_mutex)  # begins to move the channel
        yield from self.move_channel()
        yield mutex_unlock(self.channel_mutex)  # is done with the move

    def move_channel(self):
        yield from self.send_modifychannel()
        yield smp_call_function_single(OLD, self.percpu_channel_deq, OLD)  # has the old CPU change its list
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)  # has the new CPU change its list

    def send_modifychannel(self):
        yield smp_store_release(self.modify_request, NEW)  # asks the host to interrupt CPU 1

    def percpu_channel_deq(self, cpu):
        channels = yield READ_ONCE(self.chan_list[cpu])
        yield WRITE_ONCE(self.chan_list[cpu], channels - {RELID})  # takes the channel off the old CPU's list

    def percpu_channel_enq(self, cpu):
        channels = yield READ_ONCE(self.chan_list[cpu])
        yield WRITE_ONCE(self.chan_list[cpu], channels | {RELID})  # puts the channel on the new CPU's list

    @interrupt(cpu=OLD)
    def vmbus_isr_0(self):
        yield from self.vmbus_chan_sched(OLD)

    @interrupt(cpu=NEW)
    def vmbus_isr_1(self):
        yield from self.vmbus_chan_sched(NEW)

    def vmbus_chan_sched(self, cpu):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags[cpu])  # takes the event
        if not pending:
            return
        found = yield from self.relid2channel(cpu)
        if not found:
            return  # the event is gone, and nobody has been told
        yield from self.onchannel_callback()

    def relid2channel(self, cpu):
        channels = yield READ_ONCE(self.chan_list[cpu])  # looks the channel up in this CPU's list
        return RELID in channels

    def onchannel_callback(self):
        yield xchg(self.ring, 0)  # reads all that is in the ring

    @at_end
    def no_message_is_left(self, s):
        left = s[self.ring]
        return left == 0 or f"{left} in the ring, and nobody will be told"

    @at_end
    def nothing_stale_is_on_the_old_list(self, s):
        return RELID not in s[self.chan_list[OLD]] or "CPU 0's list still has the channel"


def is_there(request):
    """A request has come."""
    return request is not None


def is_new(cpu):
    """It is the new CPU."""
    return cpu == NEW


def is_zero(value):
    """It is 0."""
    return value == 0


# --- the two directions of the bug -------------------------------------------------------------


class HostIsLate(PerCpuLists):
    """Only those schedules in which the host switches after the guest has: lost on the old CPU."""

    def host_retargets(self):
        yield smp_cond_load_acquire(self.chan_list[NEW], bool)  # waits until the lists are changed
        yield from super().host_retargets()


class HostIsEarly(PerCpuLists):
    """Only those in which the guest changes its lists after the host: lost on the new CPU, or on its way to the old."""

    def send_modifychannel(self):
        yield from super().send_modifychannel()
        yield smp_cond_load_acquire(self.host_target, is_new)  # waits until the host has switched


# --- what one would try first --------------------------------------------------------------------


class EnqueueFirst(PerCpuLists):
    """Puts the channel on the new list before it asks the host, and takes it off the old one after."""

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        yield from self.send_modifychannel()
        yield smp_call_function_single(OLD, self.percpu_channel_deq, OLD)


class OnBothLists(EnqueueFirst):
    """As EnqueueFirst, but the channel stays on the old list as well."""

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        yield from self.send_modifychannel()


class WithALock(EnqueueFirst):
    """As EnqueueFirst, with one lock around every change of a list and every look-up."""

    def setup(self, messages=1):
        super().setup(messages)
        self.list_lock = SpinLock()

    def locked(self, program, cpu):
        flags = yield spin_lock_irqsave(self.list_lock)
        result = yield from program(cpu)
        yield spin_unlock_irqrestore(self.list_lock, flags)
        return result

    def percpu_channel_deq(self, cpu):
        yield from self.locked(super().percpu_channel_deq, cpu)

    def percpu_channel_enq(self, cpu):
        yield from self.locked(super().percpu_channel_enq, cpu)

    def relid2channel(self, cpu):
        return (yield from self.locked(super().relid2channel, cpu))


class InterruptsOff(EnqueueFirst):
    """As EnqueueFirst, with the old CPU's interrupts off from the request to the change of its list."""

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        flags = yield local_irq_save()
        yield from self.send_modifychannel()
        yield from self.percpu_channel_deq(OLD)
        yield local_irq_restore(flags)


class WaitForTheHost(EnqueueFirst):
    """As EnqueueFirst, but the old list is changed only when the host has answered.

    The host answers when it has switched and no signal to the old CPU is under way (such an answer,
    MODIFYCHANNEL_RESPONSE, came with protocol 5.3).
    """

    def setup(self, messages=1):
        super().setup(messages)
        self.host_signals = Cell(0)  # a signal is under way, in the host
        self.modify_response = Cell(0)

    def host_sends(self):
        for _ in range(self.messages):
            before = yield atomic_fetch_add(1, self.ring)  # puts a message into the ring
            if before == 0:
                yield WRITE_ONCE(self.host_signals, 1)
                cpu = yield READ_ONCE(self.host_target)  # looks up which CPU to interrupt
                yield from self.signal(cpu)
                yield WRITE_ONCE(self.host_signals, 0)

    def host_retargets(self):
        yield from super().host_retargets()
        yield smp_cond_load_acquire(self.host_signals, is_zero)  # waits for the signal under way
        yield smp_store_release(self.modify_response, 1)  # answers

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        yield from self.send_modifychannel()
        yield smp_cond_load_acquire(self.modify_response, bool)  # waits for the host's answer
        yield from self.before_the_old_list_is_changed()
        yield smp_call_function_single(OLD, self.percpu_channel_deq, OLD)

    def before_the_old_list_is_changed(self):
        yield from ()


class WaitAndDrain(WaitForTheHost):
    """As WaitForTheHost, and the old CPU's event flag must be clear, too, before its list is changed."""

    def before_the_old_list_is_changed(self):
        yield smp_cond_load_acquire(self.event_flags[OLD], is_zero)  # waits for what is still in flight


class PassItOn(PerCpuLists):
    """A CPU that does not find the channel sends the event to the other CPU."""

    def vmbus_chan_sched(self, cpu):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags[cpu])  # takes the event
        if not pending:
            return
        found = yield from self.relid2channel(cpu)
        if found:
            yield from self.onchannel_callback()
        else:
            other = NEW if cpu == OLD else OLD
            yield set_bit(RELID, self.event_flags[other])  # leaves the event to the other CPU
            yield raise_irq(self.vmbus_isr_0 if other == OLD else self.vmbus_isr_1)


# --- the repair that was merged --------------------------------------------------------------------


class GlobalArray(PerCpuLists):
    """One array for all CPUs, indexed by relid: there is nothing to move any more."""

    def setup(self, messages=1):
        super().setup(messages)
        self.chan_list = [Cell(frozenset()), Cell(frozenset())]
        self.channels = Cell(frozenset({RELID}))  # the array; here, the set of mapped relids

    def move_channel(self):
        yield from self.send_modifychannel()

    def relid2channel(self, cpu):
        channels = yield READ_ONCE(self.channels)  # looks the relid up, whichever CPU this is
        return RELID in channels


# --- in time: the channel moves again and again ------------------------------------------------------


class Retargeting(PerCpuLists):
    """Packets keep coming, the channel keeps moving to and fro; how long until an event is lost?"""

    def setup(self):
        super().setup()
        self.packets = Traffic()  # what the host has to send
        self.moves = Traffic()  # when the administrator writes a new CPU
        self.target = Cell(OLD)  # the guest's idea of the channel's CPU
        self.lost = Cell(False)  # nothing of the kernel: our own note

    def host_sends(self):
        while True:
            yield next_arrival(self.packets)
            before = yield xchg(self.ring, 1)  # puts a packet into the ring; it only matters whether that was empty
            if before == 0:
                cpu = yield READ_ONCE(self.host_target)  # looks up which CPU to interrupt
                yield from self.signal(cpu)

    def host_retargets(self):
        while True:
            yield smp_cond_load_acquire(self.modify_request, is_there)
            cpu = yield xchg(self.modify_request, None)  # takes the guest's request
            yield WRITE_ONCE(self.host_target, cpu)  # interrupts the new CPU from now on

    def target_cpu_store(self):
        while True:
            yield next_arrival(self.moves)
            yield mutex_lock(self.channel_mutex)
            old = yield READ_ONCE(self.target)
            yield from self.move(old, NEW if old == OLD else OLD)
            yield mutex_unlock(self.channel_mutex)

    def move(self, old, new):
        yield smp_store_release(self.modify_request, new)  # asks the host to interrupt the new CPU
        yield smp_call_function_single(old, self.percpu_channel_deq, old)  # has the old CPU change its list
        yield smp_call_function_single(new, self.percpu_channel_enq, new)  # has the new CPU change its list
        yield WRITE_ONCE(self.target, new)

    def vmbus_chan_sched(self, cpu):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags[cpu])  # takes the event
        if not pending:
            return
        found = yield from self.relid2channel(cpu)
        if found:
            yield from self.onchannel_callback()
        else:
            yield WRITE_ONCE(self.lost, True)  # the event is gone, and nobody has been told

    # These programs never end, so both properties are asked in every state.

    @invariant
    def no_message_is_left(self, s):
        return not s[self.lost] or "an event is gone, and nobody has been told"

    @invariant
    def nothing_stale_is_on_the_old_list(self, s):
        return not all(RELID in s[channels] for channels in self.chan_list) or "the channel is on both lists"


class RetargetingGlobalArray(Retargeting):
    """The same with one array for all CPUs."""

    def setup(self):
        super().setup()
        self.chan_list = [Cell(frozenset()), Cell(frozenset())]
        self.channels = Cell(frozenset({RELID}))

    def move(self, old, new):
        yield smp_store_release(self.modify_request, new)  # asks the host to interrupt the new CPU
        yield WRITE_ONCE(self.target, new)

    def relid2channel(self, cpu):
        channels = yield READ_ONCE(self.channels)  # looks the relid up, whichever CPU this is
        return RELID in channels
