"""A failure in words: who did what, where one context took over from another, and what it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .patterns import name_pattern
from .session import TraceStep

if TYPE_CHECKING:
    from .explore import Failure


def tell(failure: Failure) -> str:
    """The whole story of a failure, step by step, with a line that replays it."""
    schedule = failure.schedule
    share = f" {failure.share:,} of {failure.of:,} schedules end so." if failure.of and failure.share is not None else ""
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
    pending = _pending(trace)
    for number, step in enumerate(trace, 1):
        if previous is None or previous.choice.context != step.choice.context:
            if previous is not None:
                lines += _handover(previous, step, pending.get(number))
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
    changes = ", ".join(f"{name} {before} -> {after}" for name, before, after in step.changes)
    gives = f" gives {step.result!r}" if step.result is not None and "gives" not in text else ""
    return text + gives + (f"   [{changes}]" if changes else "") + (f"   FAILS: {step.fault.message}" if step.fault else "")


def _pending(trace: tuple[TraceStep, ...]) -> dict[int, TraceStep]:
    """For each step, the step that its predecessor's context takes next, if it takes any."""
    found: dict[int, TraceStep] = {}
    upcoming: dict[str, TraceStep] = {}
    for number in range(len(trace), 0, -1):
        if number > 1:
            context = trace[number - 2].choice.context
            if context in upcoming:
                found[number] = upcoming[context]
        upcoming[trace[number - 1].choice.context] = trace[number - 1]
    return found


def _handover(before: TraceStep, after: TraceStep, pending: TraceStep | None) -> list[str]:
    """How control left ``before``'s context, if it has more to do."""
    if pending is None:
        return []
    about = pending.choice.remark or pending.choice.text
    if after.kind in ("irq", "ipi") and after.cpu == before.cpu:
        return [f"      {before.cpu} is interrupted in {before.choice.context}, about to: {about}"]
    if after.cpu == before.cpu and after.cpu:
        return [f"      {before.choice.context} is preempted, about to: {about}"]
    return [f"      meanwhile, {before.choice.context} is about to: {about}"]


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}" + ("" if number == 1 else plural)
