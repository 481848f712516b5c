"""Completions: one context waits until another says that something is done."""

from __future__ import annotations

from typing import ClassVar

from .base import Now, Operation, Shared

EVERYBODY = "all"


class Completion(Shared):
    """``struct completion``; its value (``done`` in C) counts how many waiters may still pass."""

    def __init__(self) -> None:
        super().__init__(0)

    def show(self, value: int | str) -> str:
        return f"done for {value}" if value else "not done"


class complete(Operation):
    """Lets one waiter pass, now or later."""

    completion: Completion

    def step(self, now: Now) -> None:
        if now[self.completion] != EVERYBODY:
            now[self.completion] += 1


class complete_all(Operation):
    """Lets every waiter pass, now and later."""

    completion: Completion

    def step(self, now: Now) -> None:
        now[self.completion] = EVERYBODY


class reinit_completion(Operation):
    """As if nothing had been completed, also for who has been let pass but has not taken its next step."""

    completion: Completion

    def step(self, now: Now) -> None:
        now[self.completion] = 0


class wait_for_completion(Operation):
    """Sleeps until ``complete`` has been called once more than others have waited."""

    completion: Completion
    sleeps: ClassVar[bool] = True

    def step(self, now: Now) -> None:
        if now[self.completion] == 0:
            now.wait(f"waits for the completion {self.completion!r}")
        if now[self.completion] != EVERYBODY:
            now[self.completion] -= 1


class completion_done(Operation):
    """Whether ``wait_for_completion`` would pass at once. Never sleeps."""

    completion: Completion

    def step(self, now: Now) -> bool:
        return bool(now[self.completion] != 0)
