"""Asking for a grade, or for a hint, by the name of an exercise."""

from __future__ import annotations

from typing import Any

from ..advice import meant
from ..kernel.base import listed, show
from ..scenario import ScenarioError
from .chapters import EXERCISES
from .exercise import FOUND, Exercise
from .result import REFUSED, Grade
from .watch import changed, course

#: How many hints have been asked for, by the name of the exercise.
_told: dict[str, int] = {}


class Hint(str):
    """A hint; shown as the text that it is, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def exercises() -> tuple[Exercise, ...]:
    """Every exercise of the course, in its order."""
    return EXERCISES


def grade(name: str, answer: Any = None) -> Grade:
    """Judges an answer to an exercise: ``grade("02-retarget", MyFix)``.

    The result says what was checked, or shows a schedule that breaks the answer, or says what is wrong with it;
    it is true if the exercise is solved. Raises ScenarioError if there is no exercise of that name.
    """
    exercise = _find(name)
    graded = exercise.grade(answer)
    if other := changed(_COURSE):
        FOUND.clear()
        return Grade(name, REFUSED, f"{other}, a part of the course, is not what it was. {_RESTART}")
    if graded.solved:
        return graded
    return Grade(graded.exercise, graded.verdict, f"{graded.text}\n\n{_offer(exercise)}", graded.failure)


def hint(name: str, number: int | None = None) -> Hint:
    """The next of an exercise's three hints, or hint ``number`` (from 1; 0 only says how many there are).

    Raises ScenarioError if there is no exercise of that name, or no such hint.
    """
    exercise = _find(name)
    of = len(exercise.hints)
    if number is None:
        number = min(_told.get(name, 0) + 1, of)
    if type(number) is not int or not 0 <= number <= of:
        raise ScenarioError(f'hint("{name}", {show(number)}): the hints have the numbers 1 to {of}.')
    if number == 0:
        return Hint(f"There are {of} hints, each says more than the one before. For the first write 1 in place of 0.")
    _told[name] = max(number, _told.get(name, 0))
    return Hint(f"Hint {number} of {of}: {exercise.hints[number - 1]}")


def _offer(exercise: Exercise) -> str:
    """A sentence that says how many hints there are left."""
    told, of = _told.get(exercise.name, 0), len(exercise.hints)
    if told == of:
        return f'You have seen all {of} hints; hint("{exercise.name}", 1) tells the first again.'
    return f'Stuck? hint("{exercise.name}") gives hint {told + 1} of {of}.'


def _find(name: str) -> Exercise:
    known = {exercise.name: exercise for exercise in EXERCISES}
    if not isinstance(name, str) or name not in known:
        said = (f"there is no exercise {show(name)}.", meant(str(name), list(known)), f"There are {listed(known)}.")
        raise ScenarioError(" ".join(filter(None, said)))
    return known[name]


_COURSE = course()
_RESTART = (
    "A grade of a course that was changed says nothing. Delete the line that changes it, choose Kernel > Restart "
    "Kernel, and run the cells again."
)
