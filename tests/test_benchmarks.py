"""The benchmarks run, and print what they promise; their times are nobody's business here."""

import subprocess
import sys

from places import ROOT

from benchmarks.__main__ import FEW
from vmbus_teach.scenarios import catalogue


def test_quick_benchmarks_print_their_tables():
    """`python -m benchmarks --quick` names what it has measured, and says which other checkers it found."""
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for entry in catalogue():
        assert entry.chapter not in FEW or entry.scenario.__name__ in done.stdout
    assert "events/s by hand" in done.stdout
    assert "a contended spin lock" in done.stdout
    assert "runs/s" in done.stdout
    assert "Harmony" in done.stdout
    assert "Spin" in done.stdout
