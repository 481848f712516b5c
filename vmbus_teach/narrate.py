"""A schedule in words: who did what, and where one context took over from another."""

from __future__ import annotations

from decimal import Decimal

from .kernel.base import show
from .session import TraceStep

#: A story of more steps than that is told from where it has that few left.
LONG, SHOWN = 100, 60


def story(trace: tuple[TraceStep, ...]) -> list[str]:
    """One line per step, one more wherever another context takes over; of a long one, only the end."""
    lines = []
    previous: TraceStep | None = None
    begin = len(trace) - SHOWN if len(trace) > LONG else 0
    if begin:
        lines.append(f"(The first {begin:,} steps are left out.)")
    for number, step in enumerate(trace[begin:], begin + 1):
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


def sentence(step: TraceStep) -> str:
    """What a step does, what it gives, and whether it waits."""
    said = step.choice.remark
    text = f"{said}: {step.choice.text}" if said else step.choice.text
    if step.resumed:
        text = f"has waited: {step.choice.text}"
    gives = f" gives {show(step.result)}" if step.result is not None and " gives " not in step.choice.text else ""
    return text + gives + (f"; it {step.waits}" if step.waits else "")


def _what(step: TraceStep) -> str:
    changes = ", ".join(f"{name} {before} -> {after}" for name, before, after in step.changes)
    fails = f"   FAILS: {step.fault.message}" if step.fault else ""
    return sentence(step) + (f"   [{changes}]" if changes else "") + fails


def _handover(before: TraceStep, after: TraceStep) -> list[str]:
    """How control left ``before``'s context, if it has more to do and need not wait."""
    if not before.next or before.stuck:
        return []
    who = before.choice.context
    how = ""  # on another CPU: it is not stopped, only later
    if after.cpu == before.cpu and after.cpu:
        how = f"{before.cpu} is interrupted in {who} " if after.kind in ("irq", "ipi") else f"{who} is preempted "
    return [f"      {how}before {who if not how else 'it'} {before.next}"]


def count(number: int, what: str, plural: str = "s") -> str:
    """A number with its noun: 1 step, 2 steps."""
    return f"{number:,} {what}" + ("" if number == 1 else plural)


def shortly(number: int) -> str:
    """A number of any size: 2,132,054, or 1.3 × 10⁴⁵."""
    if number < 10**7:
        return f"{number:,}"
    first, power = f"{Decimal(number):.1e}".split("e+")
    return f"{first} × {power_of_ten(int(power))}"


def power_of_ten(exponent: int) -> str:
    """10⁴⁵, for 45."""
    return "10" + str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
