"""A session without a browser: a time line as text, a table as HTML.

They stand where the stepper cannot be alive: on GitHub, in a notebook that is not trusted, in a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..choices import Choice
from ..narrate import count, sentence
from ..schedule import ScheduleError
from ..session import Session, TraceStep

#: Of a longer schedule, only so many of the last steps are shown.
SHOWN = 60


def as_text(session: Session, beside: Session | None = None) -> str:
    """The steps as a time line with a track per lane, then the state and what could be next.

    ``beside`` is another scenario, on which the same steps are tried.
    """
    trace = session.trace
    lines = [f"{session.scenario}, after {count(len(trace), 'step')}", *_timeline(trace)]
    width = max((len(name) for name, _ in session.values()), default=0)
    lines += [f"  {name.ljust(width)}  {value}" for name, value in session.values()]
    lines += [f"  {fault.kind}: {fault.message}" for fault in session.failures]
    for choice in session.choices():
        reason = "" if choice.enabled else f" [{choice.reason}]"
        lines.append(f"  {'>' if choice.enabled else 'x'} {choice.word}: {choice.remark or choice.text}{reason}")
    if beside:
        lines.append(f"  beside it, {compare(session, beside)}")
    return "\n".join(lines)


def compare(session: Session, beside: Session) -> str:
    """How far the steps of a session go on another scenario, and what comes of them there, in words."""
    beside.reset()
    steps = session.trace
    for number, step in enumerate(steps):
        try:
            beside.step(step.choice.word)
        except ScheduleError as error:
            return f"{beside.scenario}: the same schedule goes as far as step {number} of {len(steps)}: {error}"
    if beside.failures:
        return f"{beside.scenario}: the same schedule fails here, too: {beside.failures[0].message}."
    return f"{beside.scenario}: the same {count(len(steps), 'step')}, and nothing has failed."


def _timeline(trace: tuple[TraceStep, ...]) -> list[str]:
    tracks = sorted({_track(step) for step in trace}, key=lambda name: (not name.startswith("CPU "), name))
    lines = [f"  {'|' * number}{'o':<{len(tracks) - number}}  {name}" for number, name in enumerate(tracks)]
    for number, step in _numbered(trace):
        here = tracks.index(_track(step))
        line = "".join("o" if track == here else "|" for track in range(len(tracks)))
        lines.append(f"  {line}  {number:>3}  {step.choice.context} {sentence(step)}{_changes(step)}")
    return lines


def _track(step: TraceStep) -> str:
    return "host" if step.kind == "host" else step.cpu or step.choice.context


def _numbered(trace: tuple[TraceStep, ...]) -> list[tuple[int, TraceStep]]:
    return list(enumerate(trace, 1))[-SHOWN:]


def _changes(step: TraceStep) -> str:
    changes = ", ".join(f"{name} {before} -> {after}" for name, before, after in step.changes)
    return f"  [{changes}]" if changes else ""


# --- HTML --------------------------------------------------------------------------------------------


def as_html(session: Session, beside: Session | None = None) -> str:
    """The same as tables with captions; only tags and styles that JupyterLab and GitHub let through."""
    trace = session.trace
    said = f"{session.scenario}, after {count(len(trace), 'step')}. With a kernel, this is a stepper."
    steps = [_row(*step) for step in _numbered(trace)]
    parts = [_table(said, ("step", "who", "does", "changes"), steps)] if trace else []
    state = "Shared state" if trace else f"Shared state of {said}"
    parts.append(_table(state, ("name", "value"), session.values()))
    if session.failures:
        parts.append("".join(f"<p>✗ {escape(f'{fault.kind}: {fault.message}')}</p>" for fault in session.failures))
    elif choices := session.choices():
        parts.append(_table("Who could go next", ("who", "does", "or waits"), list(map(_choice, choices))))
    if beside:
        parts.append(f"<p>Beside it, {escape(compare(session, beside))}</p>")
    return "".join(parts)


def _row(number: int, step: TraceStep) -> tuple[str, ...]:
    return str(number), f"{step.choice.context} ({_track(step)})", sentence(step), _changes(step).strip(" []")


def _choice(choice: Choice) -> tuple[str, ...]:
    return choice.word, choice.remark or choice.text, choice.reason


def _table(caption: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    def cells(tag: str, texts: tuple[str, ...]) -> str:
        return "<tr>" + "".join(f'<{tag} style="text-align:left">{escape(text)}</{tag}>' for text in texts) + "</tr>"

    title = f'<caption style="text-align:left">{escape(caption)}</caption>'
    body = "".join(cells("td", row) for row in rows)
    return f"<table>{title}<thead>{cells('th', head)}</thead><tbody>{body}</tbody></table>"
