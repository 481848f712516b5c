"""A scenario in simulated time: how often something happens, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..kernel.base import show
from ..machine import SlotOverflow
from ..scenario import Scenario
from ..session import as_scenario
from ..stop import StopButton, check_progress
from .costs import LATEST, Costs, TimeError
from .drive import Drive, Moment
from .plan import Plan
from .run import Run, run_of
from .traffic import Pattern

MAX_STEPS = 1_000_000


def simulate(
    scenario: Scenario | type[Scenario],
    *,
    until: int | None = None,
    costs: Costs | None = None,
    traffic: Mapping[str, Pattern] | None = None,
    seed: int = 0,
    max_steps: int = MAX_STEPS,
    progress: Callable[[Moment], object] | None = None,
) -> Run:
    """Runs a scenario once, in simulated nanoseconds.

    It ends at the time ``until``, or when nothing is left to do, at a failure, or after ``max_steps`` steps. ``costs``
    says how long things take, ``traffic`` when what the programs wait for arrives:
    ``{"packets": poisson(per_second=1000)}``. The same ``seed`` gives the same run on every machine. ``progress`` is
    called every 10,000 steps with a ``Moment``; if it returns False or breaks, the run stops as by the stop button, and
    what has happened until then is kept.

    Data races and anything else that a search alone can see are not looked for.

    Raises TimeError where costs, traffic or times are no such things, and what ``explore`` raises where the model
    is wrong.
    """
    check_times(until, max_steps)
    check_seed(seed)
    check_progress(progress, TimeError)
    plans = Plans(as_scenario(scenario), Costs() if costs is None else costs, {} if traffic is None else traffic)
    with StopButton() as stop:
        return run_once(plans, seed, until, max_steps, progress, stop)


class Plans:
    """The plan of a scenario, made once; made again, wider, where a run needs that."""

    def __init__(self, scenario: Scenario, costs: Costs, traffic: Mapping[str, Pattern]) -> None:
        if not isinstance(costs, Costs):
            raise TimeError(f"costs = {show(costs)}; write costs=Costs({{READ_ONCE: 5}}).")
        self._made_of = scenario, costs, traffic
        self.plan = Plan(scenario, costs, traffic)

    def widen(self) -> None:
        self.plan = Plan(*self._made_of, self.plan.machine.width * 2)


def run_once(
    plans: Plans,
    seed: int,
    until: int | None,
    max_steps: int,
    progress: Callable[[Moment], object] | None,
    stop: StopButton,
) -> Run:
    """One run of a plan."""
    while True:
        drive = Drive(plans.plan, seed, until, max_steps, progress, stop)
        try:
            drive.go()
        except SlotOverflow:
            plans.widen()  # something takes more values than expected: once more, with room for them
            continue
        return run_of(drive, seed)


def check_times(until: object, max_steps: object) -> None:
    """Raises TimeError unless both bound a run."""
    if until is not None and (type(until) is not int or not 1 <= until <= LATEST):
        raise TimeError(
            f"until = {show(until)}; it is a time in whole nanoseconds: 1_000_000 is a millisecond. {LATEST:,}, some "
            "146 years, is the longest."
        )
    if type(max_steps) is not int or max_steps < 1:
        raise TimeError(f"max_steps = {show(max_steps)}; it is the number of steps after which to stop, at least 1.")


def check_seed(seed: object) -> None:
    """Raises TimeError unless it is a number."""
    if type(seed) is not int:
        raise TimeError(f"seed = {show(seed)}; a seed is a whole number.")
