"""What is installed by pip, by Binder, and what the package itself asks for, fit together."""

import json
import os
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BINDER = yaml.safe_load((ROOT / "environment.yml").read_text())

# Where conda-forge uses another name than PyPI.
PYPI_NAME = {"matplotlib-base": "matplotlib"}
# What only Binder lists: the interpreter, and pip for postBuild.
ONLY_BINDER = ("python", "pip")


def bounds(lines):
    """From 'name>=1,<2' lines to {name: bounds}, with PyPI's names."""
    requirements = [Requirement(line) for line in lines]
    return {PYPI_NAME.get(r.name, r.name): r.specifier for r in requirements}


def binder_bounds():
    """What environment.yml asks for, without Python and pip."""
    return bounds(line for line in BINDER["dependencies"] if line.split("=")[0] not in ONLY_BINDER)


def test_binder_and_pip_install_the_same():
    """environment.yml and pyproject.toml list the same packages with the same bounds."""
    assert binder_bounds() == bounds(PROJECT["dependencies"])


def test_bounds_are_compared():
    """Two lists that differ in one bound, or in one package, are different for the test above."""
    assert bounds(["matplotlib-base>=3.9,<4"]) == bounds(["matplotlib<4, >=3.9"])
    assert bounds(["simpy>=4.1,<5"]) != bounds(["simpy>=4.1,<6"])
    assert bounds(["simpy>=4.1,<5"]) != bounds(["simpy>=4.1,<5", "numpy>=2,<3"])


def test_every_dependency_has_both_bounds():
    """A new major release of a dependency cannot reach a reader before somebody has tried it."""
    for name, specifier in bounds(PROJECT["dependencies"]).items():
        operators = {clause.operator for clause in specifier}
        assert operators == {">=", "<"}, f"pyproject.toml: give {name} a lower and an upper bound"


def test_binder_pins_a_python_that_the_package_accepts():
    """environment.yml names one version of Python, one that pyproject.toml allows, and only conda-forge."""
    [python] = [line for line in BINDER["dependencies"] if line.startswith("python=")]
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert allowed.contains(python.removeprefix("python="))
    assert BINDER["channels"] == ["conda-forge"]


def test_the_version_is_said_once():
    """CITATION.cff cites the version that pyproject.toml has."""
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == PROJECT["version"]


def test_postbuild_can_be_executed():
    """Binder's last step is an executable file that starts with a shebang."""
    script = ROOT / "postBuild"
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/bin/bash\n")


HEAVY = {"matplotlib", "ipywidgets", "anywidget", "numpy", "IPython", "simpy"}
THREADS = {"threading", "multiprocessing", "concurrent.futures", "asyncio", "subprocess", "socket"}


def modules_after(statement, *options):
    """The modules that a fresh interpreter has loaded after this statement."""
    prepare = f"import sys, json; sys.path.insert(0, {str(ROOT)!r})"
    report = "print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-I", *options, "-c", f"{prepare}; {statement}; {report}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("statement", ["import vmbus_teach", "import vmbus_teach.kernel"])
def test_importing_the_engine_is_light(statement):
    """The engine loads no plotting, no widgets, no numpy, and nothing that starts threads or processes."""
    loaded = modules_after(statement) - modules_after("pass")
    assert not loaded & (HEAVY | THREADS)


def test_the_engine_needs_only_the_standard_library():
    """The engine can be imported where nothing else is installed (-S hides site-packages)."""
    assert not modules_after("import vmbus_teach, vmbus_teach.kernel", "-S") & (HEAVY | THREADS)


def test_heavy_imports_would_be_seen():
    """The two tests above notice a heavy module when there is one."""
    assert "threading" in modules_after("import threading", "-S") - modules_after("pass", "-S")
