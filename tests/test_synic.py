"""Chapter 01: what message slot, event flags, rings and callback modes promise, and what breaks them."""

import pytest
from by_hand import the_failure
from places import ROOT

from vmbus_teach import ModelError, Session, explore
from vmbus_teach.kernel import READ_ONCE, Cell, cmpxchg
from vmbus_teach.kernel.synic import HVMSG_CHANNEL, HVMSG_NONE, MessageSlot, hv_signal_eom, synic_post_message
from vmbus_teach.scenario import Scenario, ScenarioError, interrupt, thread
from vmbus_teach.scenarios import catalogue, one_vector, ring, synic
from vmbus_teach.scenarios.one_vector import MODES, OneVector, OneVectorNoRecheck, next_bit

CHAPTER = [entry for entry in catalogue() if entry.chapter == "01"]


# --- the slot itself -------------------------------------------------------------------------------------


class Slot(Scenario):
    """The host posts two messages; a task empties the slot and writes EOM, as often as ``rounds`` says."""

    cpus = 1

    def setup(self, rounds):
        self.rounds = rounds
        self.slot = MessageSlot(self.isr)
        self.interrupts = Cell(0)

    @thread(host=True)
    def host(self):
        yield synic_post_message(self.slot, HVMSG_CHANNEL, "a")
        yield synic_post_message(self.slot, HVMSG_CHANNEL, "b")

    @thread(cpu=0)
    def task(self):
        for _ in range(self.rounds):
            yield cmpxchg(self.slot.message_type, HVMSG_CHANNEL, HVMSG_NONE)
            yield hv_signal_eom(self.slot)

    @interrupt(cpu=0)
    def isr(self):
        yield READ_ONCE(self.slot.message_type)

    def outcome(self, s):
        slot = self.slot
        return s[slot.message_type], s[slot.payload], s[slot.msg_pending], s[slot]


def slot_after(schedule, rounds=1):
    """(type, payload, msg_pending, what waits) after these steps."""
    session = Session(Slot(rounds=rounds))
    for word in schedule.split():
        session.step(word)
    return session.scenario.outcome(session.state)


def test_the_first_message_goes_into_the_slot():
    """An empty slot takes a message, and nothing is pending."""
    assert slot_after("host") == (HVMSG_CHANNEL, "a", False, ())


def test_the_second_message_waits():
    """A full slot takes none: the message waits in the hypervisor, and the flag says so."""
    assert slot_after("host host") == (HVMSG_CHANNEL, "a", True, ((HVMSG_CHANNEL, "b"),))


def test_an_empty_slot_is_not_filled_by_itself():
    """After the guest has emptied the slot, the message still waits."""
    assert slot_after("host host task") == (HVMSG_NONE, "a", True, ((HVMSG_CHANNEL, "b"),))


def test_eom_fills_it():
    """Writing EOM brings the next message and raises the interrupt once more."""
    assert slot_after("host host task task") == (HVMSG_CHANNEL, "b", False, ())
    session = Session(Slot(rounds=1))
    for word in ["host", "isr", "isr", "host", "task", "task"]:
        session.step(word)
    assert session.state[session.scenario.isr]


def test_eom_changes_nothing_in_a_full_slot():
    """A message in the slot is never overwritten."""
    assert slot_after("task host host task") == (HVMSG_CHANNEL, "a", True, ((HVMSG_CHANNEL, "b"),))


def test_a_slot_needs_an_interrupt():
    """Whoever gives it something else is told what to write."""

    class Wrong(Slot):
        def setup(self):
            self.slot = MessageSlot("vmbus_isr")

    with pytest.raises(ModelError, match=r"MessageSlot takes the interrupt .* not 'vmbus_isr'.*MessageSlot\(self"):
        Wrong()


# --- the chapter's scenarios -----------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", CHAPTER, ids=lambda entry: entry.scenario.__name__)
def test_small_enough_for_the_page(entry):
    """At most 2,000 states, so that the stepper has all of them."""
    assert explore(entry.make(), max_states=2_001).complete


def test_every_scenario_is_in_the_catalogue():
    """No class of the chapter's files is without an expected verdict."""
    modules = (synic, ring, one_vector)
    defined = {
        thing for module in modules for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Scenario) and thing.__module__ == module.__name__
    }  # fmt: skip
    assert defined == {entry.scenario for entry in CHAPTER}


@pytest.mark.parametrize("broken", [synic.PendingReadFirst, synic.EomBeforeEmptying, synic.NeverEom])
def test_a_single_message_is_never_stuck(broken):
    """What is wrong with the order of EOM takes a second message to be seen."""
    assert explore(broken(messages=1)).ok
    assert "never handled: message 2" in the_failure(broken(messages=2), "at_end")


def test_it_is_the_second_message_that_a_plain_write_wipes_out():
    """With cmpxchg nothing is lost, as long as the two messages differ in type."""
    assert explore(synic.CrashingCpu).ok
    assert "never handled: message 2" in the_failure(synic.CrashingCpuPlainStore, "at_end")
    assert "never handled: message 2" in the_failure(synic.CrashingCpuSameType, "at_end")


def test_one_channel_hides_the_cleared_word():
    """With one channel there is no other flag that could be wiped out; with two there is."""
    assert explore(synic.WordCleared(channels=1)).ok
    assert not explore(synic.WordCleared(channels=2)).ok


def test_one_message_hides_the_late_clear():
    """The late clear wipes out the signal for a second message."""
    assert explore(synic.ClearedAfterwards(messages=1)).ok
    assert explore(synic.ClearedAfterwards(messages=2)).outcomes == {0, 1, 2}


@pytest.mark.parametrize("messages", [2, 3, 4])
def test_a_silent_channel_stays_silent(messages):
    """Without the second look everything from the second message on can be left, however many follow."""
    assert explore(ring.NoRecheck(messages=messages)).outcomes == set(range(messages))


def test_batched_and_isr_differ_only_in_who_does_it():
    """The driver of InIsr takes the steps that VMBus takes in batched mode: the same schedules."""
    batched, isr = explore(ring.Batched), explore(ring.InIsr)
    assert (batched.states, batched.schedules) == (isr.states, isr.schedules)


def test_barriers_change_nothing_here():
    """Memory is sequentially consistent: the same states and schedules with and without."""
    with_them, without = explore(ring.Batched), explore(ring.WithoutBarriers)
    assert (with_them.states, with_them.schedules) == (without.states, without.schedules)


# --- all of it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_delivers(mode):
    """Two channels, or two messages on one, or control messages beside: nothing is left in any mode."""
    for size in ({}, {"channels": 1, "messages": 2}, {"channels": 1, "control": 2}):
        assert explore(OneVector(mode=mode, **size)).ok


@pytest.mark.parametrize("mode", MODES)
def test_without_end(mode):
    """A host that never stops: the search ends all the same, and nobody comes to a halt."""
    result = explore(OneVector(mode=mode, channels=1, messages=None, room=1))
    assert result.complete
    assert not result.failures
    assert result.verdict == "never ends, so nothing was asked at the end"


def test_without_end_a_lost_signal_is_a_deadlock():
    """The ring fills up, and the host waits for a guest that waits for the host."""
    assert "host_1 waits for read_index[1]" in the_failure(
        OneVectorNoRecheck(channels=1, messages=None, room=1), "deadlock"
    )


def test_a_mode_that_there_is_not():
    """The error names the modes that there are."""
    with pytest.raises(ScenarioError, match="mode='polled': there are 'batched', 'direct', 'isr', 'isr at once'"):
        OneVector(mode="polled")


def test_next_bit():
    """As find_next_bit: the first that is set, from a place on."""
    assert [next_bit(0b1010, start) for start in range(5)] == [1, 1, 3, 3, 0]


def test_the_gauge_counts_what_waits():
    """What lies in a ring, in the slot, and in the hypervisor behind it."""
    session = Session(OneVector(channels=1, messages=1, control=2))
    for word in ["host_1", "host_1", "host_posts", "host_posts"]:
        session.step(word)
    assert session.scenario.waiting(session.state) == {1: 1, "control": 2}


def test_the_notebook_shows_all_of_them():
    """Each scenario of the chapter is named in its notebook."""
    notebook = (ROOT / "notebooks" / "01-synic-multiplexing.ipynb").read_text()
    assert [entry.scenario.__name__ for entry in CHAPTER if entry.scenario.__name__ not in notebook] == []
