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


def test_f04_a_run_goes_on_after_kill_9_of_its_controller(results, project, tmp_path):
    marker = tmp_path / "begun"
    project("one", script=f'echo run >> "{tmp_path}/one"\n{WORK}')
    folder = project("two", script=f'if [ ! -e "{marker}" ]; then touch "{marker}"; sleep 60; fi\n{WORK}')
    with running_site(LOCAL, results, testcell_project_dir=folder, scenario="one,two") as process:
        wait_until(marker.exists, "the test of the second case")
        alive = run_command("resume", newest(results).name, "-i", LOCAL, "--results-dir", results)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    assert alive.returncode == 6 and "is not proved dead" in alive.stderr
    run_dir = newest(results)
    assert containers(run_dir.name), "the killed run was expected to leave something"
    done = run_command("resume", run_dir.name, "-i", LOCAL, "--results-dir", results)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((run_dir / "summary.json").read_text())
    assert [(case["scenario"], case["verdict"]) for case in summary["cases"]] == [("one", "pass"), ("two", "pass")]
    assert (tmp_path / "one").read_text() == "run\n"
    assert events(run_dir, ("open", "event")) == {"one": 1, "two": 2}
    assert (run_dir / "two.interrupted_1" / "nodes").is_dir(), "what the killed case left came home"
    assert containers(run_dir.name) == []
    again = run_command("resume", run_dir.name, "-i", LOCAL, "--results-dir", results)
    assert again.returncode == 3 and "the run has ended" in again.stderr
