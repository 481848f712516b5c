"""Answers to the exercises: wrong ones, each with the reason for which it must be caught, and right ones.

A chapter's are in ``answers_NN.py``: ``WRONG``, a dict from the exercise's name to a list of ``Wrong``, and ``RIGHT``,
a dict to another right answer to what is to be repaired, or to a list of them. The course's own are in ``solutions/``,
the untouched stubs in ``exercises/``; ``answer_in`` takes them from there.
"""

import functools
import importlib
from typing import Any, NamedTuple
from unittest.mock import patch

import nbformat
from places import ROOT

import vmbus_teach.grading


class Wrong(NamedTuple):
    """An answer that somebody could give, what becomes of it ("fails" or "refused"), and words of the reason."""

    answer: Any
    verdict: str
    reason: str  # a regular expression


def wrong_answers():
    """{name of the exercise: its wrong answers}, of all chapters."""
    return {name: wrong for chapter in chapters() for name, wrong in chapter.WRONG.items()}


def right_answers():
    """(Name of the exercise, another right answer than that in ``solutions/``), of all chapters."""
    for chapter in chapters():
        for name, right in chapter.RIGHT.items():
            yield from ((name, answer) for answer in (right if isinstance(right, list) else [right]))


def chapters():
    """The modules ``answers_NN``, one for each chapter that has exercises."""
    numbers = sorted({exercise.name[:2] for exercise in vmbus_teach.grading.exercises()})
    return [importlib.import_module(f"answers_{number}") for number in numbers]


def answer_in(folder, name):
    """The answer to an exercise that the notebook of its chapter gives to ``grade``."""
    [path] = (ROOT / folder).glob(f"{name[:2]}-*.ipynb")
    return answers_of(path)[name]


@functools.cache
def answers_of(path):
    """{name of an exercise: what the notebook gives to ``grade``}, found by running it here."""
    asked = {}
    with patch("vmbus_teach.grading.grade", lambda name, answer=None: asked.setdefault(name, answer) or True):
        space = {"__name__": "notebook"}
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.cell_type == "code":
                exec(compile(cell.source, f"{path.name}, cell {number}", "exec"), space)
    return asked


def flipped(right, name):
    """A judgement that is right but for one."""
    return {**right, name: {"harmless": "harmful", "harmful": "harmless"}[right[name]]}
