"""In time: the programs of a scenario in simulated nanoseconds, on SimPy.

    run = simulate(PerCpuLists, seed=1)
    runs = simulate_many(PerCpuLists, seeds=1000)
    print(runs.failing())                          # how often, with its confidence interval
"""

from .costs import Costs, TimeError, exponential, mixture, observed, uniform
from .drive import Moment
from .estimate import Estimate
from .many import Done, Runs, simulate_each, simulate_many
from .run import CpuUse, GaugeUse, InterruptUse, LockUse, Run, Times
from .simulate import simulate
from .traffic import at_times, bursts, periodic, poisson
