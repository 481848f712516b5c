"""Wrong answers to the exercises of chapter 01."""

from answers import Wrong, flipped

from vmbus_teach.grading.chapters.ch01 import SharedSlot
from vmbus_teach.kernel import (
    HVMSG_CHANNEL,
    HVMSG_NONE,
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    SpinLock,
    clear_bit,
    cmpxchg,
    local_irq_restore,
    local_irq_save,
    raise_irq,
    smp_call_function_single,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irqrestore,
    synic_post_message,
    test_and_set_bit,
)

BOTH = [
    Wrong("host_1*4 vmbus_isr*2 host_2*4 vmbus_isr*5", "fails",
          "All has been done .* one_channel_is_well holds.* ring\\[1\\] is 0, ring\\[2\\] is 2"),
    Wrong("host_1*3 vmbus_isr*4 host_2*3 vmbus_isr*4 host_1*3 vmbus_isr*4 host_2*3 vmbus_isr*4", "fails",
          "All has been done .* ring\\[1\\] is 0, ring\\[2\\] is 0"),
    Wrong("host_1*3 vmbus_isr*2 host_2*4 vmbus_isr*2 host_1*3 vmbus_isr*4", "fails",
          "one_channel_is_well holds.* ring\\[1\\] is 0, ring\\[2\\] is 2"),
    Wrong("host_1*3 vmbus_isr*2 host_2*3 vmbus_isr*4 host_1*3 vmbus_isr*4 host_2", "fails",
          "fails as it should .*6 switches.* too many switches. There is a schedule with fewer"),
    Wrong("host_2*3 vmbus_isr host_1*2 vmbus_isr*4 host_1 vmbus_isr*2 host_1*3 host_2*3 vmbus_isr*4", "fails",
          "fails as it should .*8 switches.* too many switches. There is a schedule with fewer"),
    Wrong("host_1*3 vmbus_isr*2 host_2*4 vmbus_isr*4 host_1*3 vmbus_isr", "fails",
          "stops before its end .* Possible now: vmbus_isr"),
    Wrong("vmbus_isr", "fails", "Step 1 of 1 .*vmbus_isr has nothing to do now"),
    Wrong("host1*3", "fails", "there is no context 'host1' in LosesBoth. Did you mean host_1"),
    Wrong("host_1*3, vmbus_isr", "refused", "'host_1\\*3,' is no step of a schedule"),
]  # fmt: skip

TAKEN = "taken"


class Right(SharedSlot):
    """A right answer, for the wrong ones to begin with."""

    def handle(self, message_type):
        if message_type == TAKEN:
            return
        found = yield cmpxchg(self.slot.message_type, message_type, TAKEN)
        if found == message_type:
            yield from super().handle(message_type)

    def empty_slot(self, message_type):
        yield WRITE_ONCE(self.slot.message_type, HVMSG_NONE)
        return message_type


class EmptiesWhatItTook(Right):
    """Whoever comes to a message that is taken leaves the slot alone; who has taken it empties it by a cmpxchg."""

    def empty_slot(self, message_type):
        yield cmpxchg(self.slot.message_type, TAKEN, HVMSG_NONE)
        return message_type


class WhoEmptiesDoes(SharedSlot):
    """Reads the message, empties the slot, and does the message only if it was the one who emptied it."""

    def handle(self, message_type):
        request = yield READ_ONCE(self.slot.payload)
        found = yield from self.empty_slot(message_type)
        if found == message_type:
            yield from self.do(request)
            if (yield READ_ONCE(self.slot.msg_pending)):
                yield from self.end_of_message()


class LooksOnceMore(SharedSlot):
    """The same, and looks right before whether the message is still the one that it has read."""

    def handle(self, message_type):
        request = yield READ_ONCE(self.slot.payload)
        again = yield READ_ONCE(self.slot.payload)
        if again != request:
            return
        found = yield from self.empty_slot(message_type)
        if found == message_type:
            yield from self.do(request)
            if (yield READ_ONCE(self.slot.msg_pending)):
                yield from self.end_of_message()


class EmptiesFirst(SharedSlot):
    """Empties the slot, and the one who has emptied it reads the message."""

    def handle(self, message_type):
        found = yield from self.empty_slot(message_type)
        if found != message_type:
            return
        request = yield READ_ONCE(self.slot.payload)
        yield from self.do(request)
        if (yield READ_ONCE(self.slot.msg_pending)):
            yield from self.end_of_message()


class EmptiesAsBefore(SharedSlot):
    """Takes the message, and empties the slot with the cmpxchg that is given, which expects the old type."""

    def handle(self, message_type):
        if message_type == TAKEN:
            return
        found = yield cmpxchg(self.slot.message_type, message_type, TAKEN)
        if found == message_type:
            yield from super().handle(message_type)


class TakesWhatIsTaken(Right):
    """Does not recognise a message that is taken: it takes it once more."""

    def handle(self, message_type):
        found = yield cmpxchg(self.slot.message_type, message_type, TAKEN)
        if found == message_type:
            yield from SharedSlot.handle(self, message_type)


class OnlyChannelMessages(Right):
    """Takes only messages for channels."""

    def handle(self, message_type):
        found = yield cmpxchg(self.slot.message_type, HVMSG_CHANNEL, TAKEN)
        if found == HVMSG_CHANNEL:
            yield from SharedSlot.handle(self, message_type)


class PendingFirst(Right):
    """Takes the message, and looks whether more wait before it empties the slot."""

    def vmbus_signal_eom(self, message_type):
        pending = yield READ_ONCE(self.slot.msg_pending)
        yield from self.empty_slot(message_type)
        if pending:
            yield from self.end_of_message()


class TakesItTooLate(Right):
    """Takes the message only when it has been read."""

    def handle(self, message_type):
        if message_type == TAKEN:
            return
        request = yield READ_ONCE(self.slot.payload)
        found = yield cmpxchg(self.slot.message_type, message_type, TAKEN)
        if found == message_type:
            yield from self.do(request)
            yield from self.vmbus_signal_eom(message_type)


class RemembersRequests(SharedSlot):
    """Keeps a note of what has been done, and does nothing twice, even if it is asked to."""

    def setup(self, requests=(0, 1), timer=False):
        super().setup(requests, timer)
        self.known = Cell(0)

    def handle(self, message_type):
        request = yield READ_ONCE(self.slot.payload)
        was_set = yield test_and_set_bit(request, self.known)
        if not was_set:
            yield from self.do(request)
            yield WRITE_ONCE(self.slot.message_type, HVMSG_NONE)
            if (yield READ_ONCE(self.slot.msg_pending)):
                yield from self.end_of_message()


class TriesALock(SharedSlot):
    """Tries to take a lock, and leaves the message to the other one if that has it."""

    def setup(self, requests=(0, 1), timer=False):
        super().setup(requests, timer)
        self.lock = SpinLock()

    def handle(self, message_type):
        if not (yield spin_trylock(self.lock)):
            return
        now = yield READ_ONCE(self.slot.message_type)
        if now != HVMSG_NONE:
            yield from super().handle(now)
        yield spin_unlock(self.lock)


class TriesABit(SharedSlot):
    """Has a bit that says that somebody is at the slot, and gives it back before the slot is emptied."""

    def setup(self, requests=(0, 1), timer=False):
        super().setup(requests, timer)
        self.busy = Cell(0)

    def handle(self, message_type):
        was_set = yield test_and_set_bit(0, self.busy)
        if was_set:
            return
        request = yield READ_ONCE(self.slot.payload)
        yield from self.do(request)
        yield clear_bit(0, self.busy)
        yield from self.vmbus_signal_eom(message_type)


class PollsTheBit(SharedSlot):
    """Polls until the other one has left."""

    def setup(self, requests=(0, 1), timer=False):
        super().setup(requests, timer)
        self.busy = Cell(0)

    def handle(self, message_type):
        while (yield test_and_set_bit(0, self.busy)):
            pass
        now = yield READ_ONCE(self.slot.message_type)
        if now != HVMSG_NONE:
            yield from super().handle(now)
        yield clear_bit(0, self.busy)


class Locks(SharedSlot):
    """One lock around all of it."""

    def setup(self, requests=(0, 1), timer=False):
        super().setup(requests, timer)
        self.lock = SpinLock()

    def handle(self, message_type):
        flags = yield spin_lock_irqsave(self.lock)
        now = yield READ_ONCE(self.slot.message_type)
        if now != HVMSG_NONE:
            yield from super().handle(now)
        yield spin_unlock_irqrestore(self.lock, flags)


class InterruptsOff(SharedSlot):
    """Switches interrupts off meanwhile, on its own CPU."""

    def handle(self, message_type):
        flags = yield local_irq_save()
        yield from super().handle(message_type)
        yield local_irq_restore(flags)


class LeavesItToCpu0(SharedSlot):
    """Has CPU 0 do it, and waits."""

    def handle(self, message_type):
        yield smp_call_function_single(0, self.really, message_type)

    def really(self, message_type):
        yield from super().handle(message_type)


class PostsItAgain(SharedSlot):
    """Sends the message to itself once more if it is not sure."""

    def handle(self, message_type):
        request = yield READ_ONCE(self.slot.payload)
        found = yield from self.empty_slot(message_type)
        if found != message_type:
            yield synic_post_message(self.slot, message_type, request)


class Counts(SharedSlot):
    """Writes the counts itself."""

    def handle(self, message_type):
        for request, done in enumerate(self.done):
            yield WRITE_ONCE(done, self.requests.count(request))
        yield from self.vmbus_signal_eom(message_type)


class AsksAgain(SharedSlot):
    """Does nothing but raise the interrupt once more."""

    def handle(self, message_type):
        yield raise_irq(self.vmbus_isr)


class Returns(SharedSlot):
    """Throws every message away."""

    def handle(self, message_type):
        yield from self.vmbus_signal_eom(message_type)


class AnotherProperty(Right):
    """Overrides the property that is asked."""

    def each_request_is_done_as_often_as_it_came(self, s):
        return True


class AnotherHost(Right):
    """Changes the host."""

    def host_posts(self):
        yield synic_post_message(self.slot, HVMSG_CHANNEL, 0)


SLOT = [
    Wrong(WhoEmptiesDoes, "fails", "request 0 came once and was done twice, request 1 came once and was never done"),
    Wrong(LooksOnceMore, "fails", "request 0 came once and was done twice, request 1 came once and was never done"),
    Wrong(EmptiesFirst, "fails", "request 0 came once and was never done, request 1 came once and was done twice"),
    Wrong(EmptiesAsBefore, "fails", "request 1 came once and was never done.*3,336 of 3,336 schedules"),
    Wrong(TakesWhatIsTaken, "fails", "request 0 came once and was done twice"),
    Wrong(OnlyChannelMessages, "fails", "OnlyChannelMessages\\(timer=True\\) fails.*request 0 came once and was never"),
    Wrong(PendingFirst, "fails", "PendingFirst fails.*request 1 came once and was never done"),
    Wrong(TakesItTooLate, "fails", "request 0 came once and was done twice, request 1 came once and was never done"),
    Wrong(RemembersRequests, "fails", "\\(requests=\\(0, 0\\)\\) fails.*request 0 came twice and was done once"),
    Wrong(TriesALock, "fails", "TriesALock fails.*request 1 came once and was never done"),
    Wrong(TriesABit, "fails", "request 0 came once and was done twice"),
    Wrong(InterruptsOff, "fails", "request 0 came once and was done twice"),
    Wrong(Returns, "fails", "request 0 came once and was never done, request 1 came once and was never done"),
    Wrong(AsksAgain, "fails", "no schedule ends at all"),
    Wrong(PollsTheBit, "fails", "this can go on for ever: after step \\d+ everything is as it was after step \\d+"),
    Wrong(Locks, "refused", "does spin_lock_irqsave.* Neither CPU may wait for the other one"),
    Wrong(LeavesItToCpu0, "refused", "does smp_call_function_single.* Neither CPU may wait for the other one"),
    Wrong(PostsItAgain, "refused", "does synic_post_message.* Only the host sends messages"),
    Wrong(Counts, "refused", "done is not for your code to touch. .*use self.do\\(request\\)"),
    Wrong(AnotherProperty, "refused", "a property says what must hold, and stays as it is given"),
    Wrong(AnotherHost, "refused", "that program of the host stays as it is given"),
]

_CHANGES = {
    "SchedulesFirst": "harmless", "ClearsTheFlagLast": "harmless", "UnmasksFirst": "harmful",
    "ReadsTheRestAtOnce": "harmful", "HostAsksTheOtherWayRound": "harmless", "HostLooksIntoTheRingFirst": "harmful",
}  # fmt: skip

CHANGES = [
    Wrong(flipped(_CHANGES, "SchedulesFirst"), "fails",
          "SchedulesFirst is harmful. But .*\\(messages=3\\) holds under all"),
    Wrong(flipped(_CHANGES, "ClearsTheFlagLast"), "fails", "ClearsTheFlagLast\\(messages=3\\) holds under all"),
    Wrong(flipped(_CHANGES, "UnmasksFirst"), "fails",
          "UnmasksFirst is harmless. This schedule .*UnmasksFirst\\(messages=2\\): shown in"),
    Wrong(flipped(_CHANGES, "ReadsTheRestAtOnce"), "fails",
          "5 of 6 .*ReadsTheRestAtOnce is harmless. This schedule .*ReadsTheRestAtOnce\\(messages=3\\): shown in"),
    Wrong(flipped(_CHANGES, "HostAsksTheOtherWayRound"), "fails",
          "HostAsksTheOtherWayRound\\(messages=3\\) holds under all"),
    Wrong(flipped(_CHANGES, "HostLooksIntoTheRingFirst"), "fails",
          "HostLooksIntoTheRingFirst is harmless. This schedule .*no_message_is_left does not hold"),
    Wrong(dict.fromkeys(_CHANGES, "harmless"), "fails", "3 of 6 judgements are right. You say that UnmasksFirst"),
    Wrong({**_CHANGES, "UnmasksFirst": True}, "refused", "UnmasksFirst is judged True"),
    Wrong({"UnmasksLast": "harmful"}, "refused", "no mutation 'UnmasksLast'. Did you mean UnmasksFirst"),
    Wrong({"UnmasksFirst": "harmful"}, "refused", "SchedulesFirst, .*: not judged yet"),
]  # fmt: skip

RIGHT = {"01-slot": EmptiesWhatItTook}
WRONG = {"01-both": BOTH, "01-slot": SLOT, "01-changes": CHANGES}
