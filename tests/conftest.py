"""What all tests share: tools that a machine may lack, and the rule that CI skips nothing.

A test that needs such a tool says so:

    @pytest.mark.needs("spin")
    def test_agrees_with_spin(): ...

Where the tool is missing, the test is skipped and the closing lines of pytest give the reason. With
VMBUS_TEACH_CI=1, which .ci/run sets, every skip is a failure: there a test that does not run is a mistake.
"""

import importlib.util
import os
import shutil
from collections import Counter

import hypothesis
import pytest
from places import AXE, PYODIDE, ROOT  # noqa: F401  (some import ROOT from here)

# The browser's fixtures.
pytest_plugins = ["browser"]

# The same examples in every run, on every machine, however slow it is.
hypothesis.settings.register_profile("course", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("course")


def why_not(tool):
    """Why this machine cannot run tests that need `tool`; None if it can."""
    match tool:
        case "spin":
            lacking = [name for name in ("spin", "gcc") if shutil.which(name) is None]
            if lacking:
                return f"{' and '.join(lacking)} not found; on Debian: apt-get install spin gcc libc6-dev"
        case "chromium":
            if shutil.which("chromium") is None:
                return "chromium not found; on Debian: apt-get install chromium"
        case "axe":
            if not AXE.exists():
                return "axe-core not found in .node/; .ci/run has the npm command that installs it"
        case "node":
            if shutil.which("node") is None:
                return "node not found; on Debian: apt-get install nodejs npm"
        case "pyodide":
            if reason := why_not("node"):
                return reason
            if not (PYODIDE / "package.json").exists():
                return "Pyodide not found in .node/; .ci/run has the npm command that installs it"
        case "repo2docker":
            if importlib.util.find_spec("repo2docker") is None:
                return "repo2docker not found; 'make test' installs it, 'pip install -e .[test]' does too"
        case _:
            known = "spin, node, pyodide, chromium, axe, repo2docker"
            raise ValueError(f"needs({tool!r}): no such tool; tests/conftest.py knows {known}. Misspelt?")
    return None


def pytest_runtest_setup(item):
    """Skip the test, with the reason, if a tool that it needs is missing."""
    for mark in item.iter_markers("needs"):
        for tool in mark.args:
            if reason := why_not(tool):
                pytest.skip(reason)


def pytest_collection_modifyitems(config, items):
    """Where several processes take a file at a time, those that take long come first, so that none is left at the end.

    First what opens a browser, then what asks another tool or tries many examples, then the files with many tests.
    """
    if not hasattr(config, "workerinput"):
        return
    tests = Counter(item.path for item in items)
    rank = dict.fromkeys(tests, 2)
    for item in items:
        asks = item.get_closest_marker("needs") or getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        own = 0 if "chromium" in getattr(item, "fixturenames", ()) else 1 if asks else 2
        rank[item.path] = min(own, rank[item.path])
    items.sort(key=lambda item: (rank[item.path], -tests[item.path], item.path))


class NothingIsSkipped:
    """A pytest plugin that reports every skipped test as failed."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        """For tests and notebook cells."""
        return self.judge((yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector):
        """For whole files (`pytest.importorskip` at their top)."""
        return self.judge((yield))

    def judge(self, report):
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            report.outcome = "failed"
            report.longrepr = (
                f"{report.nodeid} was skipped ({reason}).\n"
                "VMBUS_TEACH_CI is set, and then every test must run. Let .ci/run install what is missing, "
                "or unset VMBUS_TEACH_CI to allow skips on your own machine."
            )
        return report


def pytest_configure(config):
    """Switch the rule on in CI; as a plugin, because a hook of this file would not see the notebooks."""
    if os.environ.get("VMBUS_TEACH_CI", "") not in ("", "0"):
        config.pluginmanager.register(NothingIsSkipped(), "nothing-is-skipped")
