"""The engine under Pyodide, which is CPython compiled for the browser; here Node runs it.

There are no threads in it, and nothing is installed. It is also another version of CPython than the one
that runs the other tests: a second one whose frames the engine has to read correctly, or leave alone.
"""

import subprocess
import textwrap
from pathlib import Path

import pytest
import simpy
from places import PYODIDE, ROOT

pytestmark = pytest.mark.needs("pyodide")


def run_in_pyodide(program, *packages):
    """Run a Python program in Pyodide, where these packages can be imported; the course, if none is given."""
    packages = map(str, packages or [ROOT / "vmbus_teach"])
    command = ["node", str(ROOT / "tests" / "pyodide_run.mjs"), str(PYODIDE), *packages]
    program = textwrap.dedent(program)
    return subprocess.run(command, input=program, capture_output=True, text=True, timeout=120)


def test_pyodide_imports_from_a_mounted_folder(tmp_path):
    """Pyodide starts and sees the mounted folder, and a Python error ends Node with the traceback."""
    package = tmp_path / "made_up"
    package.mkdir()
    (package / "__init__.py").write_text("answer = 42\n")
    run = run_in_pyodide("import sys, made_up; print(sys.platform, made_up.answer); 1 / 0", package)
    assert run.stdout == "emscripten 42\n"
    assert run.returncode == 1
    assert "ZeroDivisionError" in run.stderr
    assert list(package.iterdir()) == [package / "__init__.py"]     # no __pycache__ is left behind


def test_the_engine_finds_a_lost_update():
    """In Pyodide, explore() sees that two threads which add one each may leave 1 behind."""
    run = run_in_pyodide(
        """
        from vmbus_teach import Scenario, at_end, explore, thread
        from vmbus_teach.kernel import READ_ONCE, WRITE_ONCE, Cell

        class Increments(Scenario):
            cpus = 2

            def setup(self):
                self.counter = Cell(0)

            def increment(self):
                value = yield READ_ONCE(self.counter)
                yield WRITE_ONCE(self.counter, value + 1)

            @thread(cpu=0)
            def one(self):
                yield from self.increment()

            @thread(cpu=1)
            def two(self):
                yield from self.increment()

            @at_end
            def both_count(self, s):
                return s[self.counter] == 2

            def outcome(self, s):
                return s[self.counter]

        found = explore(Increments)
        print(found.complete, found.ok, found.schedules, sorted(found.outcomes))
        print(*sorted({failure.kind for failure in found.failures}))
        """
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "True False 6 [1, 2]\nat_end\n"


def test_merging_is_as_sound_there():
    """The golden counts hold, the canary lives, and every program of tricky.py is judged as without merging."""
    program = (ROOT / "tests" / "tricky.py").read_text() + textwrap.dedent(
        """
        from vmbus_teach.position import frames_can_be_read

        class Increments(Scenario):
            def setup(self, threads, times):
                self.times = times
                self.count = Cell(0)
                for _ in range(threads):
                    self.add_thread(self.worker)

            def worker(self):
                for _ in range(self.times):
                    value = yield READ_ONCE(self.count)
                    yield WRITE_ONCE(self.count, value + 1)

        print(frames_can_be_read())
        for threads, times in (2, 1), (2, 4), (3, 2), (3, 3):
            result = explore(Increments(threads=threads, times=times), symmetry=False)
            print(threads, times, result.states, result.schedules)
        verdicts = {name: three_verdicts(program) for name, program in PROGRAMS.items()}
        print([name for name, (reference, *others) in verdicts.items() if others != [reference, reference]])
        """
    )
    run = run_in_pyodide(program)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "True", "2 1 12 6", "2 4 541 12870", "3 2 904 34650", "3 3 7646 17153136", "[]"
    ]


SIMPY = Path(simpy.__file__).parent     # Python alone, so it can be mounted, too

#: Prints what some runs have come to, to the last digit.
IN_TIME = """
import hashlib
from vmbus_teach import simulate, simulate_many
from vmbus_teach.kernel import READ_ONCE
from vmbus_teach.scenarios.classics import LockInHandlerIrqsave
from vmbus_teach.scenarios.retarget import PerCpuLists, Retargeting
from vmbus_teach.timed import Costs, bursts, exponential, mixture, poisson, uniform

costs = Costs({READ_ONCE: exponential(40)}, interrupt=uniform(0, 900), wakeup=mixture({0: 1, uniform(0, 100): 2}))
traffic = {"packets": poisson(per_second=20_000), "moves": bursts(size=2, every=3_000_000)}
runs = [
    simulate(Retargeting, traffic=traffic, costs=costs, until=5_000_000, seed=3),
    simulate(PerCpuLists, costs=costs, seed=5),
    simulate(LockInHandlerIrqsave, costs=costs, seed=5),
]
told = [(r.words, list(r.times), r.reason, r.row(), r.operations, r.waits, r.stretches) for r in runs]
print(sum(run.steps for run in runs), hashlib.sha256(repr(told).encode()).hexdigest())
print(repr(simulate_many(PerCpuLists, seeds=50, costs=costs)))
"""


def test_a_run_in_time_is_the_same_there(capsys):
    """In Pyodide `simulate` and `simulate_many` come to what they come to here, to the last digit."""
    run = run_in_pyodide(IN_TIME, ROOT / "vmbus_teach", SIMPY)
    exec(IN_TIME, {})
    assert run.returncode == 0, run.stderr
    assert run.stdout == capsys.readouterr().out
    assert run.stdout.splitlines()[1].startswith("PerCpuLists: 50 runs")


def test_without_processes_all_runs_are_made_there():
    """Pyodide has no pool of processes: also as many runs as would be worth one are all made, one after the other."""
    run = run_in_pyodide(
        """
        from vmbus_teach import simulate_many
        from vmbus_teach.scenarios.classics import Increments
        from vmbus_teach.timed import many

        asked = []
        find, many.WORTH_IT = many._processes, 0
        many._processes = lambda: asked.append(find()) or asked[-1]
        runs = simulate_many(Increments, seeds=20)
        print(asked, len(runs), runs.complete)
        """,
        ROOT / "vmbus_teach", SIMPY,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "[None] 20 True\n"


def test_exercises_are_graded_there():
    """In Pyodide the grader solves, refuses code that never ends, and gives hints, as it does here."""
    run = run_in_pyodide(
        """
        from vmbus_teach import grade, hint
        from vmbus_teach.grading.chapters.ch02 import NEW, OLD, RELID, Retarget
        from vmbus_teach.kernel import raise_irq, set_bit, smp_call_function_single

        class MyFix(Retarget):
            def move_channel(self):
                yield smp_call_function_single(NEW, self.percpu_channel_enq, NEW)
                yield from self.send_modifychannel()
                yield smp_call_function_single(OLD, self.percpu_channel_deq, OLD)

            def not_found(self, cpu):
                yield set_bit(RELID, self.event_flags[NEW])
                yield raise_irq(self.vmbus_isr_1)

        class NeverEnds(MyFix):
            def not_found(self, cpu):
                while True:
                    pass
                yield

        print(grade("02-retarget", MyFix))
        for answer in (Retarget, NeverEnds):
            print(grade("02-retarget", answer).verdict)
        print(hint("02-retarget"))
        """
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("02-retarget: solved.")
    assert run.stdout.splitlines()[-3:-1] == ["refused", "refused"]
    assert run.stdout.splitlines()[-1].startswith("Hint 1 of 3: ")
