# SPDX-License-Identifier: MIT

"""The command line from end to end on this machine: a starter project, the simulated engine, the node `local`."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import own_project
import pytest

pytestmark = pytest.mark.docker
TESTCELL = (sys.executable, "-m", "testcell")
Start = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a starter project whose node keeps its files below tmp_path and whose engine has a free port."""
    return own_project.made(tmp_path)


@pytest.fixture
def start(project: Path) -> Start:
    """Return a function that runs one command line of testcell in the project."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TESTCELL, *arguments], cwd=project, capture_output=True, text=True, timeout=300, check=False
        )

    return run


def containers_of(run_id: str) -> list[str]:
    command = ["docker", "ps", "-aq", "--filter", f"label=testcell.run={run_id}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()


def test_a_starter_project_runs_to_a_pass_and_leaves_nothing(project: Path, start: Start) -> None:
    done = start("run", "example", "--format", "json")
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["verdict"] == "pass" and summary["cases"][0]["metrics"]["requests_completed"] == 20
    assert "requests    20 sent, 20 completed, 0 failed" in done.stderr
    folder = Path(summary["path"])
    for name in (
        "report.html",
        "summary.md",
        "junit.xml",
        "journal.jsonl",
        "example/test_report.md",
        "example/performance_results.csv",
    ):
        assert (folder / name).stat().st_size > 0
    assert (project / "results" / "latest").resolve() == folder
    assert containers_of(summary["run_id"]) == []
    assert "verdict  PASS" in start("results", "latest").stdout
    proved = start("verify", "latest", "--json")
    assert proved.returncode == 0 and json.loads(proved.stdout)["notes"] == [], proved.stdout
    command = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
    assert subprocess.run(command, cwd=folder, check=False, timeout=60).returncode == 0
    listed = (folder / "SHA256SUMS").read_text()
    assert all(
        f"  {name}\n" in listed for name in ("events.jsonl", "journal.jsonl", "summary.json", "example/test.log")
    )


def test_a_failing_script_ends_with_1_and_says_why(project: Path, start: Start) -> None:
    script = project / "scenarios" / "001_example" / "run_test.sh"
    script.write_text("#!/bin/sh\nseq 3000\nprintf 'about to fail'\nexit 3\n")
    done = start("run", "example")
    assert done.returncode == 1
    said = [line.removeprefix("   local        test      ") for line in done.stderr.splitlines()]
    lines = [*(f"| {number}" for number in range(1, 3001)), "| about to fail"]
    assert [line for line in said if line.startswith("| ")] == lines
    (ended,) = [line for line in said if line.startswith("ok, ")]
    assert said.index("| about to fail") + 1 == said.index(ended), "the end of the test comes after its last line"
    assert "exit code 3" in done.stdout and "verdict  FAIL" in done.stdout


def test_health_and_cleanup_answer_for_the_node(start: Start) -> None:
    health = start("health", "--format", "json")
    (node,) = json.loads(health.stdout)["nodes"]
    assert (health.returncode, node["name"], node["ok"]) == (0, "local", True)
    cleaned = start("cleanup", "20200101_000000", "--format", "json")
    (node,) = json.loads(cleaned.stdout)
    assert (cleaned.returncode, node["ok"], node["runs"]) == (0, True, [])


@contextmanager
def in_its_test(project: Path, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """Give a run whose test is up and would go on for half a minute."""
    script = project / "scenarios" / "001_example" / "run_test.sh"
    script.write_text("#!/bin/sh\necho half > $SCENARIO_RESULT_PATH/half.txt\necho the test is up\nexec sleep 30\n")
    process = subprocess.Popen(
        [*TESTCELL, "run", "example"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **streams,
    )
    with process:
        try:
            awaited(process, "the test is up")
            yield process
        finally:
            process.kill()


def awaited(process: subprocess.Popen[str], words: str) -> None:
    """Read what a run says until it says some words."""
    assert process.stderr is not None
    assert any(words in line for line in process.stderr), f"it ended without saying {words!r}"


def cancelled(project: Path) -> Path:
    """Return the folder of the case of a run that was stopped and has left nothing on the node."""
    summary = json.loads((project / "results" / "latest" / "summary.json").read_text())
    assert summary["verdict"] == "cancelled" and summary["cases"][0]["failure"]["error_kind"] == "cancelled"
    assert containers_of(summary["run_id"]) == []
    return project / "results" / "latest" / "example"


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGTERM, 143, id="F09-TERM"), pytest.param(signal.SIGINT, 130, id="F09-INT")],
)
def test_a_run_that_is_stopped_collects_cleans_and_says_so(project: Path, number: int, code: int) -> None:
    with in_its_test(project) as process:
        process.send_signal(number)
        out, _err = process.communicate(timeout=180)
    assert process.returncode == code and "verdict  CANCELLED" in out
    case = cancelled(project)
    assert (case / "nodes/local/services/engine.log").stat().st_size > 0, "evidence comes home before the cleaning"
    assert (case / "test_artifacts/results/half.txt").read_text() == "half\n"
    assert "the test is up" in (case / "test.log").read_text()
    assert signal.Signals(number).name in (case / "test_report.md").read_text()


def test_f09_a_second_signal_leaves_collecting_out_and_never_cleaning(project: Path) -> None:
    with in_its_test(project) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _out, said = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "collecting from its nodes" not in said and "cleaning the nodes" in said
    assert not (cancelled(project) / "test_artifacts").exists()


def test_f09_a_terminal_that_is_lost_stops_the_run_which_collects_and_cleans(project: Path) -> None:
    with in_its_test(project) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=180) == 129
    assert (cancelled(project) / "test_artifacts/results/half.txt").read_text() == "half\n"


def test_f09_a_run_needs_no_standard_input(project: Path) -> None:
    command = f"exec <&-; exec {shlex.join(map(str, TESTCELL))} run example"
    done = subprocess.run(["sh", "-c", command], cwd=project, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0 and "verdict  PASS" in done.stdout, done.stderr
