"""Wrong answers to the exercises of chapter 02."""

from answers import Wrong, flipped

from vmbus_teach.grading.chapters.ch02 import Retarget
from vmbus_teach.kernel import (
    Cell,
    SpinLock,
    local_irq_restore,
    local_irq_save,
    raise_irq,
    set_bit,
    smp_call_function_single,
    smp_cond_load_acquire,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    test_and_set_bit,
    xchg,
)
from vmbus_teach.scenarios.retarget import NEW, OLD, RELID, EnqueueFirst, GlobalArray, is_new

DRAIN = [
    Wrong(
        "target_cpu_store*2 ipi1*3 target_cpu_store*3 host_sends*7 host_retargets*4 target_cpu_store*2 ipi0*2 "
        "target_cpu_store*2 vmbus_isr_0*3", "fails", "never_just_one_of_two holds.* ring is 2",
    ),
    Wrong(
        "host_sends*6 vmbus_isr_0*4 host_sends*6 vmbus_isr_0*4 target_cpu_store*2 ipi1*3 target_cpu_store*3 "
        "host_retargets*4 target_cpu_store*2 ipi0*2 "
        "target_cpu_store*2", "fails", "never_just_one_of_two holds.* ring is 0",
    ),
    Wrong(
        "host_sends*6 vmbus_isr_0*4 target_cpu_store*2 ipi1 host_sends ipi1*2 target_cpu_store*2 host_sends "
        "target_cpu_store "
        "host_sends*4 host_retargets*4 target_cpu_store*2 ipi0*2 target_cpu_store*2 vmbus_isr_0*3", "fails",
        "too many switches. At most 12 are allowed",
    ),
    Wrong("host_sends*6 vmbus_isr_0*4", "fails", "stops before its end"),
    Wrong("host_sends*5 host_retargets", "fails", "Step 6 of 6 .*host_retargets cannot step now: it waits for "
                                                  "modify_request"),
    Wrong("host", "fails", "there is no context 'host'"),
    Wrong("host_sends*6, vmbus_isr_0*4", "refused", "'host_sends\\*6,' is no step of a schedule"),
]  # fmt: skip


class OnlyTheOrder(Retarget):
    """The order alone."""

    move_channel = EnqueueFirst.move_channel


class ToAndFro(Retarget):
    """Passes on to the other CPU, whichever that is."""

    def not_found(self, cpu):
        other = NEW if cpu == OLD else OLD
        yield set_bit(RELID, self.event_flags[other])
        yield raise_irq(self.vmbus_isr_0 if other == OLD else self.vmbus_isr_1)


class Right(OnlyTheOrder):
    """A right answer, for the wrong ones to begin with."""

    def not_found(self, cpu):
        yield set_bit(RELID, self.event_flags[NEW])
        yield raise_irq(self.vmbus_isr_1)


class SignalsAsTheHostDoes(OnlyTheOrder):
    """Interrupts the other CPU only if its event flag was clear."""

    def not_found(self, cpu):
        before = yield test_and_set_bit(RELID, self.event_flags[NEW])
        if not before:
            yield raise_irq(self.vmbus_isr_1)


class FlagOnly(OnlyTheOrder):
    """Sets the flag, and tells nobody."""

    def not_found(self, cpu):
        yield set_bit(RELID, self.event_flags[NEW])


class InterruptFirst(OnlyTheOrder):
    """Raises the interrupt before the flag is set."""

    def not_found(self, cpu):
        yield raise_irq(self.vmbus_isr_1)
        yield set_bit(RELID, self.event_flags[NEW])


class StaysOnTheOldList(Right):
    """Never takes the channel off the old list."""

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        yield from self.send_modifychannel()


class InterruptsOff(OnlyTheOrder):
    """Switches the old CPU's interrupts off while it moves the channel."""

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        flags = yield local_irq_save()
        yield from self.send_modifychannel()
        yield from self.percpu_channel_deq(OLD)
        yield local_irq_restore(flags)


class LocksInTheHandler(Right):
    """One lock around all that the handler does with the event."""

    def setup(self, messages=1):
        super().setup(messages)
        self.lock = SpinLock()

    def not_found(self, cpu):
        flags = yield spin_lock_irqsave(self.lock)
        yield from super().not_found(cpu)
        yield spin_unlock_irqrestore(self.lock, flags)


class CallsTheOtherCpu(OnlyTheOrder):
    """Has the new CPU do it, and waits."""

    def not_found(self, cpu):
        yield smp_call_function_single(NEW, self.vmbus_chan_sched, NEW)


class DoesItAnyway(OnlyTheOrder):
    """Runs the callback of a channel that it has not found."""

    def not_found(self, cpu):
        yield from self.onchannel_callback()


class ReturnsTheCallback(OnlyTheOrder):
    """Hands the callback's generator on, without a yield of its own."""

    def not_found(self, cpu):
        return self.onchannel_callback()


class ActsForTheOtherCpu(OnlyTheOrder):
    """Looks on the other CPU's list, and runs the callback here."""

    def not_found(self, cpu):
        yield set_bit(RELID, self.event_flags[NEW])
        yield from self.vmbus_chan_sched(NEW)


class ActsAsTheOtherHandler(OnlyTheOrder):
    """Executes the other CPU's handler here."""

    def not_found(self, cpu):
        yield set_bit(RELID, self.event_flags[NEW])
        yield from type(self).vmbus_isr_1(self)


class HasTheOtherCpuDoIt(OnlyTheOrder):
    """Has the new CPU run the callback at the end of the move, by a call."""

    def move_channel(self):
        yield from super().move_channel()
        yield smp_call_function_single(NEW, self.onchannel_callback)


class ReadsTheRing(OnlyTheOrder):
    """Empties the ring of a channel that it has not found."""

    def not_found(self, cpu):
        yield xchg(self.ring, 0)


class LooksIntoTheHost(OnlyTheOrder):
    """Waits until the host's own variable says that it has switched."""

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        yield from self.send_modifychannel()
        yield smp_cond_load_acquire(self.host_target, is_new)
        yield smp_call_function_single(OLD, self.percpu_channel_deq, OLD)


class NeverMoves(Right):
    """Does not move the channel at all."""

    def move_channel(self):
        yield from ()


class MovesOnlyTheLists(Right):
    """Moves the channel, and does not tell the host."""

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        yield smp_call_function_single(OLD, self.percpu_channel_deq, OLD)


class AnArray(Retarget):
    """The array of the chapter."""

    def setup(self, messages=1):
        super().setup(messages)
        self.chan_list = [Cell(frozenset()), Cell(frozenset())]
        self.channels = Cell(frozenset({RELID}))

    move_channel = GlobalArray.move_channel
    relid2channel = GlobalArray.relid2channel


RETARGET = [
    Wrong(OnlyTheOrder, "fails", "no_message_is_left does not hold"),
    Wrong(ToAndFro, "fails", "this can go on for ever: after step \\d+ everything is as it was after step \\d+"),
    Wrong(FlagOnly, "fails", "no_message_is_left does not hold"),
    Wrong(InterruptFirst, "fails", "no_message_is_left does not hold"),
    Wrong(StaysOnTheOldList, "fails", "nothing_stale_is_on_the_old_list does not hold"),
    Wrong(InterruptsOff, "fails", "no_message_is_left does not hold"),
    Wrong(LocksInTheHandler, "refused", "vmbus_isr_0 does spin_lock_irqsave.* must not wait"),
    Wrong(CallsTheOtherCpu, "refused", "vmbus_isr_0 does smp_call_function_single.* must not wait"),
    Wrong(DoesItAnyway, "refused", "onchannel_callback is run from not_found.* not for your code to run"),
    Wrong(ReturnsTheCallback, "refused", "not_found, which cannot count here: it has no yield"),
    Wrong(ActsForTheOtherCpu, "refused", "relid2channel is run from not_found"),
    Wrong(ActsAsTheOtherHandler, "refused", "relid2channel is run from not_found"),
    Wrong(HasTheOtherCpuDoIt, "refused", "onchannel_callback is run as a program of its own, in ipi1"),
    Wrong(ReadsTheRing, "refused", "vmbus_isr_0 does xchg\\(ring, 0\\)"),
    Wrong(LooksIntoTheHost, "refused", "host_target is not for your code to touch. The guest cannot look into the "
                                       "host"),
    Wrong(NeverMoves, "fails", "deadlock: nobody can go on: host_retargets waits"),
    Wrong(MovesOnlyTheLists, "fails", "deadlock: nobody can go on: host_retargets waits"),
    Wrong(AnArray, "refused", "AnArray has relid2channel, which cannot count here"),
    Wrong(GlobalArray, "refused", "GlobalArray is no subclass of Retarget"),
]

_CHANGES = {
    "NoMutex": "harmless", "AsksFirst": "harmful", "AnswersAtOnce": "harmful", "AlwaysInterrupts": "harmless",
    "ClearsBeforeTheCallback": "harmless", "ClearsLast": "harmful",
}  # fmt: skip

CHANGES = [
    Wrong(flipped(_CHANGES, "NoMutex"), "fails", "NoMutex\\(messages=1\\) holds under all .* NoMutex\\(messages=2\\) "
                                                 "holds"),
    Wrong(flipped(_CHANGES, "AsksFirst"), "fails", "AsksFirst is harmless. This schedule.*no_message_is_left"),
    Wrong(flipped(_CHANGES, "AnswersAtOnce"), "fails", "AnswersAtOnce is harmless. This schedule.*no_message_is_left"),
    Wrong(flipped(_CHANGES, "AlwaysInterrupts"), "fails", "AlwaysInterrupts\\(messages=2\\) holds under all"),
    Wrong(flipped(_CHANGES, "ClearsBeforeTheCallback"), "fails", "ClearsBeforeTheCallback\\(messages=2\\) holds under "
                                                                 "all"),
    Wrong(flipped(_CHANGES, "ClearsLast"), "fails", "ClearsLast is harmless.*ClearsLast\\(messages=2\\): shown in"),
    Wrong(dict.fromkeys(_CHANGES, "harmful"), "fails", "3 of 6 judgements are right"),
    Wrong("all harmless", "refused", "is a dict such as"),
]

RIGHT = {"02-retarget": SignalsAsTheHostDoes}
WRONG = {"02-drain": DRAIN, "02-retarget": RETARGET, "02-changes": CHANGES}
