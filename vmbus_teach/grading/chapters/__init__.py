"""The exercises, one file per chapter."""

from ..exercise import Exercise
from . import ch00, ch01, ch02, ch03, ch04, ch05, ch06, ch07

#: All of them, in the order of the course.
EXERCISES: tuple[Exercise, ...] = (
    *ch00.EXERCISES,
    *ch01.EXERCISES,
    *ch02.EXERCISES,
    *ch03.EXERCISES,
    *ch04.EXERCISES,
    *ch05.EXERCISES,
    *ch07.EXERCISES,
    *ch06.EXERCISES,
)
