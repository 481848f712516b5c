"""What Binder would do with this repository, as far as repo2docker says without building an image."""

import re
import subprocess
import sys

import pytest
from places import ROOT

pytestmark = pytest.mark.needs("repo2docker")

COMMAND = "--no-build --debug --user-id 1000 --user-name jovyan"


def dockerfile(folder):
    """What repo2docker would do with this folder, as a Dockerfile."""
    assert folder.is_dir()      # for a folder that doesn't exist it would ask the network
    command = [sys.executable, "-m", "repo2docker", *COMMAND.split(), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    text = run.stdout + run.stderr
    assert run.returncode == 0, text
    return text


def steps(text):
    """The steps of a Dockerfile that belong to this repository, in order."""
    known = {
        r"\$\{MAMBA_EXE\} env update .*environment\.yml": "install environment.yml",
        r"pip install .*-r \S*requirements\.txt": "install requirements.txt",
        r"^COPY .*src/environment\.yml": "copy environment.yml",
        r"^COPY .*src/ \$\{REPO_DIR\}": "copy the repository",
        r"^RUN \./postBuild": "run postBuild",
    }
    found = []
    for line in text.splitlines():
        found += [name for pattern, name in known.items() if re.search(pattern, line.strip())]
    return found


def test_binder_builds_with_conda():
    """The conda build pack is chosen: environment.yml is installed first, and postBuild runs once, last."""
    assert steps(dockerfile(ROOT)) == [
        "copy environment.yml",
        "install environment.yml",      # before the repository is copied: so this layer outlives a commit
        "copy the repository",
        "run postBuild",
    ]


def test_binder_uses_the_pinned_python():
    """The Python pinned in environment.yml decides about the base environment."""
    [version] = re.findall(r"python=(3\.\d+)", (ROOT / "environment.yml").read_text())
    assert f"Building conda environment for python={version}" in dockerfile(ROOT)


def test_another_build_pack_would_be_seen(tmp_path):
    """With a requirements.txt in place of environment.yml the steps are different ones."""
    (tmp_path / "requirements.txt").write_text("simpy\n")
    found = steps(dockerfile(tmp_path))
    assert "install requirements.txt" in found
    assert "install environment.yml" not in found
