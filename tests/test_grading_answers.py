"""Each exercise has a solution that passes, a stub that is refused kindly, and wrong answers that are caught.

This walks over all exercises, so one without wrong answers, a solution or a stub is noticed.
"""

import re

import pytest
from answers import answer_in, right_answers, wrong_answers

from vmbus_teach import explore
from vmbus_teach.grading import BreakIt, JudgeIt, RepairIt, exercises, grade

EXERCISES = exercises()
NAMES = [exercise.name for exercise in EXERCISES]
WRONG, RIGHT = wrong_answers(), list(right_answers())


def test_every_chapter_has_all_three_kinds():
    """Each chapter with exercises has at least three: one to break, one to repair, one to judge."""
    for chapter in {name[:2] for name in NAMES}:
        kinds = {type(exercise) for exercise in EXERCISES if exercise.name.startswith(chapter)}
        assert kinds == {BreakIt, RepairIt, JudgeIt}, chapter


def test_names_are_told_apart():
    """No two exercises have one name, and each begins with its chapter."""
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"\d\d-[a-z-]+", name) for name in NAMES)


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_is_declared_whole(exercise):
    """It has a title, a scenario that says what it is, and three different hints."""
    assert exercise.title
    assert exercise.scenario.__doc__
    assert len(set(exercise.hints)) == 3
    assert all(hint.strip().endswith((".", "?")) for hint in exercise.hints)


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if isinstance(e, JudgeIt)], ids=lambda e: e.name)
def test_mutations_are_told(exercise):
    """Each mutation says what it changes, and has a reason that is told in the end; some do harm and some do not."""
    assert set(exercise.because) == {mutation.__name__ for mutation in exercise.mutations}
    assert all(mutation.__doc__ and issubclass(mutation, exercise.scenario) for mutation in exercise.mutations)
    assert {"harmless", "harmful"} == set(answer_in("solutions", exercise.name).values())


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_right(name):
    """What stands in solutions/ solves the exercise, and the text says what was checked."""
    graded = grade(name, answer_in("solutions", name))
    assert graded.solved, graded
    assert "solved." in graded.headline
    assert graded.failure is None


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if isinstance(e, BreakIt)], ids=lambda e: e.name)
def test_every_schedule_that_breaks_it_is_right(exercise):
    """Not only the schedule in solutions/: whatever a search finds that breaks what is asked for, is accepted."""
    [parameters] = exercise.cases
    found = explore(exercise.scenario(**parameters)).failures
    breaking = [f for f in found if exercise.breaks in f.at]
    assert breaking
    for failure in breaking:
        graded = grade(exercise.name, failure.schedule)
        assert graded.solved or "too many switches" in graded.text, graded


@pytest.mark.parametrize("name, answer", RIGHT, ids=lambda said: getattr(said, "__name__", said))
def test_another_right_answer_is_right(name, answer):
    """A repair that is not the one in solutions/ passes too, if it is one."""
    [stated] = answer_in("solutions", name).__bases__
    assert stated in answer.__mro__
    graded = grade(name, answer)
    assert graded.solved, graded


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_is_refused_kindly(name):
    """The exercise as it is opened is no failure: it is told what to do next, and where hints are."""
    graded = grade(name, answer_in("exercises", name))
    assert graded.verdict == "refused"
    assert re.search("still as it was given|There is no schedule yet|not judged yet", graded.text)
    assert f'hint("{name}")' in graded.text


@pytest.mark.parametrize("name", NAMES)
def test_has_plausible_wrong_answers(name):
    """At least four that are caught by the machine, for more than one reason."""
    failing = [wrong for wrong in WRONG[name] if wrong.verdict == "fails"]
    assert len(failing) >= 4
    assert len({wrong.reason for wrong in failing}) >= 3


@pytest.mark.parametrize(
    "name, wrong",
    [pytest.param(name, wrong, id=f"{name}-{number}") for name in NAMES for number, wrong in enumerate(WRONG[name])],
)
def test_a_wrong_answer_is_caught(name, wrong):
    """It does not pass, and what is said is the reason for which it is wrong."""
    graded = grade(name, wrong.answer)
    assert graded.verdict == wrong.verdict, graded
    assert re.search(wrong.reason, str(graded), re.DOTALL), graded
    assert not graded


class Nothing:
    """Not like anything that an exercise asks for."""

    def __repr__(self):
        return "nothing of the kind"


NOTHING = Nothing()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", [None, "", 7, NOTHING, print, int, [], {}, ..., b"worker_0"], ids=repr)
def test_an_answer_of_the_wrong_kind_is_refused(name, answer):
    """Whatever is handed over, the answer is a sentence."""
    graded = grade(name, answer)
    assert graded.verdict == "refused", graded
    assert graded.text.split("\n")[0].endswith(".")
