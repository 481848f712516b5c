"""Linux IRQs: descriptors and domains, who counts what, and the functions of several steps that work on them."""

import pytest
from by_hand import after, blocked, failures, outcomes, possible, the_failure

from vmbus_teach import ModelError, Scenario, explore, interrupt, thread
from vmbus_teach.kernel import (
    READ_ONCE,
    WRITE_ONCE,
    Cell,
    IrqAction,
    IrqDomain,
    IrqStat,
    inc_irq_stat,
    irq_create_mapping,
    irq_resolve_mapping,
    kfree,
    kstat_incr_irqs_this_cpu,
    raise_irq,
    raw_spin_lock,
    raw_spin_unlock,
)
from vmbus_teach.scenarios.genirq import EINVAL, GenericIrq


class Mapped(GenericIrq):
    """A task runs ``program`` on a domain with hwirqs 7 and 8, of which 7 is mapped; the result is kept."""

    cpus = 2

    def setup(self, program):
        self.own_program = program
        self.domain = IrqDomain("VMBus", (7, 8), self.handle_simple_irq, kept=True)
        self.handled = Cell(0)
        self.desc = self.domain.mapped(7, action=IrqAction(self.handler, "netvsc", 5))
        self.cpu_online_mask = Cell(frozenset({0, 1}))
        self.result = Cell("nothing")

    def handler(self, dev_id):
        yield WRITE_ONCE(self.handled, dev_id)

    @thread(cpu=1)
    def task(self):
        result = yield from self.own_program(self)
        yield WRITE_ONCE(self.result, result)

    def outcome(self, s):
        return s[self.result], s[self.domain], s[self.desc.kstat_irqs], s[self.handled]


def result(program):
    """What a program that runs alone gives, and (mappings, counts, what the handler was called with) after it."""
    ((given, *rest),) = outcomes(Mapped(program=program))
    return given, tuple(rest)


# --- domains and descriptors ------------------------------------------------------------------------------


def test_a_mapping_leads_to_its_descriptor():
    """A number that is mapped leads to its descriptor, the other one to nothing."""

    def program(self):
        return ((yield irq_resolve_mapping(self.domain, 7)) is self.desc, (yield irq_resolve_mapping(self.domain, 8)))

    assert result(program)[0] == (True, None)


def test_a_new_mapping():
    """It has the next number, the domain's flow handler, no action, and can be found."""

    def program(self):
        desc = yield irq_create_mapping(self.domain, 8)
        same = (yield irq_resolve_mapping(self.domain, 8)) is desc
        flow = yield READ_ONCE(desc.handle_irq)
        return desc.irq, same, flow == self.handle_simple_irq, (yield READ_ONCE(desc.action))

    assert result(program) == ((25, True, True, None), (2, (), 0))


def test_what_is_mapped_already_is_not_mapped_again():
    """The result is the descriptor that is there, and the domain counts no further mapping."""

    def program(self):
        return ((yield irq_create_mapping(self.domain, 7)) is self.desc)

    assert result(program) == (True, (1, (), 0))


def test_a_number_that_the_domain_does_not_have():
    """The error says which numbers there are and where they are declared."""

    def program(self):
        return (yield irq_resolve_mapping(self.domain, 9))

    with pytest.raises(ModelError, match=r"domain has no hwirq 9; it was made for 7, 8\. .* declared in setup"):
        explore(Mapped(program=program))


def test_a_descriptor_is_told_by_its_irq():
    """The reader sees irq24, in names and in messages."""
    assert repr(Mapped(program=nothing).desc) == "irq24"
    assert Mapped(program=nothing).desc.action.name == "irq24.action"


def nothing(self):
    """A program without steps of its own."""
    yield from ()


@pytest.mark.parametrize("use", [
    lambda desc: READ_ONCE(desc.action), lambda desc: raw_spin_lock(desc.lock), kstat_incr_irqs_this_cpu,
])  # fmt: skip
def test_all_of_a_descriptor_is_freed_with_it(use):
    """Its fields, its lock and its counter: whatever is touched afterwards is a use after free."""

    def program(self):
        yield kfree(self.desc)
        yield use(self.desc)

    assert "task uses irq24" in the_failure(Mapped(program=program), "use-after-free")


# --- counting -----------------------------------------------------------------------------------------------


def test_an_irq_is_counted_on_the_cpu_that_handles_it():
    """CPU 1 here, once for each time."""

    def program(self):
        yield kstat_incr_irqs_this_cpu(self.desc)
        yield kstat_incr_irqs_this_cpu(self.desc)

    assert result(program)[1] == (1, ((1, 2),), 0)


class Counts(Scenario):
    """An interrupt on each CPU counts in one line."""

    cpus = 2

    def setup(self, kept):
        self.line = IrqStat("HYP", "told at the end", kept=kept)

    @thread(host=True)
    def host(self):
        yield raise_irq(self.isr_0)
        yield raise_irq(self.isr_1)

    @interrupt(cpu=0)
    def isr_0(self):
        yield inc_irq_stat(self.line)

    @interrupt(cpu=1)
    def isr_1(self):
        yield inc_irq_stat(self.line)

    def outcome(self, s):
        return s[self.line]


def test_counts_are_kept_by_cpu():
    """In a search only where that is asked for."""
    assert outcomes(Counts(kept=True)) == {((0, 1), (1, 1))}
    assert outcomes(Counts(kept=False)) == {()}


def test_counts_in_words():
    """What the reader sees."""
    stat = IrqStat()
    assert stat.show(((0, 3), (2, 1))) == "3 on CPU 0, 1 on CPU 2"


# --- the flow handler ----------------------------------------------------------------------------------------


def handle(self):
    """The task handles the IRQ itself."""
    yield from self.generic_handle_irq_desc(self.desc)


def test_the_flow_handler_counts_and_calls_the_action():
    """Once each; the action is given its dev_id."""
    assert result(handle)[1] == (1, ((1, 1),), 5)


def test_without_an_action_it_is_noted_and_not_counted():
    """Nobody is called; the descriptor remembers that the IRQ came."""

    def program(self):
        yield WRITE_ONCE(self.desc.action, None)
        yield from handle(self)
        return (yield READ_ONCE(self.desc.pending))

    assert result(program) == (True, (1, (), 0))


def test_an_irq_without_a_flow_handler_is_bad():
    """It is counted, and nothing else happens."""

    def program(self):
        yield WRITE_ONCE(self.desc.handle_irq, None)
        yield from handle(self)

    assert result(program)[1] == (1, ((1, 1),), 0)


def test_the_action_runs_without_the_lock():
    """While it runs, another CPU can take the descriptor's lock; before, it has to wait."""

    class Other(Mapped):
        """Another task wants the lock."""

        @thread(cpu=0)
        def other(self):
            yield raw_spin_lock(self.desc.lock)
            yield raw_spin_unlock(self.desc.lock)

    scenario = Other(program=handle)
    assert blocked(scenario, "task*2 other") == {"other": "spins for irq24.lock, held by task"}
    session = after(scenario, "task*6")  # flow handler, lock, action, count, in progress, unlock
    assert session.state[scenario.desc.in_progress] is True
    assert "other" in possible(scenario, "task*6")


# --- actions come and go -----------------------------------------------------------------------------------------


class Freed(Mapped):
    """A task frees the IRQ while another one handles it."""

    @thread(cpu=0)
    def frees(self):
        yield from self.free_irq(self.desc)


def test_free_irq_waits_for_the_action():
    """It takes the action away, and goes on when the one that runs has returned."""
    scenario = Freed(program=handle)
    session = after(scenario, "task*6 frees*3")
    assert session.state[scenario.desc.action] is None
    assert blocked(scenario, "task*6 frees*3") == {
        "frees": "waits for irq24.in_progress to change, which is True"
    }
    assert explore(scenario).ok


def test_after_free_irq_the_action_is_not_called():
    """Where it was there first, nobody is called any more."""
    scenario = Freed(program=handle)
    session = after(scenario, "frees*7")
    for _ in range(6):
        session.step("task")
    assert session.state[scenario.handled] == 0 and session.state[scenario.desc.pending] is True


def test_dispose_takes_the_mapping_away():
    """Nobody finds it, and the descriptor is freed when the readers of now are gone."""

    def program(self):
        yield from self.free_irq(self.desc)
        yield from self.irq_dispose_mapping(7, self.desc)
        return (yield irq_resolve_mapping(self.domain, 7))

    found = explore(Mapped(program=program))
    assert found.ok and {given for given, *_ in found.outcomes} == {None}


class Late(GenericIrq):
    """An IRQ comes, and then somebody asks for it."""

    cpus = 1

    def setup(self):
        self.domain = IrqDomain("VMBus", (7,), self.handle_simple_irq)
        self.desc = self.domain.mapped(7)
        self.resend_tasklet = self.resend_tasklet_of(7)
        self.handled = Cell(0)

    def handler(self, dev_id):
        yield WRITE_ONCE(self.handled, dev_id)

    @thread(cpu=0)
    def task(self):
        yield from self.generic_handle_irq_desc(self.desc)
        yield from self.request_irq(self.desc, self.handler, "netvsc", 3)

    def outcome(self, s):
        return s[self.handled], s[self.desc.pending]


def test_what_came_before_is_handled_once_more():
    """request_irq has the IRQ handled that came while there was no action."""
    assert outcomes(Late) == {(3, False)}


# --- where an IRQ goes --------------------------------------------------------------------------------------------


class Moves(Mapped):
    """The chip notes what it was told."""

    def chip_set_affinity(self, desc, mask):
        yield WRITE_ONCE(desc.effective_affinity, mask)
        return 0 if 0 in mask else -EINVAL


@pytest.mark.parametrize(("mask", "given", "told", "kept"), [
    ({0, 1, 2}, 0, {0, 1}, {0, 1, 2}), ({0}, 0, {0}, {0}), ({2}, -EINVAL, None, None), ({1}, -EINVAL, {1}, None),
])  # fmt: skip
def test_only_cpus_that_are_online(mask, given, told, kept):
    """The chip is told those of the mask that are online; what was asked for is noted where the chip agrees."""

    def program(self):
        error = yield from self.irq_set_affinity(self.desc, frozenset(mask))
        return error, (yield READ_ONCE(self.desc.effective_affinity)), (yield READ_ONCE(self.desc.affinity))

    ((found, *_),) = outcomes(Moves(program=program))
    assert found == (given, told, kept)


def test_a_chip_has_to_be_given():
    """A scenario without one is told so when the first affinity is set."""

    def program(self):
        return (yield from self.irq_set_affinity(self.desc, frozenset({0})))

    [(kind, message)] = failures(Mapped(program=program))
    assert kind == "error" and "chip_set_affinity" in message
