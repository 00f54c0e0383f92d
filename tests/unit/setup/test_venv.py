# SPDX-License-Identifier: MIT
"""setup/venv: made once, made again when the lock file changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

# `python3 -m venv .venv` gives a Python that is this fake again
PYTHON = r"""
case "$1 $2" in
'-m venv') mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
'-m pip') [ ! -f "$state/broken" ] || { echo no matching distribution; exit 1; } ;;
'-c import sys'*) [ ! -f "$state/old" ] ;;
esac
"""


@pytest.fixture
def project(workshop: Any, write: Callable[[str, str], None]) -> Any:
    """A workshop with lock files and a Python that installs nothing."""
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        write(name, f"{name}\n")
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        workshop.fake(name, PYTHON)
    workshop.fake("apt-get", "exit 100")
    return workshop


def installs(project: Any) -> list[str]:
    """Return the last word of each pip call."""
    return [call.split()[-1] for call in project.calls if " -m pip " in call]


@pytest.mark.parametrize(
    ("arguments", "lock"),
    [((), "requirements-dev.lock"), (("dev",), "requirements-dev.lock"), (("run",), "requirements.lock")],
)
def test_environment_is_made_once_from_its_lock_file(project: Any, arguments: tuple[str, ...], lock: str) -> None:
    assert project.run("venv", *arguments).returncode == 0
    assert project.run("venv", *arguments).returncode == 0
    assert installs(project) == [lock, "."]


def test_environment_for_development_serves_a_run(project: Any) -> None:
    project.run("venv", "dev")
    project.run("venv", "run")
    assert installs(project) == ["requirements-dev.lock", "."]


def test_new_lock_file_is_installed_into_the_same_environment(project: Any, write: Callable[[str, str], None]) -> None:
    project.run("venv", "run")
    write("requirements.lock", "other\n")
    project.run("venv", "run")
    assert installs(project) == ["requirements.lock", "."] * 2
    assert len([call for call in project.calls if " -m venv" in call]) == 1


def test_failed_install_is_shown_and_tried_again(project: Any) -> None:
    (project.bin / "broken").touch()
    done = project.run("venv", "run")
    assert done.returncode == 5
    assert "no matching distribution" in done.stderr
    (project.bin / "broken").unlink()
    assert project.run("venv", "run").returncode == 0


def test_old_python_is_refused_with_the_version_that_is_needed(project: Any) -> None:
    (project.bin / "old").touch()
    done = project.run("venv", "run")
    assert done.returncode == 5
    assert "apt-get could not install: python3" in done.stderr


def test_unknown_kind_is_a_usage_error(project: Any) -> None:
    done = project.run("venv", "prod")
    assert done.returncode == 2
    assert "known: dev, run" in done.stderr
