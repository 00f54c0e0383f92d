# SPDX-License-Identifier: MIT
"""A run whose controller was killed goes on: nothing that is finished is run twice, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
from cellruns import ROOT, newest, run_command, running_site
from deployments import wait_until

pytestmark = pytest.mark.docker

LOCAL = ROOT / "inventories" / "local"
WORK = 'exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"\n'


def events(run_dir, what):
    """Return how often something was begun in each scenario, by the journal."""
    entries = [json.loads(line) for line in (run_dir / "journal.jsonl").read_text().splitlines()]
    found = [entry["scenario"] for entry in entries if (entry["step"], entry["phase"]) == what]
    return {name: found.count(name) for name in found}


def containers(run_id):
    words = ["docker", "container", "ls", "-aq", "--filter", f"label=testcell.run={run_id}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def killed(results, project, tmp_path):
    """A run of two scenarios whose controller was killed in the test of the second; each test notes that it runs.

    Where the file `once` is absent a test waits, and notes its supervisor.
    """
    note = f'echo "$PPID" >> "{tmp_path}/$SCENARIO_NAME"\n'
    project("one", script=note + WORK)
    wait = f'if [ ! -e "{tmp_path}/once" ]; then touch "{tmp_path}/once"; sleep 6; fi\n'
    folder = project("two", script=note + wait + WORK)
    with running_site(LOCAL, results, testcell_project_dir=folder, scenario="one,two") as process:
        wait_until((tmp_path / "once").exists, "the test of the second case")
        alive = resume(newest(results))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    assert alive.returncode == 6 and "is not proved dead" in alive.stderr
    assert containers(newest(results).name), "the killed run was expected to leave something"
    return newest(results)


def resume(run_dir):
    return run_command("resume", run_dir.name, "-i", LOCAL, "--results-dir", run_dir.parent)


def verdicts(run_dir):
    summary = json.loads((run_dir / "summary.json").read_text())
    return [(case["scenario"], case["verdict"]) for case in summary["cases"]]


def noted(folder):
    """Return how often the test of each scenario was begun."""
    return [len((folder / name).read_text().splitlines()) for name in ("one", "two")]


def test_f04_a_test_that_still_runs_is_gone_on_with_and_not_begun_again(killed, tmp_path):
    done = resume(killed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(killed) == [("one", "pass"), ("two", "pass")] and noted(tmp_path) == [1, 1]
    assert events(killed, ("open", "event")) == {"one": 1, "two": 1}
    assert events(killed, ("adopt", "event")) == {"two": 1}
    assert events(killed, ("deploy", "begin")) == {"one": 1, "two": 1}
    result = json.loads((killed / "two" / "result_summary.json").read_text())
    assert any("another went on with it" in warning for warning in result["warnings"])
    assert containers(killed.name) == []
    again = resume(killed)
    assert again.returncode == 3 and "the run has ended" in again.stderr


def test_f04_a_test_that_is_lost_lets_its_case_begin_anew(killed, tmp_path):
    os.kill(int((tmp_path / "two").read_text()), signal.SIGKILL)
    done = resume(killed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(killed) == [("one", "pass"), ("two", "pass")] and noted(tmp_path) == [1, 2]
    assert events(killed, ("open", "event")) == {"one": 1, "two": 2}
    assert (killed / "two.interrupted_1" / "nodes").is_dir(), "what the killed case left came home"
    assert containers(killed.name) == []
