"""Many runs: with many seeds, with other parameters, one after the other or on many processors at once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count as numbered
from pickle import PicklingError
from threading import RLock
from typing import Any, Literal, NamedTuple

from ..advice import meant
from ..kernel.base import show
from ..narrate import count
from ..outcome import KINDS
from ..scenario import Scenario
from ..session import as_scenario
from ..stop import BY_HAND, StopButton, check_progress, why_stopped
from .costs import Costs, TimeError
from .estimate import Estimate, mean, share
from .run import Run, Times
from .simulate import MAX_STEPS, Plans, check_seed, check_times, run_once
from .traffic import Pattern

#: With fewer steps than this still to be made, it is not worth while to start processes; a run costs some, too.
WORTH_IT, A_RUN = 1_000_000, 200

#: What is handed to a processor at once, at most: so many runs, so many steps. And how many portions there should be.
BATCH, STEPS, PORTIONS = 50, 300_000, 16

#: Held while programs run, and while anybody is told of it: of several threads, one at a time. (They would gain nothing
#: from more, and what a program prints is caught by taking the place of sys.stdout, for all threads.)
_running = RLock()

#: What has been given up, so that threads of this process stop, too: a number for each call.
_calls, _given_up = numbered(), set[int]()


@dataclass
class Runs:
    """Runs of one scenario with different seeds. ``complete`` is False if some were not made; ``reason`` says why."""

    scenario: Scenario
    runs: list[Run]
    complete: bool = True
    reason: str = ""

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __getitem__(self, number: int) -> Run:
        return self.runs[number]

    @property
    def failed(self) -> list[Run]:
        """The runs that failed."""
        return [run for run in self.runs if run.fault]

    @property
    def unfinished(self) -> list[Run]:
        """The runs that were stopped before their end, as by ``max_steps``: nobody knows whether they would fail."""
        return [run for run in self.runs if not run.finished]

    def failing(self, kind: str = "") -> Estimate:
        """Which part of the runs fails (with this kind of failure, if given), with its confidence interval.

        Raises TimeError if there is no such kind.
        """
        if kind not in ("", *KINDS):
            raise TimeError(f"there is no kind of failure {show(kind)}. {meant(str(kind), list(KINDS))}".rstrip())
        return self.share(lambda run: run.fault is not None and kind in ("", run.fault.kind))

    def share(self, test: Callable[[Run], object]) -> Estimate:
        """For which part of the runs ``test(run)`` is true."""
        self._need_some()
        return share(sum(bool(test(run)) for run in self.runs), len(self.runs))

    def mean(self, measure: Callable[[Run], float]) -> Estimate:
        """The mean of ``measure(run)`` over all runs."""
        self._need_some()
        return mean([float(measure(run)) for run in self.runs])

    def latency(self, gauge: str) -> Times:
        """The latencies of a gauge, those of all runs together. Raises TimeError if there is no such gauge."""
        self._need_some()
        together = array("q")
        for run in self.runs:
            if gauge not in run.gauges:
                has = f"it has {', '.join(run.gauges) or 'none'}"
                raise TimeError(f"{self.scenario} has no gauge {show(gauge)}; {has}.")
            together.extend(run.gauges[gauge].latency.values)
        return Times(together)

    def rows(self) -> list[dict[str, Any]]:
        """One flat record per run, for a table."""
        return [run.row() for run in self.runs]

    def frame(self) -> Any:
        """The same as a pandas DataFrame. Raises TimeError where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            missing = "a data frame needs pandas: pip install pandas. Without it, rows() gives plain records."
            raise TimeError(missing) from None
        return pandas.DataFrame(self.rows())

    def _need_some(self) -> None:
        if not self.runs:
            raise TimeError(f"there is no run of {self.scenario} to look at ({self.reason or 'no seeds were given'}).")

    def __str__(self) -> str:
        told = f"{self.scenario}: {count(len(self.runs), 'run')}"
        if self.runs:
            told += f", {len(self.failed):,} failed: {self.failing()}"
        if self.unfinished:
            told += f"; {len(self.unfinished):,} came to no end ({self.unfinished[0].reason})"
        return told + (f"; {self.reason}" if self.reason else "")

    __repr__ = __str__


class Done(NamedTuple):
    """How many runs are over; handed to ``progress``."""

    runs: int
    of: int

    def __str__(self) -> str:
        return f"{self.runs:,} of {self.of:,} runs"


class _Job(NamedTuple):
    """Runs of one case."""

    case: int
    scenario: Scenario
    costs: Costs
    traffic: Mapping[str, Pattern]
    until: int | None
    max_steps: int
    seeds: tuple[int, ...]
    call: int  # of simulate_each

    def plans(self) -> Plans:
        return Plans(self.scenario, self.costs, self.traffic)


def simulate_many(
    scenario: Scenario | type[Scenario],
    *,
    seeds: int | Iterable[int] = 100,
    until: int | None = None,
    costs: Costs | None = None,
    traffic: Mapping[str, Pattern] | None = None,
    max_steps: int = MAX_STEPS,
    executor: Executor | Literal[False] | None = None,
    progress: Callable[[Done], object] | None = None,
) -> Runs:
    """Runs a scenario once for each seed (``seeds=100``: 0 to 99); all else is told in ``simulate``.

    ``executor`` may be anything that has the interface of ``concurrent.futures.Executor`` (Dask's
    ``client.get_executor()``); False makes all runs here, one after the other; None takes a pool of processes for what
    would take longer than starting them. The result is the same. ``progress`` is called with a ``Done``. Stopped by
    hand or by ``progress``, which returns False or breaks, it keeps the runs that are over.

    Raises TimeError where ``simulate`` does, and where the executor cannot take the scenario or breaks down.
    """
    case = dict(scenario=scenario, until=until, costs=costs, traffic=traffic, max_steps=max_steps)
    [runs] = simulate_each({"": case}, seeds=seeds, executor=executor, progress=progress).values()
    return runs


def simulate_each(
    cases: Mapping[Any, Mapping[str, Any]],
    *,
    seeds: int | Iterable[int] = 100,
    executor: Executor | Literal[False] | None = None,
    progress: Callable[[Done], object] | None = None,
    **common: Any,
) -> dict[Any, Runs]:
    """Several cases at once, each with all seeds: ``{rate: dict(traffic={"packets": poisson(rate)}) for rate in ...}``.

    A case holds arguments of ``simulate``; those that all cases share can be given once, by name.
    """
    if not isinstance(cases, Mapping) or not all(isinstance(case, Mapping) for case in cases.values()):
        raise TimeError(f"simulate_each takes a dict of cases, each a dict of simulate's arguments, not {show(cases)}.")
    numbers, call = _seeds(seeds), next(_calls)
    if executor and not hasattr(executor, "submit"):
        raise TimeError(f"executor = {show(executor)}; {_WHICH_EXECUTOR}")
    check_progress(progress, TimeError)
    whole = [_case(n, call, {**common, **case}, numbers) for n, case in enumerate(cases.values())]
    plans = [job.plans() for job in whole]  # what is wrong with them is said here, before anything runs elsewhere
    found: list[list[Run]] = [[] for _ in whole]
    done, total, reason = 0, len(whole) * len(numbers), ""
    with StopButton() as stop, closing(_made(whole, plans, executor, stop)) as made:
        for job, runs in made:
            for run in runs:
                run.scenario = job.scenario  # the same for all, also for those that come from another process
            found[job.case] += runs
            done += len(runs)
            with _running:
                reason = why_stopped(progress, Done(done, total))
            if reason:
                break
    if stop.pressed:
        reason = BY_HAND
    order = {seed: at for at, seed in enumerate(numbers)}
    return {
        name: Runs(job.scenario, sorted(runs, key=lambda run: order[run.seed]), len(runs) == len(numbers), reason)
        for name, job, runs in zip(cases, whole, found, strict=True)
    }


def _seeds(seeds: int | Iterable[int]) -> tuple[int, ...]:
    if type(seeds) is int and seeds >= 1:
        return tuple(range(seeds))
    if isinstance(seeds, int | str) or not isinstance(seeds, Iterable):
        raise TimeError(f"seeds = {show(seeds)}; give the number of runs, at least 1, or the seeds: range(10, 20).")
    numbers = tuple(dict.fromkeys(seeds))
    for seed in numbers:
        check_seed(seed)
    return numbers


def _case(number: int, call: int, arguments: dict[Any, Any], seeds: tuple[int, ...]) -> _Job:
    known = {"scenario", "costs", "traffic", "until", "max_steps"}
    if unknown := arguments.keys() - known:
        raise TimeError(f"{', '.join(sorted(map(str, unknown)))}: no argument of simulate that many runs can have.")
    if "scenario" not in arguments:
        raise TimeError("a case has no scenario: give one in each case, or once for all of them, scenario=PerCpuLists.")
    until, max_steps = arguments.get("until"), arguments.get("max_steps", MAX_STEPS)
    check_times(until, max_steps)
    costs, traffic = arguments.get("costs"), arguments.get("traffic")
    costs, traffic = Costs() if costs is None else costs, {} if traffic is None else traffic
    return _Job(number, as_scenario(arguments["scenario"]), costs, traffic, until, max_steps, seeds, call)


def _made(
    jobs: Sequence[_Job], plans: Sequence[Plans], executor: Executor | Literal[False] | None, stop: StopButton
) -> Generator[tuple[_Job, list[Run]], None, None]:
    """Runs, in the order in which they are over, each with the job that it belongs to.

    The first is always made here: it tells how much work the others will be.
    """
    runs = steps = 0
    for number, job in enumerate(jobs):
        for at, seed in enumerate(job.seeds, 1):
            run = _run(plans[number], job, seed, stop)
            if run is None:
                return
            yield job, [run]
            runs, steps = runs + 1, steps + run.steps
            each = steps / runs + A_RUN
            left = [job._replace(seeds=job.seeds[at:]), *jobs[number + 1 :]]
            if executor:
                yield from _made_elsewhere(left, each, executor, stop)
                return
            if executor is None and each * sum(len(other.seeds) for other in left) > WORTH_IT:
                pool = _processes()
                if pool is not None:
                    yield from _made_elsewhere(left, each, pool, stop, ours=True)
                    return
                executor = False


def _made_elsewhere(
    jobs: Sequence[_Job], each: float, executor: Executor, stop: StopButton, ours: bool = False
) -> Generator[tuple[_Job, list[Run]], None, None]:
    """The same by an executor, in portions; a run takes about ``each`` steps. ``ours``: a pool that we may give up."""
    size = max(1, min(BATCH, int(STEPS / each), sum(len(job.seeds) for job in jobs) // PORTIONS))
    batches = [job._replace(seeds=job.seeds[at : at + size]) for job in jobs for at in range(0, len(job.seeds), size)]
    waiting: dict[Future[list[Run]], _Job] = {}
    try:
        for job in batches:
            future = executor.submit(_batch, job)
            if not isinstance(future, Future):
                raise TimeError(f"{show(executor)}.submit gives a {type(future).__name__}; {_WHICH_EXECUTOR}")
            waiting[future] = job
        while waiting and not stop.pressed:
            over, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in over:
                runs = _result(future, waiting[future].scenario, stop)
                yield waiting.pop(future), runs
    finally:
        if waiting:
            _given_up.add(jobs[0].call)
        if waiting and ours:  # loky gives up what waits by itself, and stumbles over what is cancelled already
            executor.shutdown(wait=False, kill_workers=True)  # type: ignore[call-arg]
        else:
            for future in waiting:
                future.cancel()


def _result(future: Future[list[Run]], scenario: Scenario, stop: StopButton) -> list[Run]:
    try:
        return future.result()
    except BrokenExecutor as error:
        if stop.pressed:  # the button has reached the processes, too
            return []
        raise TimeError(
            f"the executor has broken down: {error} With executor=False all runs are made here."
        ) from error
    except (PicklingError, AttributeError, TypeError) as error:
        if "pickle" not in str(error) and "local object" not in str(error):
            raise
        raise TimeError(
            f"{scenario} cannot be sent to another process ({error}). Standard pools take only classes that are in a "
            "module of their own; the one that is used if you give no executor takes those of a notebook, too."
        ) from error


_WHICH_EXECUTOR = (
    "give something with the interface of concurrent.futures.Executor (of a Dask client: client.get_executor()), "
    "False to make all runs here, or nothing for a pool of processes."
)


def _processes() -> Any:
    """A pool of processes; None where there can be none, as in a browser."""
    try:
        from loky import get_reusable_executor  # a pool that also takes classes made in a notebook

        return get_reusable_executor()
    except (ImportError, OSError, NotImplementedError):
        return None


def _batch(job: _Job) -> list[Run]:
    """The runs of a job, in another process or thread."""
    plans = job.plans()
    with StopButton() as stop:
        made = [_run(plans, job, seed, stop) for seed in job.seeds]
    return [run for run in made if run is not None]


def _run(plans: Plans, job: _Job, seed: int, stop: StopButton) -> Run | None:
    """A run without what takes much room; of one that failed, the schedule is kept. None if it was stopped by hand."""
    with _running:
        if stop.pressed or job.call in _given_up:
            return None
        run = run_once(plans, seed, job.until, job.max_steps, None, stop)
    if run.reason == BY_HAND:
        return None
    kept: dict[str, Any] = {} if run.fault else {"words": None}
    return replace(run, times=None, stretches=None, **kept)
