"""A failure in words: who did what, where one context took over from another, and what it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .kernel.base import show
from .patterns import name_pattern
from .session import TraceStep

if TYPE_CHECKING:
    from .explore import Failure


def tell(failure: Failure) -> str:
    """The whole story of a failure, step by step, with a line that replays it."""
    schedule = failure.schedule
    share = f" {failure.portion} end so." if failure.portion else ""
    lines = [
        f"{failure.kind}: {failure.message}",
        f"{failure.scenario}: shown in {_count(len(schedule), 'step')} with "
        f"{_count(schedule.switches, 'switch', 'es')} between contexts.{share}",
        "",
        *story(failure.trace),
    ]
    if pattern := name_pattern(failure):
        lines += ["", f"This is {pattern}."]
    return "\n".join([*lines, "", f'To replay it: Session({failure.scenario}).replay("{schedule}")'])


def story(trace: tuple[TraceStep, ...]) -> list[str]:
    """One line per step, one more wherever another context takes over."""
    lines = []
    previous: TraceStep | None = None
    for number, step in enumerate(trace, 1):
        if previous is None or previous.choice.context != step.choice.context:
            if previous is not None:
                lines += _handover(previous, step)
            lines.append(f"{_who(step)}:")
        lines.append(f"  {number:>2}  {_what(step)}")
        previous = step
    return lines


def _who(step: TraceStep) -> str:
    if step.kind == "host":
        return f"{step.choice.context} (host)"
    shared = step.cpu.startswith("CPU ")
    return f"{step.choice.context} ({step.cpu})" if shared else step.choice.context


def _what(step: TraceStep) -> str:
    said = step.choice.remark
    text = f"{said}: {step.choice.text}" if said else step.choice.text
    if step.resumed:
        text = f"has waited: {step.choice.text}"
    gives = f" gives {show(step.result)}" if step.result is not None and "gives" not in text else ""
    waits = f"; it {step.waits}" if step.waits else ""
    changes = ", ".join(f"{name} {before} -> {after}" for name, before, after in step.changes)
    fails = f"   FAILS: {step.fault.message}" if step.fault else ""
    return text + gives + waits + (f"   [{changes}]" if changes else "") + fails


def _handover(before: TraceStep, after: TraceStep) -> list[str]:
    """How control left ``before``'s context, if it has more to do and does not wait."""
    if not before.next or before.waits:
        return []
    who = before.choice.context
    how = f"{who} is stopped"
    if after.cpu == before.cpu and after.cpu:
        how = f"{before.cpu} is interrupted in {who}" if after.kind in ("irq", "ipi") else f"{who} is preempted"
    return [f"      {how} before it {before.next}"]


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}" + ("" if number == 1 else plural)
