"""Chapter 04: the host offers a channel and takes the offer back, while the guest is still at work on it.

The code of early 2015. Messages from the host are handled on the connection's work queue. An offer leaves the rest of
its work to a queue of the channel's own, so a rescind can be handled meanwhile. If the offer's work is not done yet,
the rescind only sets a flag, which the end of that work looks at. (Sources: the thread "Drivers: hv: Further protection
for the rescind path", February 2015; drivers/hv of that time.)

``OfferAndRescind`` is that code with its three bugs. Two of them are repaired below it, one after the other. From
``LinkedFirst``, in which one is left, start the strategies that the thread argues about (``rescind_strategies.py``).

Simplified: the host's answer to a message is there at once, and waking somebody who does not wait yet is not lost. A
device and its driver are one. All channels have one target CPU. Left out: sub-channels, a failed allocation of the
channel itself, and the limit of 5 seconds after which vmbus_open gave up in older kernels.
"""

from __future__ import annotations

from ..kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    Completion,
    SpinLock,
    Struct,
    Tasklet,
    Work,
    WorkQueue,
    atomic_inc,
    choose,
    complete,
    flush_workqueue,
    inside,
    kfree,
    kzalloc,
    load,
    queue_work,
    raise_irq,
    smp_call_function_single,
    smp_cond_load_acquire,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    store,
    sync_test_and_clear_bit,
    tasklet_schedule,
    test_and_set_bit,
    wait_for_completion,
    xchg,
)
from ..kernel.heap import ALLOCATED
from ..scenario import Scenario, at_end, thread

RELID = 7


class OfferAndRescind(Scenario):
    """The code of early 2015: offers on the channel's own queue, rescinds on the connection's.

    ``channels`` are offered, and every offer is taken back unless ``rescinded`` is False. ``events`` is how often the
    host signals each channel once it is open, and ``target_cpu`` the CPU that it interrupts. With ``opens``, the driver
    waits for the host's answer when it opens the channel. Unless ``may_fail`` is False, the device may fail to be made,
    or to be registered.

    CPU 0 gets the messages; the rest of an offer's and of a rescind's work is done on CPU 1. With ``one_cpu``, it is
    done on CPU 0, too, whose queue frees no channel while it handles a rescind.
    """

    cpus = 2

    def setup(
        self, channels=1, rescinded=True, events=0, target_cpu=0, opens=False, may_fail=True, one_cpu=False
    ):
        self.rescinded, self.events, self.target_cpu, self.opens = rescinded, events, target_cpu, opens
        self.offer_cpu = 0 if one_cpu else 1  # where the rest of an offer's work is done
        self.luck = (True, False) if may_fail else (True,)
        self.relids = tuple(range(RELID, RELID + channels))
        self.vmbus_channel = Struct("channel", capacity=channels, **self.channel_fields())
        self.chn_list = Cell(())
        self.channel_lock = SpinLock()
        self.work_queue = WorkQueue(ordered=True, cpu=0)  # the connection's, on the CPU that gets the messages
        self.freeing_queue = self.work_queue if one_cpu else WorkQueue(ordered=True, cpu=1)  # the same queue, elsewhere
        self.offers = {relid: Work(self.vmbus_onoffer, relid) for relid in self.relids}
        self.rescinds = {relid: Work(self.vmbus_onoffer_rescind, relid) for relid in self.relids}
        self.taken_back = {relid: Cell(False) for relid in self.relids}  # by the host
        self.relid_released = {relid: Cell(0) for relid in self.relids}  # how often the host was told so
        if events:
            self.percpu_list = Cell(())  # of the target CPU
            self.event_flags = Cell(0)
            self.event_dpc = Tasklet(self.vmbus_on_event)
            self.vmbus_isr = self.add_interrupt(self.isr, cpu=target_cpu, name="vmbus_isr")

    def channel_fields(self):
        """What a channel consists of."""
        return {
            "relid": 0,
            "rescind": False,
            "offer_done": False,
            "device": None,
            "onchannel_callback": None,
            "lock": inside(SpinLock),
            "open_result": inside(Completion),
            "controlwq": inside(lambda channel: WorkQueue(ordered=True, cpu=self.offer_cpu)),
            "offer_work": inside(lambda channel: Work(self.vmbus_process_offer, channel)),
            "rescind_work": inside(lambda channel: Work(self.vmbus_process_rescind_offer, channel)),
            "release_work": inside(lambda channel: Work(self.release_channel, channel)),
        }

    def queue_of(self, channel):
        """The queue on which the rest of an offer's and of a rescind's work is done."""
        return channel.controlwq

    # --- messages ----------------------------------------------------------------------------------

    @thread(host=True)
    def host_rescinds(self):
        for relid in self.relids if self.rescinded else ():
            yield WRITE_ONCE(self.taken_back[relid], True)  # takes its offer back; a message says so

    @thread(cpu=0)
    def vmbus_on_msg_dpc(self):
        for relid in self.relids:
            yield from self.offer_message(relid)
        for relid in self.relids if self.rescinded else ():
            yield smp_cond_load_acquire(self.taken_back[relid], bool)  # gets the message of the rescind
            yield from self.rescind_message(relid)

    def offer_message(self, relid):
        yield queue_work(self.work_queue, self.offers[relid])  # has the offer handled

    def rescind_message(self, relid):
        yield queue_work(self.work_queue, self.rescinds[relid])  # has the rescind handled

    # --- an offer ------------------------------------------------------------------------------------

    def vmbus_onoffer(self, relid):
        channel = yield kzalloc(self.vmbus_channel, relid=relid)
        yield queue_work(self.queue_of(channel), channel.offer_work)  # leaves the rest to the channel's own queue

    def vmbus_process_offer(self, channel):
        yield from self.link(channel)
        created = yield from self.device_create()
        if not created:
            yield from self.create_failed(channel)
            return
        registered = yield choose(self.luck)  # vmbus_device_register: looks for its driver; may fail
        if not registered:
            yield from self.register_failed(channel)
            return
        yield WRITE_ONCE(channel.device, "device")
        yield from self.probe(channel)
        yield from self.end_of_offer(channel)

    def device_create(self):
        return (yield choose(self.luck))  # vmbus_device_create: makes the device; may fail

    def link(self, channel):
        flags = yield spin_lock_irqsave(self.channel_lock)
        yield from self.list_add(channel)
        yield spin_unlock_irqrestore(self.channel_lock, flags)

    def list_add(self, channel):
        channels = yield load(self.chn_list)
        for other in channels:
            yield load(other.relid)  # looks whether that device has a channel already
        yield store(self.chn_list, (*channels, channel))  # puts the channel on the list: now others find it

    def create_failed(self, channel):
        yield from self.free_channel(channel)  # and leaves the channel on the list

    def register_failed(self, channel):
        yield from self.unlink(channel)
        yield from self.free_channel(channel)

    def end_of_offer(self, channel):
        flags = yield spin_lock_irqsave(channel.lock)
        yield store(channel.offer_done, True)  # from now on a rescind does not have to wait for this work
        rescinded = yield load(channel.rescind)  # has one come meanwhile?
        if rescinded:
            yield queue_work(self.queue_of(channel), channel.rescind_work)
        yield spin_unlock_irqrestore(channel.lock, flags)

    # --- a rescind -----------------------------------------------------------------------------------

    def vmbus_onoffer_rescind(self, relid):
        channel = yield from self.relid2channel(relid)
        if channel is None:
            return  # and the host is told nothing
        yield from self.rescind(channel)

    def rescind(self, channel):
        flags = yield spin_lock_irqsave(channel.lock)
        yield store(channel.rescind, True)  # notes that the offer has been taken back
        offer_done = yield load(channel.offer_done)
        if offer_done:
            yield queue_work(self.queue_of(channel), channel.rescind_work)
        yield spin_unlock_irqrestore(channel.lock, flags)

    def relid2channel(self, relid):
        found = None
        flags = yield spin_lock_irqsave(self.channel_lock)
        channels = yield load(self.chn_list)
        for channel in channels:
            this = yield load(channel.relid)  # looks at the next channel on the list
            if this == relid:
                found = channel
                yield from self.found(channel)
                break
        yield spin_unlock_irqrestore(self.channel_lock, flags)
        return found

    def found(self, channel):
        yield from ()  # as it is: a bare pointer

    def vmbus_process_rescind_offer(self, channel):
        yield from self.device_unregister(channel)
        yield from self.remove_channel(channel)

    def remove_channel(self, channel):
        yield from self.release_relid(channel)
        yield from self.unlink(channel)
        yield from self.free_channel(channel)

    def release_relid(self, channel):
        relid = yield load(channel.relid)
        yield atomic_inc(self.relid_released[relid])  # tells the host RELID_RELEASED

    def unlink(self, channel):
        if self.events:
            yield from self.dequeue(channel)
        flags = yield spin_lock_irqsave(self.channel_lock)
        channels = yield load(self.chn_list)
        yield store(self.chn_list, without(channels, channel))  # takes the channel off the list
        yield spin_unlock_irqrestore(self.channel_lock, flags)

    def free_channel(self, channel):
        yield queue_work(self.freeing_queue, channel.release_work)  # has the channel freed

    def release_channel(self, channel):
        yield flush_workqueue(channel.controlwq)  # destroy_workqueue: waits for what is still on it
        yield kfree(channel)

    # --- the driver ----------------------------------------------------------------------------------

    def probe(self, channel):
        if self.opens or self.events:
            yield from self.vmbus_open(channel)

    def vmbus_open(self, channel):
        yield WRITE_ONCE(channel.onchannel_callback, "callback")
        if self.opens:
            relid = yield load(channel.relid)
            taken_back = yield READ_ONCE(self.taken_back[relid])  # sends OPENCHANNEL; has the host lost interest?
            if not taken_back:
                yield complete(channel.open_result)  # the host answers
            yield wait_for_completion(channel.open_result)  # waits for the host's answer
        if self.events:
            yield smp_call_function_single(self.target_cpu, self.percpu_channel_enq, channel)
            yield from self.host_signals(channel)

    def host_signals(self, channel):
        relid = yield load(channel.relid)
        for _ in range(self.events):
            yield test_and_set_bit(relid, self.event_flags)  # the host sets the channel's event flag
            yield raise_irq(self.vmbus_isr)  # ... and interrupts the target CPU

    def device_unregister(self, channel):
        device = yield xchg(channel.device, None)  # removes the device from its driver
        assert device is not None, "this device has been removed before"
        if self.opens or self.events:
            yield from self.vmbus_close(channel)

    def vmbus_close(self, channel):
        if self.events:
            yield smp_call_function_single(self.target_cpu, self.reset_channel_cb, channel)

    def reset_channel_cb(self, channel):
        yield WRITE_ONCE(channel.onchannel_callback, None)

    def percpu_channel_enq(self, channel):
        channels = yield READ_ONCE(self.percpu_list)
        yield WRITE_ONCE(self.percpu_list, (*channels, channel))

    def dequeue(self, channel):
        yield smp_call_function_single(self.target_cpu, self.percpu_channel_deq, channel)  # takes it off the list

    def percpu_channel_deq(self, channel):
        channels = yield READ_ONCE(self.percpu_list)
        yield WRITE_ONCE(self.percpu_list, without(channels, channel))

    # --- the interrupt path ----------------------------------------------------------------------------

    def isr(self):
        yield tasklet_schedule(self.event_dpc)

    def vmbus_on_event(self):
        for relid in self.relids:
            pending = yield sync_test_and_clear_bit(relid, self.event_flags)  # takes the event, if there is one
            if pending:
                yield from self.process_chn_event(relid)

    def process_chn_event(self, relid):
        channel = yield from self.pcpu_relid2channel(relid)
        if channel is not None:
            yield from self.use(channel)

    def pcpu_relid2channel(self, relid):
        channels = yield READ_ONCE(self.percpu_list)
        for channel in channels:
            this = yield READ_ONCE(channel.relid)  # looks at the next channel of this CPU
            if this == relid:
                yield from self.found_for_event(channel)
                return channel
        return None

    def found_for_event(self, channel):
        yield from ()  # as it is: a bare pointer

    def use(self, channel):
        yield READ_ONCE(channel.onchannel_callback)  # looks up what to call, and calls it

    # --- what must hold ----------------------------------------------------------------------------------

    @at_end
    def every_rescind_is_answered_once(self, s):
        for relid in self.relids:
            times = s[self.relid_released[relid]]
            if self.rescinded and times != 1:
                return f"the host was told {times} times that relid {relid} is free again"
        return True

    @at_end
    def the_list_has_no_freed_channel(self, s):
        return all(s[channel] == ALLOCATED for channel in s[self.chn_list]) or "it leads to freed memory"


def without(channels, channel):
    """The list without this channel."""
    return tuple(other for other in channels if other is not channel)


class AfterTheLink(OfferAndRescind):
    """Only those schedules in which the rescind's message comes when the channel has been put on the list."""

    def setup(self, **parameters):
        super().setup(**parameters)
        self.linked = {relid: Cell(False) for relid in self.relids}  # nothing of the kernel: our own note

    def list_add(self, channel):
        yield from super().list_add(channel)
        relid = yield load(channel.relid)
        yield WRITE_ONCE(self.linked[relid], True)

    def rescind_message(self, relid):
        yield smp_cond_load_acquire(self.linked[relid], bool)
        yield from super().rescind_message(relid)


# --- the two bugs that need no new idea ----------------------------------------------------------------


class UnlinksOnFailure(OfferAndRescind):
    """A channel whose device cannot be made is taken off the list before it is freed."""

    def create_failed(self, channel):
        yield from self.register_failed(channel)


class AnswersOnFailure(UnlinksOnFailure):
    """... and an offer that fails gives the relid back itself: a rescind finds nothing, and has nothing to do."""

    def register_failed(self, channel):
        yield from self.remove_channel(channel)


class LinkedFirst(AnswersOnFailure):
    """... and the channel is put on the list by the message's handler, so that a rescind cannot come before that."""

    def vmbus_onoffer(self, relid):
        channel = yield kzalloc(self.vmbus_channel, relid=relid)
        yield from super().link(channel)
        yield queue_work(self.queue_of(channel), channel.offer_work)  # leaves the rest to the channel's own queue

    def link(self, channel):
        yield from ()
