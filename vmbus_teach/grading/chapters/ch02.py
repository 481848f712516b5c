"""Exercises of chapter 02: the per-CPU list bug."""

from __future__ import annotations

from ...kernel import (
    clear_bit,
    raise_irq,
    set_bit,
    smp_call_function_single,
    smp_cond_load_acquire,
    smp_store_release,
    sync_test_and_clear_bit,
    test_bit,
)
from ...scenario import at_end
from ...scenarios.retarget import NEW, OLD, RELID, PerCpuLists, WaitAndDrain, is_zero
from ..exercise import WAITING, BreakIt, Exercise, Forbid, JudgeIt, RepairIt

# --- break it: the two waits the other way round --------------------------------------------------------


class DrainsFirst(WaitAndDrain):
    """As WaitAndDrain, with the two waits the other way round: for the event flag first, then for the host's answer."""

    def setup(self, messages=2):
        super().setup(messages)

    def move_channel(self):
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        yield from self.send_modifychannel()
        yield smp_cond_load_acquire(self.event_flags[OLD], is_zero)  # waits for what is still in flight
        yield smp_cond_load_acquire(self.modify_response, bool)  # waits for the host's answer
        yield smp_call_function_single(OLD, self.percpu_channel_deq, OLD)

    def no_message_is_left(self, s):
        return True  # the question is whether it can be the second one alone

    @at_end
    def never_just_one_of_two(self, s):
        return s[self.ring] != 1 or "one message was delivered, the other one is left"


DRAIN = BreakIt(
    name="02-drain",
    title="The two waits the other way round",
    scenario=DrainsFirst,
    breaks="never_just_one_of_two",
    switches=12,
    hints=(
        "The event flag of CPU 0 is clear at the start, too. What does a flag that is clear now say of what comes "
        "later?",
        "The host may signal CPU 0 after the guest has looked at the flag, and before the host has switched. The "
        "answer says that nothing more is sent; it does not say that what was sent has arrived.",
        "Let the host send the first message and let CPU 0 deliver it before the channel moves. Then let the guest go "
        "as far as the wait for the answer, and only now let the host send the second message, switch, and answer. "
        "Where is that message's interrupt when the list is changed?",
    ),
)


# --- repair it: no waiting, no array --------------------------------------------------------------------


class Retarget(PerCpuLists):
    """As PerCpuLists, with a place of its own for what a CPU does that does not find the channel on its list."""

    def vmbus_chan_sched(self, cpu):
        pending = yield sync_test_and_clear_bit(RELID, self.event_flags[cpu])  # takes the event
        if not pending:
            return
        found = yield from self.relid2channel(cpu)
        if found:
            yield from self.onchannel_callback()
        else:
            yield from self.not_found(cpu)

    def not_found(self, cpu):
        yield from ()  # the event is gone, and nobody has been told

    @at_end
    def the_channel_has_moved(self, s):
        return RELID in s[self.chan_list[NEW]] and s[self.host_target] == NEW


_NOT_YOURS = "A CPU may only touch a channel that it has found on its own list; not_found is for when it has not."

RETARGET = RepairIt(
    name="02-retarget",
    title="Lose nothing, wait for nobody, and come to an end",
    scenario=Retarget,
    may_change=("move_channel", "not_found"),
    cases=({"messages": 1}, {"messages": 2}),
    must_end=True,
    forbids=(
        Forbid((*WAITING, smp_call_function_single), kinds=("irq", "ipi"),
               why="An interrupt handler must not wait for anybody: repair it without."),
    ),
    reserved={
        "ring": _NOT_YOURS,
        "onchannel_callback": _NOT_YOURS,
        "relid2channel": _NOT_YOURS,
        "host_target": "The guest cannot look into the host: it can only ask.",
    },
    hints=(
        "PassItOn of the chapter loses nothing. Play a schedule in which the event goes to and fro: what would have "
        "to be true of one of the two CPUs, so that it stops there?",
        "An order of the three steps of move_channel makes sure that the new CPU always finds the channel "
        "(EnqueueFirst). Which CPU alone can then fail to find it?",
        "Put the channel on the new list before the host is asked, and take it off the old list last. Then not_found "
        "is only ever executed on CPU 0: it sets the event flag of CPU 1, and raises CPU 1's interrupt, in this order.",
    ),
)


# --- judge it: changes to the repair that waits -----------------------------------------------------------


class NoMutex(WaitAndDrain):
    """target_cpu_store does not take channel_mutex."""

    def target_cpu_store(self):
        yield from self.move_channel()


class AsksFirst(WaitAndDrain):
    """Asks the host to switch before the channel is on the new list."""

    def move_channel(self):
        yield from self.send_modifychannel()
        yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
        yield smp_cond_load_acquire(self.modify_response, bool)  # waits for the host's answer
        yield from self.before_the_old_list_is_changed()
        yield smp_call_function_single(OLD, self.percpu_channel_deq, OLD)


class AnswersAtOnce(WaitAndDrain):
    """The host answers as soon as it has switched, and does not wait for a signal of its own that is under way."""

    def host_retargets(self):
        yield from PerCpuLists.host_retargets(self)
        yield smp_store_release(self.modify_response, 1)  # answers


class AlwaysInterrupts(WaitAndDrain):
    """The host raises the interrupt even if the event flag was set already."""

    def signal(self, cpu):
        yield set_bit(RELID, self.event_flags[cpu])  # sets the channel's event flag
        yield raise_irq(self.vmbus_isr_0 if cpu == OLD else self.vmbus_isr_1)  # interrupts the CPU


class ClearsBeforeTheCallback(WaitAndDrain):
    """The handler looks at the event flag, looks the channel up, clears the flag, and then calls the callback."""

    def vmbus_chan_sched(self, cpu):
        pending = yield test_bit(RELID, self.event_flags[cpu])
        if not pending:
            return
        found = yield from self.relid2channel(cpu)
        yield clear_bit(RELID, self.event_flags[cpu])  # takes the event
        if found:
            yield from self.onchannel_callback()


class ClearsLast(WaitAndDrain):
    """The handler clears the event flag only when the callback has returned."""

    def vmbus_chan_sched(self, cpu):
        pending = yield test_bit(RELID, self.event_flags[cpu])
        if not pending:
            return
        found = yield from self.relid2channel(cpu)
        if found:
            yield from self.onchannel_callback()
        yield clear_bit(RELID, self.event_flags[cpu])  # takes the event


CHANGES = JudgeIt(
    name="02-changes",
    title="Changes to the repair that waits",
    scenario=WaitAndDrain,
    mutations=(NoMutex, AsksFirst, AnswersAtOnce, AlwaysInterrupts, ClearsBeforeTheCallback, ClearsLast),
    cases=({"messages": 1}, {"messages": 2}),
    because={
        "NoMutex": "Here only one channel moves, once. Two writers at a time are what the mutex is for, and they are "
        "not in this scenario: harmless here is no reason to delete it.",
        "AsksFirst": "The host may switch before the channel is on the new list, and no wait comes before that.",
        "AnswersAtOnce": "A signal that is under way in the host has set no flag yet, so there is nothing to wait for.",
        "AlwaysInterrupts": "An interrupt too many finds no flag, and returns.",
        "ClearsBeforeTheCallback": "What comes after the clearing raises an interrupt anew; what came before it, the "
        "callback reads.",
        "ClearsLast": "A message that comes between the callback's last look and the clearing finds its flag set, so "
        "no interrupt is raised, and then the flag is gone. With one message that cannot happen.",
    },
    hints=(
        "Each change takes away an order, a lock, or a test. Ask of each: who relied on it, and is that one in this "
        "scenario?",
        "Three of the six do harm. One of these three needs a second message.",
        "AsksFirst: what does CPU 1 find if the host is quick? AnswersAtOnce: where can a signal be that is on its "
        "way? ClearsLast: what if a message comes between the callback and the clearing?",
    ),
)

EXERCISES: tuple[Exercise, ...] = (DRAIN, RETARGET, CHANGES)
