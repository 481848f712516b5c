"""Exercises, and the grader that tries an answer under every interleaving.

    grade("02-retarget", MyFix)     # solved, with what was checked; or a schedule that breaks it; or what is amiss
    hint("02-retarget")             # the first of three hints; called again, the next

**To add an exercise**, declare it in the file of its chapter, ``chapters/chNN.py``, below the scenario that it is
about, and list it in that file's ``EXERCISES``. There are three kinds:

* ``BreakIt``: the answer is a schedule, as text, that ends in a given failure; perhaps with few switches.
* ``RepairIt``: the answer is a subclass of a scenario. It may change the methods that the exercise names, and add
  state in ``setup``; everything else stays as it is given, whatever the subclass says.
* ``JudgeIt``: the answer is a dict that says "harmless" or "harmful" of each of several mutations.

A whole exercise::

    LOSE = BreakIt(
        name="00-lose",                                  # the chapter, and a word
        title="Lose an update",
        scenario=Increments,                             # the scenario; its failing is the goal
        breaks="nothing_is_lost",                        # the property that must fail (or a kind, such as "deadlock")
        switches=FEWEST,                                 # at most so many switches between contexts; None: any
        hints=("Where ...?", "Look at ...", "..."),      # three, each says more than the one before
    )

What the truth is stands nowhere: it is searched when somebody asks for a grade. What to think of:

* A property that depends on the learner's work being done (the channel *has* moved, the item *was* found) belongs into
  the scenario, as an ``at_end``; otherwise an answer that does nothing would hold.
* ``reserved`` names state and programs that only the given code may touch or run; that keeps an answer from noting its
  own success. ``forbids`` takes away operations, by kind of context or by name (``Forbid(WAITING, kinds=("irq",))``).
* Several ``cases`` keep an answer from fitting one size only.
* The notebook of the chapter, ``solutions/NN-exercises.ipynb``, has a cell with the answer, one with the grade, one
  with hints (look at that of chapter 02); ``make exercises`` makes ``exercises/`` of it. Wrong answers, each with the
  reason for which it must be caught, are in ``tests/answers_NN.py``; ``tests/test_grading_answers.py`` says what is
  missing.
"""

from .exercise import FEWEST, WAITING, BreakIt, Exercise, Forbid, JudgeIt, RepairIt
from .grader import exercises, grade, hint
from .result import Grade

__all__ = [
    "FEWEST",
    "WAITING",
    "BreakIt",
    "Exercise",
    "Forbid",
    "Grade",
    "JudgeIt",
    "RepairIt",
    "exercises",
    "grade",
    "hint",
]
