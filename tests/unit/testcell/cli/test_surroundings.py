# SPDX-License-Identifier: MIT

"""The command line as a process of its own, in odd surroundings (rows 71 and 72), and what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testcell.cli import folders
from testcell.cli.errors import CliError

Cli = Callable[..., Any]
PATHS = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
TESTCELL = (sys.executable, "-m", "testcell")


def start(*arguments: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.defpath, "PYTHONPATH": PATHS, **(env or {})}
    return subprocess.run(
        [*TESTCELL, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
        **more,
    )


@pytest.mark.parametrize("command", ["scenarios", "validate", "status", "--help"])
@pytest.mark.parametrize(
    "env",
    [
        pytest.param({}, id="B71-no-home-no-term-no-locale"),
        pytest.param({"LC_ALL": "C", "HOME": "/nonexistent", "TERM": "dumb"}, id="B71-locale-C"),
        pytest.param({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, id="B71-ascii-only"),
    ],
)
def test_bare_environments_work(project: Path, command: str, env: dict[str, str]) -> None:
    path = project / "scenarios" / "001_example" / "metadata.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("One engine", "模型 engine ✓"), encoding="utf-8")
    done = start(command, cwd=project, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_work(project: Path, closing: str) -> None:
    """B71"""
    line = f"{sys.executable} -m testcell validate {closing}"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        env={"PATH": os.defpath, "PYTHONPATH": PATHS},
        cwd=project,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0


def test_a_deleted_current_folder_is_named_and_the_checkout_is_used(tmp_path: Path) -> None:
    """B71"""
    line = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m testcell scenarios"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        env={"PATH": os.defpath, "PYTHONPATH": PATHS},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "the current folder does not exist any more" in done.stderr
    assert "001_baseline" in done.stdout


def test_a_reader_that_goes_away_is_no_failure(project: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*TESTCELL, "scenarios"],
        stdout=write,
        stderr=subprocess.PIPE,
        env={"PATH": os.defpath, "PYTHONPATH": PATHS},
        cwd=project,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_results_folder_that_cannot_be_made_is_named(project: Path, cli: Cli) -> None:
    """B71"""
    answer = cli("run", "example", "--results-dir", "/proc/none/results")
    assert answer.code == 5 and "/proc/none/results cannot be made" in answer.err and "--results-dir" in answer.err


def test_the_owner_of_a_folder_of_somebody_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B72"""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999)
    with pytest.raises(CliError, match=r"belongs to \w+ \(uid \d+\), mode 0\d+; you are uid 3999999"):
        folders.writable(tmp_path)


def test_a_run_id_that_is_taken_gets_a_suffix(tmp_path: Path) -> None:
    first = folders.free_run_id(tmp_path, 0.0)
    (tmp_path / first).mkdir()
    assert folders.free_run_id(tmp_path, 0.0) == f"{first}_2"
    (tmp_path / f"{first}_2").mkdir()
    assert folders.free_run_id(tmp_path, 0.0) == f"{first}_3"


@pytest.mark.parametrize(
    "command",
    [["--help"], ["scenarios"], ["validate"], ["run", "example", "--dry-run"], ["results"], ["nodes", "--offline"]],
)
def test_quick_commands_import_neither_ansible_nor_drawing(project: Path, command: list[str]) -> None:
    code = (
        "import sys\nfrom testcell.cli import main\n"
        f"code = main.run({command!r})\n"
        "heavy = {'ansible', 'ansible_runner', 'docker', 'jinja2', 'pexpect', 'rich.live', 'rich.markdown'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy), code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.defpath, "PYTHONPATH": PATHS},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "HEAVY [] 0", done.stdout + done.stderr
