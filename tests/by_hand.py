"""Tools for tests whose expected schedules and outcomes were listed by hand."""

from vmbus_teach import Session, explore
from vmbus_teach.kernel import WRITE_ONCE, Cell, Operation
from vmbus_teach.scenario import Scenario, thread
from vmbus_teach.schedule import Schedule


def schedules(scenario):
    """Every complete schedule, as text, found by stepping and undoing: no search, no merging, no symmetry."""
    session = Session(scenario)
    found = []

    def go_on():
        enabled = [choice for choice in session.choices() if choice.enabled]
        if not enabled:
            found.append(str(Schedule(session.schedule.steps)))
        for choice in enabled:
            session.step(choice)
            go_on()
            session.undo()

    go_on()
    assert len(found) == len(set(found))
    return set(found)


def check(scenario, *listed, outcomes=None, ok=True):
    """The scenario has exactly the schedules listed, and ``explore`` counts them right."""
    found = schedules(scenario)
    assert found == set(listed), f"{sorted(found)}"
    result = explore(scenario)
    assert result.complete
    assert result.schedules == len(listed), result
    assert result.ok == ok, result
    if outcomes is not None:
        assert result.outcomes == outcomes
    return result


def outcomes(scenario):
    """The outcomes of a scenario that must not fail."""
    result = explore(scenario)
    assert result.ok, result
    return result.outcomes


def failures(scenario):
    """The kinds and messages of all failures."""
    return {(failure.kind, failure.message) for failure in explore(scenario).failures}


def the_failure(scenario, kind):
    """The message of the one failure that a scenario has."""
    ((found, message),) = failures(scenario)
    assert found == kind
    return message


def after(scenario, schedule):
    """A session that has taken these steps."""
    session = Session(scenario)
    session.replay(schedule)
    return session


def possible(scenario, schedule=""):
    """Who can step after these steps."""
    return {choice.word for choice in after(scenario, schedule).choices() if choice.enabled}


def blocked(scenario, schedule=""):
    """Who has to wait after these steps, and why."""
    return {c.word: c.reason for c in after(scenario, schedule).choices() if not c.enabled}


def alone(program, start=None):
    """The program runs alone on a cell that holds ``start``: what it returns, and what the cell holds then."""

    class Alone(Scenario):
        """One task, one cell. ``program`` may be a single operation."""

        def setup(self):
            self.cell = Cell(start)
            self.result = Cell("nothing")

        @thread()
        def task(self):
            made = program(self.cell)
            if isinstance(made, Operation):
                result = yield made
            else:
                result = yield from made
            yield WRITE_ONCE(self.result, result)

        def outcome(self, s):
            return s[self.result], s[self.cell]

    (pair,) = outcomes(Alone)
    return pair


def shown(session, name):
    """The value of a piece of shared state, in words, also of one that setup did not make."""
    (shared,) = (s for s in session.machine.shared if s.name == name)
    return shared.show(session.state[shared])


def each(operations):
    """A program of these operations, whatever they give."""
    yield from operations
