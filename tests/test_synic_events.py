"""Event flags and the host's port: a signal is one step, a SynIC that is off hears nothing, messages stay in order."""

import pytest
from by_hand import after, check, outcomes, possible, shown

from vmbus_teach import ModelError, Scenario, explore, interrupt, simulate, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    EventFlagsPage,
    MessagePort,
    hv_post_message,
    hv_signal_event,
    sync_test_and_clear_bit,
)


class Signals(Scenario):
    """The host signals channels 1 and 2 to the CPU that ``target`` holds; each CPU's handler takes channel 1's flag."""

    cpus = 2

    def setup(self, target=0, enabled=True):
        self.pages = (EventFlagsPage(self.isr_0), EventFlagsPage(self.isr_1))
        self.pages[target].enabled.initial = enabled
        self.target = Cell(target)
        self.taken = Cell(0)

    @thread(host=True)
    def host(self):
        yield hv_signal_event(1, self.target, self.pages)
        yield hv_signal_event(1, self.target, self.pages)
        yield hv_signal_event(2, self.target, self.pages)

    @interrupt(cpu=0)
    def isr_0(self):
        yield from self.take(0)

    @interrupt(cpu=1)
    def isr_1(self):
        yield from self.take(1)

    def take(self, cpu):
        was_set = yield sync_test_and_clear_bit(1, self.pages[cpu])
        if was_set:
            yield WRITE_ONCE(self.taken, cpu + 1)

    def outcome(self, s):
        return s[self.taken], s[self.pages[0]], s[self.pages[1]]


def test_a_signal_sets_the_flag_and_interrupts_the_target():
    """In one step, and nobody else is interrupted."""
    session = after(Signals(target=1), "host")
    assert shown(session, "pages[1]") == "1" and shown(session, "pages[0]") == "none"
    assert possible(Signals(target=1), "host") == {"host", "isr_1"}


def test_a_flag_that_is_set_raises_nothing():
    """Not even where the handler has begun, and not taken the flag yet."""
    session = after(Signals(), "host isr_0 host")
    assert not session.state[session.scenario.isr_0]
    session = after(Signals(), "host isr_0*2 host")
    assert session.state[session.scenario.pages[0]] == 0b10 and session.state[session.scenario.isr_0]


def test_both_channels_on_one_page():
    """The other channel's flag interrupts, too, and stays where nobody takes it."""
    assert outcomes(Signals()) == {(1, 0b100, 0)}


def test_a_synic_that_is_off_hears_nothing():
    """No flag, no interrupt, and nothing is left waiting."""
    check(Signals(enabled=False), "host*3", outcomes={(0, 0, 0)})


def test_raised_and_coalesced_are_counted():
    """In time, a signal to a flag that is set counts as none; two flags before the handler runs are one interrupt."""
    use = simulate(Signals).interrupts["isr_0"]
    assert (use.raised, use.coalesced, use.handled) == (2, 1, 1)
    assert simulate(Signals(enabled=False)).interrupts["isr_0"].raised == 0


def test_a_page_needs_an_interrupt():
    """Whoever gives it something else is told what to write."""

    class Wrong(Signals):
        def setup(self):
            self.pages = (EventFlagsPage("vmbus_isr"),)

    with pytest.raises(ModelError, match=r"EventFlagsPage takes the interrupt .* not 'vmbus_isr'"):
        Wrong()


# --- messages to the host ---------------------------------------------------------------------------------


class Posts(Scenario):
    """Two tasks post a message each, one of them two; the host notes in which order it took them."""

    def setup(self):
        self.port = MessagePort(self.host_takes)
        self.order = Cell(())

    @thread()
    def one(self):
        yield hv_post_message(self.port, "a")
        yield hv_post_message(self.port, "b")

    @thread()
    def other(self):
        yield hv_post_message(self.port, "c")

    def host_takes(self, message):
        before = yield READ_ONCE(self.order)
        yield WRITE_ONCE(self.order, (*before, message))

    def outcome(self, s):
        return "".join(s[self.order])


def test_the_host_takes_messages_in_their_order():
    """Those of one task stay in order, and none is lost or mixed up with the one before."""
    assert outcomes(Posts) == {"abc", "acb", "cab"}


def test_the_host_does_nothing_without_a_message():
    """It can step only while one is there or being handled, and it stops when there are no more."""
    assert possible(Posts()) == {"one", "other"}
    assert possible(Posts(), "one") == {"one", "other", "host_takes"}
    assert shown(after(Posts(), "one other"), "port") == "a, c"
    assert explore(Posts).ok


def test_a_port_takes_a_program():
    """It is named, not called."""

    class Wrong(Posts):
        def setup(self):
            self.port = MessagePort(self.host_takes("a"))

    with pytest.raises(ModelError, match=r"MessagePort takes a program, not host_takes .* Name it without calling it"):
        Wrong()
