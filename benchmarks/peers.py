"""The same small models, searched by vmbus_teach, by Spin and by Harmony.

Each tool has its own model of the race in its own language (in models/), with the same steps. Two
times are taken: the whole process, from the model's source to the verdict, and the search alone.
Every run is complete, also where a failure is found early.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from .table import large, milliseconds, table

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Model:
    """A race: its class in scenarios/classics.py with parameters, the other tools' model with constants."""

    title: str
    scenario: str
    parameters: str
    file: str
    constants: Mapping[str, int] = field(default_factory=dict)

    @property
    def small(self) -> bool:
        """Whether every tool has its verdict in about a second."""
        return self.constants.get("T", 0) * self.constants.get("N", 0) <= 6


def increments(threads: int, times: int) -> Model:
    """So many threads, each of which adds 1 so many times."""
    parameters = f"threads={threads}, times={times}"
    constants = {"T": threads, "N": times}
    return Model(f"Increments {threads}×{times}", "Increments", parameters, "increments", constants)


def models() -> list[Model]:
    """The races that are compared."""
    return [
        *(increments(threads, times) for threads in (2, 3, 4) for times in (1, 2, 3, 4)),
        *(Model(f"ListMove {r}", "ListMove", f"readers={r}", "list_move", {"R": r}) for r in (2, 4)),
        Model("Peterson", "Peterson", "", "peterson"),
    ]


@dataclass
class Run:
    """One measurement, in seconds."""

    whole: float
    search: float
    states: int
    steps: int
    fails: bool


Tool = Callable[[Model, Path], Run]


# --- the three tools -------------------------------------------------------------------------------------

OURS = """
from vmbus_teach import explore
from vmbus_teach.scenarios.classics import {scenario}
result = explore({scenario}({parameters}))
print("verdict", result.ok, result.states, result.transitions, *(f.schedule for f in result.failures))
"""

OUR_SEARCH = """
from time import perf_counter
from vmbus_teach.graph import Graph
from vmbus_teach.machine import Machine
from vmbus_teach.search import search
from vmbus_teach.stop import StopButton
from vmbus_teach.scenarios.classics import {scenario}
machine = Machine({scenario}({parameters}))
start = perf_counter()
search(machine, Graph(), {{}}, StopButton(), max_states=10**9, stop_at_first=False, progress=None)
print("search", perf_counter() - start)
"""


def vmbus_teach(model: Model, folder: Path) -> Run:
    """A Python process that imports the package, searches, and prints the verdict with a schedule."""
    names = {"scenario": model.scenario, "parameters": model.parameters}
    whole, said = _timed([sys.executable, "-c", OURS.format(**names)], folder)
    words = _found(r"^verdict (\w+) (\d+) (\d+)", said)
    _, said_of_search = _timed([sys.executable, "-c", OUR_SEARCH.format(**names)], folder)
    search = float(_found(r"^search (\S+)", said_of_search)[0])
    return Run(whole, search, int(words[1]), int(words[2]), words[0] == "False")


def spin(model: Model, folder: Path) -> Run:
    """spin makes a C program, gcc compiles it, and that searches (-c0: past all failures)."""
    shutil.copy(MODELS / f"{model.file}.pml", folder)
    constants = [f"-D{name}={value}" for name, value in model.constants.items()]
    # Its hash table has 2^18 places, which is quickly cleared, or 2^24 for the two models that need more.
    size = "-w24" if model.constants.get("N", 0) ** model.constants.get("T", 0) > 64 else "-w18"
    made, _ = _timed(["spin", *constants, "-a", f"{model.file}.pml"], folder)
    compiled, _ = _timed(["gcc", "-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c"], folder)
    search, said = _timed(["./pan", "-c0", size, "-m100000"], folder)
    states = int(_found(r"(\d+) states, stored", said)[0])
    steps = int(_found(r"(\d+) transitions", said)[0])
    return Run(made + compiled + search, search, states, steps, "errors: 0" not in said)


HARMONY = """
import sys
from time import perf_counter
from harmony_model_checker import main
inner = main.charm.run_model_checker
def run_model_checker(*options):
    start = perf_counter()
    result = inner(*options)
    print("search", perf_counter() - start)
    return result
main.charm.run_model_checker = run_model_checker
sys.argv[0] = "harmony"
main.main()
"""


def harmony(model: Model, folder: Path) -> Run:
    """Harmony compiles to bytecode, and a C program searches (-w 1: one worker is its fastest here)."""
    shutil.copy(MODELS / f"{model.file}.hny", folder)
    constants = [word for name, value in model.constants.items() for word in ("-c", f"{name}={value}")]
    options = ["--noweb", "-w", "1", *constants, f"{model.file}.hny"]
    whole, said = _timed([sys.executable, "-c", HARMONY, *options], folder)
    states = int(_found(r"(\d+) states", said)[0])
    steps = int(_found(r"/(\d+) computations/edges", said)[0])
    search = float(_found(r"^search (\S+)", said)[0])
    return Run(whole, search, states, steps, "No issues found" not in said)


def _timed(command: list[str], folder: Path) -> tuple[float, str]:
    environment = dict(os.environ)
    # A reader's Python keeps the compiled form of what it imports; this one shall, too.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = str(folder.parent / "compiled")
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    start = perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    spent = perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} fails:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return spent, done.stdout


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise RuntimeError(f"no {pattern!r} in: {text[:2000]}")
    return match.groups()


# --- the comparison --------------------------------------------------------------------------------------


def tools() -> tuple[dict[str, Tool], list[str]]:
    """The tools that this machine has, and for each that it lacks a line that says so."""
    found: dict[str, Tool] = {"vmbus_teach": vmbus_teach}
    lacking = []
    if shutil.which("spin") and shutil.which("gcc"):
        found["Spin"] = spin
    else:
        lacking.append("Spin is not installed: not measured. (Debian: apt-get install spin gcc libc6-dev)")
    if importlib.util.find_spec("harmony_model_checker"):
        found["Harmony"] = harmony
    else:
        lacking.append(f"Harmony is not installed: not measured. ({sys.executable} -m pip install harmony)")
    return found, lacking


def measure(rounds: int, seconds: float, chosen: list[Model]) -> dict[tuple[str, str], list[Run]]:
    """All tools on all models, round after round, so that a slower minute of the machine hits all alike.

    No round begins that would probably end after ``seconds``. A tool that is slow on a model is
    measured less often: until it has used a tenth of them.
    """
    found, _ = tools()
    runs: dict[tuple[str, str], list[Run]] = {(m.title, name): [] for m in chosen for name in found}
    begin = perf_counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        folder.mkdir()
        for tool in found.values():
            tool(chosen[0], folder)  # not counted: the first call compiles, or loads from disk
        for done in range(rounds):
            if done and (perf_counter() - begin) * (done + 1) / done > seconds:
                break
            for model in chosen:
                for name, tool in found.items():
                    so_far = runs[model.title, name]
                    if sum(run.whole for run in so_far) < seconds / 10:
                        so_far.append(tool(model, folder))
    return runs


def peers(rounds: int, seconds: float, chosen: list[Model]) -> str:
    """Two tables: the whole process, and the search alone."""
    found, lacking = tools()
    runs = measure(rounds, seconds, chosen)
    others = [name for name in found if name != "vmbus_teach"]
    counts = sorted({len(several) for several in runs.values()})
    said = [
        f"median of {' or '.join(map(str, counts))} runs; a ratio above 1 means that vmbus_teach is faster.",
        *lacking,
    ]
    for title, attribute in (("whole process", "whole"), ("the search alone", "search")):
        rows = []
        for model in chosen:
            mid = {name: median(getattr(run, attribute) for run in runs[model.title, name]) for name in found}
            last = {name: runs[model.title, name][-1] for name in found}
            sizes = [f"{large(last[name].states)}/{large(last[name].steps)}" for name in found]
            ratios = [f"{mid[name] / mid['vmbus_teach']:.2f}" for name in others]
            verdict = " or ".join(sorted({"fails" if run.fails else "holds" for run in last.values()}))
            rows.append((model.title, verdict, *sizes, *(milliseconds(mid[name]) for name in found), *ratios))
        head = ["model", "verdict", *(f"{name}: states/steps" for name in found)]
        head += [*(f"{name}, ms" for name in found), *(f"{name}: ratio" for name in others)]
        said += ["", title, table(head, rows, left=2)]
    return "\n".join(said)
