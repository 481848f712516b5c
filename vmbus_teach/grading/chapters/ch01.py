"""Exercises of chapter 01: SynIC multiplexing."""

from __future__ import annotations

from ...kernel import (
    READ_ONCE,
    Cell,
    atomic_inc,
    clear_bit,
    raise_irq,
    smp_call_function_single,
    synic_post_message,
    tasklet_schedule,
    test_and_set_bit,
    test_bit,
    virt_store_mb,
)
from ...kernel.base import listed
from ...kernel.synic import HVMSG_NONE, HVMSG_TIMER_EXPIRED
from ...scenario import at_end, thread
from ...scenarios.ring import RELID, Batched
from ...scenarios.synic import Messages, WordCleared
from ..exercise import FEWEST, WAITING, BreakIt, Exercise, Forbid, JudgeIt, RepairIt

# --- break it: both channels at once --------------------------------------------------------------------


class LosesBoth(WordCleared):
    """As WordCleared: reads all flags, then clears all. Can both channels be left with a message in the end?"""

    def no_message_is_left(self, s):
        return True  # that a message can be lost is known; the question is whether both channels can lose one

    @at_end
    def one_channel_is_well(self, s):
        left = [relid for relid in self.relids if s[self.ring[relid]]]
        return len(left) < len(self.relids) or "both rings have a message in them, and nobody will be told"


BOTH = BreakIt(
    name="01-both",
    title="Lose an event of both channels",
    scenario=LosesBoth,
    breaks="one_channel_is_well",
    switches=FEWEST,
    hints=(
        "If the handler has read a channel's flag, it reads that channel's ring as well, after the clearing. Look at "
        "the run of the handler that does the last of the damage: which flags can it have read?",
        "None at all: neither channel's. It was an interrupt that came for nothing. How can there be one, if every "
        "interrupt is raised because of a flag?",
        "The flag can be gone before its interrupt arrives: wiped out by the handler's run before. So the first loss "
        "prepares the second. Wipe out channel 2's flag; its interrupt comes, and the handler reads no flag; and now, "
        "before it clears, channel 1 sends its second message.",
    ),
)


# --- repair it: two CPUs at one slot ----------------------------------------------------------------------


class SharedSlot(Messages):
    """Two CPUs take messages out of one slot: CPU 0, as always, and CPU 1, which looks into it once.

    ``requests``: what each message asks for, 0 or 1; the same request may come twice, and is to be done twice then.
    ``timer``: the first message is one for the interrupt handler.
    """

    cpus = 2

    def setup(self, requests=(0, 1), timer=False):
        super().setup(len(requests))
        if timer:
            self.types = (HVMSG_TIMER_EXPIRED, *self.types[1:])
        self.requests = requests
        self.done = [Cell(0), Cell(0)]  # how often each request has been done

    @thread(host=True)
    def host_posts(self):
        for message_type, request in zip(self.types, self.requests, strict=True):
            yield synic_post_message(self.slot, message_type, request)  # sends a message

    @thread(cpu=1)
    def another_cpu_looks(self):
        message_type = yield READ_ONCE(self.slot.message_type)  # looks into the slot of CPU 0
        if message_type != HVMSG_NONE:
            yield from self.handle(message_type)

    def handle(self, message_type):
        request = yield READ_ONCE(self.slot.payload)  # reads the message
        yield from self.do(request)
        yield from self.vmbus_signal_eom(message_type)

    def do(self, request):
        yield atomic_inc(self.done[request])  # does what it asks for

    def every_message_is_handled(self, s):
        return True  # that is half of the next one

    @at_end
    def each_request_is_done_as_often_as_it_came(self, s):
        wrong = [
            f"request {request} came {_times(came)} and was {_done(s[done])}"
            for request, done in enumerate(self.done)
            if s[done] != (came := self.requests.count(request))
        ]
        return not wrong or listed(wrong)


def _times(number):
    """How often, in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(number) or f"{number} times"


def _done(number):
    """How often it was done, in words."""
    return f"done {_times(number)}" if number else "never done"


SLOT = RepairIt(
    name="01-slot",
    title="Two CPUs at one slot, and each message exactly once",
    scenario=SharedSlot,
    may_change=("handle", "vmbus_signal_eom", "empty_slot"),
    cases=({}, {"requests": (0, 0)}, {"requests": (0, 1, 0)}, {"timer": True}),
    must_end=True,
    forbids=(
        Forbid((*WAITING, smp_call_function_single), why="Neither CPU may wait for the other one: repair it without."),
        Forbid((synic_post_message,), why="Only the host sends messages."),
    ),
    reserved={"done": "It only counts what has been done; to do a request, use self.do(request)."},
    hints=(
        "cmpxchg empties the slot only if the type is still the same. When does that tell you who is to do the "
        "message, and what can be in the slot by then? Two messages can look alike.",
        "Decide who does the message before anybody reads it, in one step that only one CPU can win. But the slot must "
        "not look empty to the hypervisor meanwhile: an empty slot is not yours.",
        "The slot is full as long as its type is not HVMSG_NONE, whatever else it is. Take a message by writing a type "
        "of your own over its type, with cmpxchg; who has not taken it, returns. Then read it, do it, write "
        "HVMSG_NONE, and look at msg_pending. What does a CPU do that finds your own type in the slot to begin with?",
    ),
)


# --- judge it: changes to a batched channel ------------------------------------------------------------------


class SchedulesFirst(Batched):
    """The handler schedules the tasklet first, and asks the host to be silent then."""

    def vmbus_chan_sched(self):
        yield tasklet_schedule(self.callback_event)  # has the tasklet read the ring
        yield from self.hv_begin_read()


class ClearsTheFlagLast(Batched):
    """The handler only looks at the event flag, and clears it as the last thing that it does."""

    def vmbus_isr(self):
        is_set = yield test_bit(RELID, self.event_flags)  # looks at the flag
        if is_set:
            yield from self.vmbus_chan_sched()
        yield clear_bit(RELID, self.event_flags)  # clears it


class UnmasksFirst(Batched):
    """The tasklet unmasks first and reads the ring then: announce, then look. So it does not look a second time."""

    def vmbus_on_event(self):
        yield virt_store_mb(self.interrupt_mask, 0)  # wants to be told again
        yield from self.onchannel_callback()


class ReadsTheRestAtOnce(Batched):
    """Where the second look finds something, the tasklet reads that at once, and is done."""

    def read_again(self):
        yield from self.onchannel_callback()


class HostAsksTheOtherWayRound(Batched):
    """The host looks first whether the ring was empty, and at the mask then; both when its message is in the ring."""

    def hv_ringbuffer_write(self, old_write):
        yield virt_store_mb(self.write_index, old_write + 1)  # puts a message into the ring
        read = yield READ_ONCE(self.read_index)  # looks whether the ring was empty before
        if read == old_write:
            masked = yield READ_ONCE(self.interrupt_mask)  # looks whether the guest wants to be told
            if not masked:
                yield from self.signal()

    def signal(self):
        was_set = yield test_and_set_bit(RELID, self.event_flags)  # sets the channel's event flag
        if not was_set:
            yield raise_irq(self.vmbus_isr)  # interrupts the CPU


class HostLooksIntoTheRingFirst(HostAsksTheOtherWayRound):
    """The host looks whether the ring is empty, puts its message in, and looks at the mask."""

    def hv_ringbuffer_write(self, old_write):
        read = yield READ_ONCE(self.read_index)  # looks whether the ring is empty
        yield virt_store_mb(self.write_index, old_write + 1)  # puts a message into the ring
        masked = yield READ_ONCE(self.interrupt_mask)  # looks whether the guest wants to be told
        if read == old_write and not masked:
            yield from self.signal()


CHANGES = JudgeIt(
    name="01-changes",
    title="Changes to a batched channel",
    scenario=Batched,
    mutations=(
        SchedulesFirst, ClearsTheFlagLast, UnmasksFirst, ReadsTheRestAtOnce, HostAsksTheOtherWayRound,
        HostLooksIntoTheRingFirst,
    ),
    cases=({"messages": 2}, {"messages": 3}),
    because={
        "SchedulesFirst": "A tasklet runs when the handler has returned, not where it is scheduled: by then the host "
        "is silent in either order.",
        "ClearsTheFlagLast": "It clears the flag after the handler's work, but before the channel's: the ring is read "
        "later, by the tasklet. Were a signal swallowed here, its message would be read all the same.",
        "UnmasksFirst": "It does announce before it looks, but only one of two things. The host is silent, too, as "
        "long as read_index says that the ring is not empty, and that is written last. Nobody looks after that.",
        "ReadsTheRestAtOnce": "Reading again needs a second look of its own, for the same reason as reading once. It "
        "takes three messages to be seen.",
        "HostAsksTheOtherWayRound": "Whichever of its two questions the host asks first, its message is in the ring "
        "by then; and the guest looks into the ring after it has answered both.",
        "HostLooksIntoTheRingFirst": "The ring can have been emptied between the host's look and its message. Then "
        "it is silent about a message for an empty ring.",
    },
    hints=(
        "There are two reasons for which the host is silent, and to each belongs something that the guest writes. Ask "
        "of each change: is the ring looked at once more after the later of the two, and is the message in by then?",
        "Three of the six do harm. One of these three needs a third message, and one keeps to the rule of the chapter, "
        "but to one half of it only.",
        "UnmasksFirst: what does a host find that sends between the guest's look and the write of read_index? "
        "ReadsTheRestAtOnce: the same question. HostLooksIntoTheRingFirst: let the guest read all that there is right "
        "after the host's look.",
    ),
)  # fmt: skip

EXERCISES: tuple[Exercise, ...] = (BOTH, SLOT, CHANGES)
