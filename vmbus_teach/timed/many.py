"""Many runs: with many seeds, with other parameters, one after the other or on many processors at once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from ..kernel.base import show
from ..narrate import count
from ..scenario import Scenario
from ..search import StopButton
from ..session import as_scenario
from .costs import Costs, TimeError
from .estimate import Estimate, mean, share
from .run import Run, Times
from .simulate import MAX_STEPS, Plans, check_seed, check_times, run_once
from .traffic import Pattern

#: With fewer steps than this still to be made, it is not worth while to start processes.
WORTH_IT = 1_000_000

#: How many runs are handed to a processor at once.
BATCH = 50


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

    def failing(self, kind: str = "") -> Estimate:
        """Which part of the runs fails (with this kind of failure, if given), with its confidence interval."""
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
        return told + (f"; {self.reason}" if self.reason else "")

    __repr__ = __str__


class Done(NamedTuple):
    """How many runs are over; handed to ``progress``."""

    runs: int
    of: int

    def __str__(self) -> str:
        return f"{self.runs:,} of {self.of:,} runs"


class _Job(NamedTuple):
    """Some runs that are made in one go."""

    case: int
    scenario: Scenario
    costs: Costs
    traffic: Mapping[str, Pattern]
    until: int | None
    max_steps: int
    seeds: tuple[int, ...]


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
    would take longer than starting them. The result is the same. Stopped by hand, or by ``progress`` returning False,
    it keeps the runs that are over.
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
    if not isinstance(cases, Mapping):
        raise TimeError(f"simulate_each takes a dict of cases, each a dict of simulate's arguments, not {show(cases)}.")
    numbers = _seeds(seeds)
    whole = [_case(number, {**common, **case}, numbers) for number, case in enumerate(cases.values())]
    jobs = [job for case in whole for job in _batches(case)]
    found: list[list[Run]] = [[] for _ in whole]
    reason = ""
    with StopButton() as stop:
        total = sum(len(job.seeds) for job in jobs)
        for job, runs in _made(jobs, executor, stop):
            for run in runs:
                run.scenario = job.scenario  # the same for all, also for those that come from another process
            found[job.case] += runs
            done = Done(sum(map(len, found)), total)
            if progress and progress(done) is False:
                reason = "stopped by progress"
                break
        if stop.pressed:
            reason = "stopped by hand"
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


def _case(number: int, arguments: dict[str, Any], seeds: tuple[int, ...]) -> _Job:
    known = {"scenario", "costs", "traffic", "until", "max_steps"}
    if unknown := arguments.keys() - known:
        raise TimeError(f"{', '.join(sorted(unknown))}: no argument of simulate that many runs can have.")
    if "scenario" not in arguments:
        raise TimeError("a case has no scenario: give one in each case, or once for all of them, scenario=PerCpuLists.")
    until, max_steps = arguments.get("until"), arguments.get("max_steps", MAX_STEPS)
    check_times(until, max_steps)
    costs, traffic = arguments.get("costs") or Costs(), arguments.get("traffic") or {}
    scenario = as_scenario(arguments["scenario"])
    Plans(scenario, costs, traffic)  # what is wrong with them is said here, before anything runs elsewhere
    return _Job(number, scenario, costs, traffic, until, max_steps, seeds)


def _batches(case: _Job) -> Iterator[_Job]:
    for at in range(0, len(case.seeds), BATCH):
        yield case._replace(seeds=case.seeds[at : at + BATCH])


def _made(
    jobs: Sequence[_Job], executor: Executor | Literal[False] | None, stop: StopButton
) -> Iterator[tuple[_Job, list[Run]]]:
    """The runs of each job, in the order in which they are over."""
    while jobs and not executor and not stop.pressed:
        job, *jobs = jobs
        runs = _batch(job, stop)
        yield job, runs
        steps_left = sum(run.steps for run in runs) / len(job.seeds) * sum(len(other.seeds) for other in jobs)
        if executor is None and steps_left > WORTH_IT:
            executor = _processes()
    if executor and jobs:
        yield from _made_elsewhere(jobs, executor, stop)


def _made_elsewhere(jobs: Sequence[_Job], executor: Executor, stop: StopButton) -> Iterator[tuple[_Job, list[Run]]]:
    waiting: dict[Future[list[Run]], _Job] = {executor.submit(_batch, job): job for job in jobs}
    try:
        while waiting and not stop.pressed:
            over, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in over:
                try:
                    runs = future.result()
                except BrokenExecutor:
                    if stop.pressed:  # the button has reached the processes, too
                        return
                    raise
                yield waiting.pop(future), runs
    finally:
        for future in waiting:
            future.cancel()


def _processes() -> Executor | None:
    """A pool of processes; None where there can be none, as in a browser."""
    try:
        from loky import get_reusable_executor  # a pool that also takes classes made in a notebook

        pool: Executor = get_reusable_executor()
    except (ImportError, OSError, NotImplementedError):
        return None
    return pool


def _batch(job: _Job, stop: StopButton | None = None) -> list[Run]:
    """The runs of a job; in another process, or here."""
    if stop is None:
        with StopButton() as stop:
            return _batch(job, stop)
    plans = Plans(job.scenario, job.costs, job.traffic)
    runs = []
    for seed in job.seeds:
        if stop.pressed:
            break
        runs.append(_slim(run_once(plans, seed, job.until, job.max_steps, None, stop)))
    return runs


def _slim(run: Run) -> Run:
    """A run without what takes much room; of one that failed, the schedule is kept."""
    kept: dict[str, Any] = {} if run.fault else {"words": None}
    return replace(run, times=None, stretches=None, **kept)
