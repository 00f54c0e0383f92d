# SPDX-License-Identifier: MIT
"""Maintenance with real runs on the controller: what failed once and passes is flaky, and an interrupted round goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cellruns import ROOT, ansible_command, environment, run_command

pytestmark = pytest.mark.docker

LOCAL = ROOT / "inventories" / "local"
AT_ONCE = {"retry_strategy": {"retry_delay": 0}, "auto_retest": {"cooldown_hours": 0}}


@pytest.fixture
def failed(project, results):
    """A project whose scenario has failed once: its engine did not get healthy, and would now."""
    folder = project(faults="${PROBE_FAULTS:-}")
    (folder / "auto_maintenance_config.json").write_text(json.dumps(AT_ONCE))
    words = ("-e", "testcell_environment=PROBE_FAULTS=never_healthy", "-e", "service_health_check.startup_timeout=3")
    done = run_command("run", "probe", "--results-dir", results, "-i", LOCAL, *words, "--format", "json", cwd=folder)
    assert json.loads(done.stdout)["cases"][0]["failure"]["error_kind"] == "health_timeout", done.stdout + done.stderr
    return folder


def ask(folder, results, *words):
    done = run_command(*words, "--results-dir", results, "--format", "json", cwd=folder)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_case_that_fails_and_passes_when_it_is_run_again_is_flaky_and_no_pass(failed, results):
    (case,) = ask(failed, results, "incomplete", "-i", LOCAL)[1]
    assert (case["state"], case["owner"], case["next"]["action"]) == ("failing", "engine", "rerun")
    _, script = ask(failed, results, "retest", "-i", LOCAL)
    assert script["cases"] == 1
    given = {**os.environ, "TESTCELL": str(Path(sys.executable).parent / "testcell")}
    rerun = subprocess.run(
        [script["script"]], env=given, cwd="/", capture_output=True, text=True, timeout=120, check=False
    )
    assert rerun.returncode == 0, rerun.stdout + rerun.stderr
    (case,) = ask(failed, results, "incomplete", "-i", LOCAL)[1]
    assert (case["state"], case["last_answer"], case["next"]["action"]) == ("flaky", "pass", "leave")
    code, status = ask(failed, results, "status")
    assert code == 0 and status["maintenance"]["groups"][0]["flaky"] == 1


def test_a_round_that_is_killed_goes_on_and_does_nothing_twice(failed, results):
    words = ("maintain", "-i", LOCAL, "--results-dir", results)
    with running_command(*words, cwd=failed) as process:
        wait_for(lambda: len(runs(results)) == 2 and (runs(results)[1] / "journal.jsonl").exists())
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    wait_for(lambda: not held(runs(results)[1]))
    code, report = ask(failed, results, "maintain", "-i", LOCAL)
    assert [run["run_id"] for run in report["runs"]] == [runs(results)[1].name]
    assert report["runs"][0]["verdict"] == "pass" and report["reruns"] == []
    assert code == 0, report
    assert len(runs(results)) == 2
    assert json.loads(Path(report["report"]).read_text())["exit_code"] == 0


@contextmanager
def running_command(*words, cwd):
    """Start our command line in a session of its own; at the end nothing of that runs any more."""
    command = [str(Path(sys.executable).parent / "testcell"), *map(str, words)]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=cwd, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def runs(results):
    return sorted(path for path in results.glob("2*_*") if path.is_dir())


def held(run_dir):
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import resuming

    return bool(resuming.held(run_dir))


def wait_for(is_so, within_s=60.0):
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def test_the_playbook_does_the_same_as_the_command(failed, results):
    refused = playbook(results, testcell_project_dir=failed, maintain_dry_run="true", models="nobody's")
    assert refused.returncode == 2 and "no case is meant by" in refused.stdout + refused.stderr
    dry = playbook(results, testcell_project_dir=failed, maintain_dry_run="true")
    assert dry.returncode == 0 and "rerun: probe: health_timeout" in dry.stdout, dry.stdout
    assert len(runs(results)) == 1
    done = playbook(results, testcell_project_dir=failed, auto_maintain="true")
    assert done.returncode == 0, done.stdout
    assert json.loads((runs(results)[1] / "summary.json").read_text())["verdict"] == "pass"
    again = playbook(results, testcell_project_dir=failed)
    assert again.returncode == 0 and len(runs(results)) == 2, again.stdout


def playbook(results, **variables):
    return subprocess.run(
        ansible_command(LOCAL, {"results_dir": results, **variables}, "playbooks/maintain.yml"),
        cwd=results.parent, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
