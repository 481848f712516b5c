"""The logic of the stepper's page, run by Node: it tells what Python tells. The tests are in tests/js/."""

import json
import os
import re
import subprocess

import pytest
from conftest import ROOT
from js import fixtures

pytestmark = pytest.mark.needs("node")

FOLDER = ROOT / "tests" / "js"
FILES = sorted(FOLDER.glob("*.test.mjs"))
TESTS = [name for file in FILES for name in re.findall(r'^test\("(.*?)", ', file.read_text(encoding="utf-8"), re.M)]


def run_in_node(files, folder):
    """Runs tests in Node; what came of each, by name: "" or why it failed. "" itself is all that they printed."""
    command = ["node", "--test", f"--test-reporter={(FOLDER / 'reporter.mjs').as_uri()}", *map(str, files)]
    env = os.environ | {"FIXTURES": str(folder)}
    run = subprocess.run(command, capture_output=True, encoding="utf-8", env=env, timeout=300)
    events = [json.loads(line) for line in run.stdout.splitlines()]
    printed = "".join(event["printed"] for event in events if "printed" in event)
    return {"": printed + run.stderr} | {event["name"]: event["message"] for event in events if "name" in event}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What came of every test."""
    folder = tmp_path_factory.mktemp("fixtures")
    fixtures.write(folder)
    return run_in_node(FILES, folder)


@pytest.mark.parametrize("name", TESTS)
def test_in_node(results, name):
    """The test of this name in tests/js/ passes."""
    assert name in results, f"Node has not run it: {results}"
    if results[name]:
        pytest.fail(results[name], pytrace=False)


def test_every_test_is_told_here(results):
    """Node has run the tests that pytest knows by name, no others, and printed nothing."""
    assert sorted(results) == sorted(["", *TESTS])
    assert results[""] == ""


def test_a_failure_in_node_is_seen(tmp_path):
    """A test that fails is told with its message, a file that cannot be run with its error."""
    (tmp_path / "a.test.mjs").write_text(
        'import test from "node:test";\n'
        'test("good", () => {});\n'
        'test("bad", async () => { throw new Error("so it is"); });\n'
    )
    (tmp_path / "b.test.mjs").write_text("await import('./nowhere.mjs');\n")
    results = run_in_node([tmp_path / "a.test.mjs", tmp_path / "b.test.mjs"], tmp_path)
    assert results["good"] == ""
    assert results["bad"].startswith("so it is\n")
    assert any("b.test.mjs" in name and why for name, why in results.items())
    assert "nowhere.mjs" in results[""]
