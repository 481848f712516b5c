"""The engine under Pyodide, which is CPython compiled for the browser; here Node runs it.

There are no threads in it, and nothing is installed. It is also another version of CPython than the one
that runs the other tests: a second one whose frames the engine has to read correctly, or leave alone.
"""

import subprocess
import textwrap

import pytest
from places import PYODIDE, ROOT

pytestmark = pytest.mark.needs("pyodide")


def run_in_pyodide(program, package=ROOT / "vmbus_teach"):
    """Run a Python program in Pyodide, where `package` can be imported."""
    command = ["node", str(ROOT / "tests" / "pyodide_run.mjs"), str(PYODIDE), str(package)]
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
