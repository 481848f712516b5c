"""How what takes long is stopped: by hand, or by a function of the reader's that is told how far it has come.

Either way, what was found until then is kept.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from .kernel.base import ModelError, show
from .source import in_words

BY_HAND, BY_PROGRESS = "stopped by hand", "stopped by progress"


class StopButton:
    """Notes an interrupt by hand (Ctrl+C, or the notebook's stop button) instead of breaking off anywhere.

    A second one breaks off, in case a program never comes back. Where signals cannot be had (outside
    the main thread, in a browser), nothing is changed.
    """

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> StopButton:
        try:
            self.before = signal.signal(signal.SIGINT, self._press)
        except (ValueError, AttributeError, OSError):
            self.before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def _press(self, *_: object) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True


def check_progress(progress: object, wrong: type[ModelError]) -> None:
    """Raises ``wrong`` unless it is None, or can be called."""
    if progress is not None and not callable(progress):
        raise wrong(f"progress = {show(progress)}; give a function, as in progress=print.")


def why_stopped(progress: Callable[[Any], object] | None, report: object) -> str:
    """Tells ``progress``; the reason to stop, "" if there is none. False is one, and so is an error in it."""
    if progress is None:
        return ""
    try:
        return BY_PROGRESS if progress(report) is False else ""
    except Exception as error:
        return f"{BY_PROGRESS}, which breaks: {type(error).__name__}: {error}{in_words(error)}"
