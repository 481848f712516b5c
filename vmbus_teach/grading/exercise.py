"""What an exercise is, and how an answer to it is judged: three kinds, declared as records."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .. import kernel
from ..explore import explore
from ..failure import Failure
from ..kernel.base import Context, ModelError, Operation, listed, show
from ..narrate import count
from ..scenario import Scenario
from ..schedule import Schedule, ScheduleError
from ..session import Session
from ..source import in_words
from ..supervise import _Endless
from . import given
from .examine import Finding, examine
from .given import Refused
from .result import FAILS, REFUSED, SOLVED, UNDECIDED, Grade
from .watch import Watch

#: For ``Forbid``: the operations that wait for somebody else.
WAITING: tuple[type[Operation], ...] = (
    kernel.spin_lock, kernel.spin_lock_bh, kernel.spin_lock_irq, kernel.spin_lock_irqsave, kernel.spin_lock_nested,
    kernel.raw_spin_lock, kernel.raw_spin_lock_irqsave, kernel.raw_spin_lock_nested, kernel.mutex_lock,
    kernel.mutex_lock_nested, kernel.smp_cond_load_relaxed, kernel.wait_for_completion, kernel.synchronize_rcu,
    kernel.rcu_barrier, kernel.flush_work, kernel.flush_workqueue, kernel.cancel_work_sync, kernel.tasklet_disable,
    kernel.tasklet_disable_in_atomic, kernel.synchronize_srcu,
)  # fmt: skip

#: For ``BreakIt.switches``: no more than the schedule that needs the fewest.
FEWEST = "fewest"

Parameters = Mapping[str, Any]

#: What is known of mutations to judge. They are the course's own, so it holds as long as nobody changes the course.
FOUND: dict[type[Scenario], list[Finding]] = {}


@dataclass(frozen=True, kw_only=True)
class Exercise(ABC):
    """What every exercise has. ``name`` is the chapter and a word: "02-retarget". ``hints`` are three, each says more.

    ``scenario`` is what it is about. ``cases`` are the parameters with which it is tried; an answer must be right in
    each.
    """

    name: str
    title: str
    scenario: type[Scenario]
    hints: tuple[str, str, str]
    cases: tuple[Parameters, ...] = ({},)
    #: States after which a search gives up. Far beyond what any sensible answer needs.
    max_states: int = 20_000

    def grade(self, answer: Any) -> Grade:
        """Judges an answer. Whatever it is or does, the result says so in words; only an interrupt comes through."""
        try:
            with _watched(_called(answer)) as notes:
                graded = self._judge(answer)
        except ModelError as error:
            return Grade(self.name, REFUSED, str(error))
        return Grade(self.name, graded.verdict, "\n".join([graded.text, *notes]), graded.failure)

    @abstractmethod
    def _judge(self, answer: Any) -> Grade:
        """The grade; may raise Refused, or ModelError where the answer's model is wrong."""

    def _solved(self, *said: str) -> Grade:
        return Grade(self.name, SOLVED, "\n".join(said))

    def _fails(self, said: str, failure: Failure | None = None) -> Grade:
        return Grade(self.name, FAILS, f"{said}\n\n{failure}" if failure else said, failure)


@dataclass(frozen=True, kw_only=True)
class BreakIt(Exercise):
    """The answer is a schedule, as text, after which something given fails.

    ``breaks`` is the property that must fail, or the kind of failure ("deadlock"). ``switches`` bounds the switches
    between contexts: a number, FEWEST, or None for any.
    """

    breaks: str
    switches: int | str | None = None
    answer: ClassVar[str] = "a schedule"

    def _judge(self, answer: Any) -> Grade:
        [parameters] = self.cases
        session = Session(self.scenario(**parameters))
        steps = self._steps(answer, session)
        try:
            session.replay(Schedule(steps))
        except ScheduleError as error:
            return self._fails(f"{str(error)[0].upper()}{str(error)[1:]}")
        told = f"{count(len(steps), 'step')}, {count(session.schedule.switches, 'switch', 'es')} between contexts"
        wanted = [fault for fault in session.failures if self.breaks in (fault.kind, fault.where)]
        if not wanted:
            return self._fails(self._nothing_broken(session, told))
        few = self._fewest(session.scenario) if self.switches == FEWEST else self.switches
        if isinstance(few, int) and session.schedule.switches > few:
            bound = "There is a schedule with fewer" if self.switches == FEWEST else f"At most {few} are allowed"
            return self._fails(f"It fails as it should ({told}), but with too many switches. {bound}.")
        fewest = ", and there is none with fewer" if self.switches == FEWEST else ""
        return self._solved(f"{told}{fewest}. {session.scenario}: {wanted[0].message}.")

    def _steps(self, answer: Any, session: Session) -> tuple[str, ...]:
        """The words of the schedule; raises Refused if it is none."""
        words = listed(choice.word for choice in session.choices() if choice.enabled)
        write = f'Copy it from the stepper, or write who steps, in order, as in "{words.partition(",")[0]}*2".'
        if not isinstance(answer, str | Schedule):
            raise Refused(f"The answer to this exercise is a schedule, not {given.described(answer)}. {write}")
        if not str(answer).strip(" ."):
            raise Refused(f"There is no schedule yet. {write} At the start can step: {words}.")
        try:
            return Schedule.parse(str(answer).strip(" \"'")).steps
        except ScheduleError as error:
            raise Refused(f"{error}") from None

    def _nothing_broken(self, session: Session, told: str) -> str:
        if session.failures:
            return f"It ends in another failure ({told}): {session.failures[0].message}. The goal is {self.breaks}."
        able = [choice.word for choice in session.choices() if choice.enabled]
        if able:
            return f"It stops before its end ({told}), and nothing has failed so far. Possible now: {listed(able)}."
        held = f"{self.breaks} holds" if hasattr(self.scenario, self.breaks) else f"there was no {self.breaks}"
        return f"All has been done ({told}), and {held}. What did happen: {_values(session)}."

    def _fewest(self, scenario: Scenario) -> int:
        failures = explore(scenario, max_states=self.max_states).failures
        return next(f.schedule.switches for f in failures if self.breaks in f.at)


@dataclass(frozen=True)
class Forbid:
    """Operations that the learner's own code may not use. ``why`` is a sentence for who has.

    ``kinds`` names the kinds of context in which they are forbidden ("irq", "task", "host", ...), ``contexts`` the
    contexts themselves, by name; nothing given means everywhere. ``writes`` forbids all that changes shared memory.
    """

    operations: tuple[type[Operation], ...] = ()
    why: str = ""
    kinds: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    writes: bool = False

    def applies(self, context: Context, operation: Operation) -> bool:
        """Whether this context may not do this."""
        here = (not self.kinds or context.kind in self.kinds) and (not self.contexts or context.name in self.contexts)
        return here and (isinstance(operation, self.operations) or (self.writes and "w" in operation.access))


@dataclass(frozen=True, kw_only=True)
class RepairIt(Exercise):
    """The answer is a subclass of the scenario that holds in all cases.

    ``may_change`` names the methods that it may override (``setup`` besides, to add state). ``forbids`` are the
    operations that its own code may not use, ``reserved`` the state and programs that it may not touch or run, each
    with a sentence that says why. ``must_end``: a schedule without end counts as a failure.
    """

    may_change: tuple[str, ...]
    forbids: tuple[Forbid, ...] = ()
    reserved: Mapping[str, str] = field(default_factory=dict)
    must_end: bool = False
    answer: ClassVar[str] = "a class"

    def _judge(self, answer: Any) -> Grade:
        given.check_class(self, answer)
        searched = given.composed(answer, self)
        said = []
        for parameters in self.cases:
            original, learners = self.scenario(**parameters), _made(searched, parameters)
            given.check_start(original, learners)
            given.enforce(original, learners)
            found = examine(learners, max_states=self.max_states, must_end=self.must_end)
            given.check_still_given(searched, self.scenario)
            given.check_operations(self, found.exploration.machine)
            if found.failure:
                return self._fails(f"{learners} fails.", found.failure)
            if not found.complete:
                return Grade(self.name, UNDECIDED, _cut_short(found))
            said.append(str(found))
        return self._solved(*said)


@dataclass(frozen=True, kw_only=True)
class JudgeIt(Exercise):
    """The answer is a dict: the name of each mutation, and whether it is "harmless" or "harmful".

    Which is which is searched when somebody asks, in all cases. ``because`` has a sentence for each mutation, told
    once all of them are judged rightly.
    """

    mutations: tuple[type[Scenario], ...]
    because: Mapping[str, str]
    answer: ClassVar[str] = "a dict"

    def _judge(self, answer: Any) -> Grade:
        judged = self._judged(answer)
        truths = {mutation.__name__: self._findings(mutation) for mutation in self.mutations}
        wrong = [name for name, findings in truths.items() if judged[name] != _word(findings)]
        if not wrong:
            return self._solved(*(f"{n} is {_word(f)}. {_said(f)} {self.because[n]}" for n, f in truths.items()))
        name, findings = wrong[0], truths[wrong[0]]
        how_many = f"{len(truths) - len(wrong)} of {len(truths)} judgements are right."
        if failure := findings[-1].failure:
            said = f"{how_many} You say that {name} is harmless. This schedule shows that it is not."
            return self._fails(said, failure)
        return self._fails(f"{how_many} You say that {name} is harmful. But {_said(findings)}")

    def _findings(self, mutation: type[Scenario]) -> list[Finding]:
        """What searches find, case by case, up to the first that fails; each mutation is searched once."""
        if mutation in FOUND:
            return FOUND[mutation]
        findings = []
        for parameters in self.cases:
            findings.append(examine(mutation(**parameters), max_states=self.max_states))
            if not findings[-1].complete:
                raise AssertionError(f"{mutation.__name__} is too large for an exercise: {findings[-1]}")
            if findings[-1].failure:
                break
        FOUND[mutation] = findings
        return findings

    def _judged(self, answer: Any) -> dict[str, str]:
        """The answer, with its words in lower case; raises Refused if it does not say something of each mutation."""
        names = {mutation.__name__: mutation for mutation in self.mutations}
        example = f'{{"{next(iter(names))}": "harmless", ...}}'
        if not isinstance(answer, dict):
            raise Refused(f"The answer to this exercise is a dict such as {example}, not {given.described(answer)}.")
        for name in answer:
            if name not in names:
                raise Refused(f"There is no mutation {show(name)}. {given.unknown(names, str(name))}")
        missing = [name for name in names if answer.get(name) in (None, "", "?", ...)]
        if missing:
            raise Refused(
                f'{listed(missing)}: not judged yet. Write "harmless" or "harmful" for each; nothing is told before '
                "you have committed yourself on all of them."
            )
        judged = {name: str(said).strip().lower() for name, said in answer.items()}
        for name, said in judged.items():
            if said not in ("harmless", "harmful"):
                raise Refused(f'{name} is judged {show(answer[name])}; write "harmless" or "harmful".')
        return judged


# --- inside -------------------------------------------------------------------------------------------


def _word(findings: list[Finding]) -> str:
    return "harmless" if all(finding.holds for finding in findings) else "harmful"


def _said(findings: list[Finding]) -> str:
    """What the last case says, if it fails; else what every case says."""
    return str(findings[-1]) if findings[-1].failure else " ".join(map(str, findings))


def _made(searched: type[Scenario], parameters: Parameters) -> Scenario:
    """An instance, set up under a watch of its own: what was caught there must not be caught once more, unwatched."""
    made = None
    with Watch(searched.__name__) as watch, suppress(_Endless):
        try:
            made = searched(**parameters)
        except SystemExit as error:
            raise Refused(f"setup of {searched.__name__} calls exit(){in_words(error)}. Delete that line.") from None
    print(watch.printed, end="")  # for the watch around this one
    watch.raise_if_broken()
    assert made is not None
    return made


def _values(session: Session) -> str:
    return listed(f"{name} is {value}" for name, value in session.values())


def _cut_short(found: Finding) -> str:
    said = f"{found}"
    if "max_states" in found.exploration.reason:
        busiest = found.exploration._busiest()
        most = f" Most of them come from {busiest}." if busiest else ""
        said += f" An answer to this exercise needs far fewer.{most} Can what grows be bounded?"
    return said


def _called(answer: Any) -> str:
    return answer.__name__ if isinstance(answer, type) else "the answer"


@contextmanager
def _watched(title: str) -> Iterator[list[str]]:
    """The learner's code runs in here; gives notes on what it printed, for below the verdict."""
    notes: list[str] = []
    watch = Watch(title)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with watch:
                yield notes
        except _Endless:
            pass
        except SystemExit as error:
            watch.broken = watch.broken or Refused(f"{title} calls exit(){in_words(error)}. Delete that line.")
        except Exception as error:
            where = in_words(error)
            if isinstance(error, ModelError) or not where:
                raise
            raise Refused(f"{title} raises {type(error).__name__}: {error}{where}.") from None
    watch.raise_if_broken()
    notes += dict.fromkeys(str(warning.message) for warning in warned)
    if watch.printed:
        notes.append(f"{title} prints {watch.printed.strip()[:60]!r}. Its text is not shown.")
