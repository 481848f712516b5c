"""The rule that CI skips nothing, tried on small made-up test files."""

import subprocess
import sys

import pytest
from conftest import why_not
from places import ROOT

MADE_UP = {
    "test_skips.py": "import pytest\ndef test_it(): pytest.skip('no time')",
    "test_marked.py": "import pytest\n@pytest.mark.skip(reason='no time')\ndef test_it(): pass",
    "test_whole_file.py": "import pytest\npytest.skip('no time', allow_module_level=True)",
    "test_needs.py": "import pytest\n@pytest.mark.needs('spin')\ndef test_it(): pass",
    "test_expected.py": "import pytest\n@pytest.mark.xfail\ndef test_it(): assert 0",
    "test_passes.py": "def test_it(): pass",
}


def run_pytest(folder, ci):
    """Run pytest with the course's conftest.py on the made-up files, where no tool is on the PATH."""
    for name in "conftest.py", "browser.py", "places.py":
        (folder / name).write_text((ROOT / "tests" / name).read_text())
    for name, source in MADE_UP.items():
        (folder / name).write_text(source)
    (folder / "pytest.ini").write_text(f"[pytest]\nmarkers = needs(tool)\npythonpath = {ROOT}\n")
    options = ["-ra", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *options]
    environment = {"PATH": "", "VMBUS_TEACH_CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_a_skip_fails_in_ci(tmp_path):
    """With VMBUS_TEACH_CI=1 a skip (by the test, a mark, a whole file, a missing tool) fails and says why."""
    run = run_pytest(tmp_path, ci="1")
    closing_line = run.stdout.splitlines()[-1]
    assert run.returncode == 1
    # pytest calls it an error where the skip came before the test itself began
    assert "1 failed, 1 passed, 1 xfailed, 3 errors" in closing_line
    assert run.stdout.count("no time).\nVMBUS_TEACH_CI is set") == 3
    assert "apt-get install spin gcc" in run.stdout


def test_a_skip_is_only_a_skip_elsewhere(tmp_path):
    """Without VMBUS_TEACH_CI the same files pass, and the skips are listed with their reasons."""
    run = run_pytest(tmp_path, ci="")
    assert run.returncode == 0
    assert "1 passed, 4 skipped, 1 xfailed" in run.stdout.splitlines()[-1]
    assert "spin and gcc not found; on Debian: apt-get install spin gcc" in run.stdout


def test_an_unknown_tool_is_refused():
    """A misspelt tool in a mark is an error, not a test that never runs."""
    with pytest.raises(ValueError, match="no such tool"):
        why_not("spim")
