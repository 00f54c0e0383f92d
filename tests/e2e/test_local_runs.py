# SPDX-License-Identifier: MIT
"""Whole runs on the controller itself: what goes wrong in engines and tests must show in the verdict."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cellruns import ROOT, run_command, run_site

pytestmark = pytest.mark.docker

LOCAL = ROOT / "inventories" / "local"


def ours(run):
    """Return the ids of containers, networks and volumes with the run's label on this machine."""
    found = []
    for kind in ("container ls -aq", "network ls -q", "volume ls -q"):
        words = ["docker", *kind.split(), "--filter", f"label=testcell.run={run.folder.name}"]
        found += subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return found


FAULTS = [
    ("healthy", "", "pass", 0, None),
    ("200 then an error", "error_after=4", "invalid", 4, None),
    ("no token", "zero_tokens", "no_data", 4, "bench_no_data"),
    ("reset in mid-stream", "reset_after=4", "invalid", 4, None),
    ("refused", "overload=503", "no_data", 4, None),
    ("one in four fails", "error_after%0.25#1=4", "invalid", 4, None),
    ("crash after 2 s", "crash_after_s=2:3", "fail", 1, ("service_died", "container_exited")),
    ("never healthy", "never_healthy", "fail", 1, "health_timeout"),
]


@pytest.mark.parametrize(
    ("faults", "verdict", "code", "kind"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_the_verdict_says_what_the_engine_did(results, project, faults, verdict, code, kind):
    script = 'sleep 4; exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"\n'
    folder = project(faults=faults, script=script if "crash" in faults else "")
    run = run_site(
        LOCAL, results, testcell_project_dir=folder, scenario="probe", testcell_service_health_check_startup_timeout=8
    )
    case = run.case()
    assert (case["verdict"], run.summary["exit_code"]) == (verdict, code), run.screen
    assert (run.rc == 0) == (code == 0)
    if kind:
        assert case["failure"]["error_kind"] in (kind if isinstance(kind, tuple) else (kind,))
    assert ours(run) == []


THROTTLED = """
"$TESTCELL_PACE" take
"$TESTCELL_PACE" run -- true
"$TESTCELL_PACE" show > "$SCENARIO_RESULT_PATH/pace.json"
exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"
"""


def test_an_engine_that_throttles_gets_what_it_takes_and_the_result_says_so(results, project):
    folder = project(faults="overload%0.3#2=429:0.1", script=THROTTLED)
    config = folder / "scenarios/probe/test_config.json"
    rate = {"window_s": 0.2, "max_attempts": 50, "max": 100}
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_prompts": 20, "adaptive_rate": rate}))
    run = run_site(LOCAL, results, testcell_project_dir=folder, scenario="probe")
    case = run.case()
    assert (case["verdict"], case["result"]) == ("pass", {"ok": True, "throttled": True}), run.screen
    assert case["reasons"][0].startswith("the server throttled the load: ")
    assert "the test passed; the server throttled it" in run.file("test_report.md")
    counts = json.loads(run.file("result_summary.json"))["benchmark"]["throttled"]
    assert counts["attempts"] == 20 + counts["refused"] > 20
    shared = json.loads(run.file("test_artifacts/results/pace.json"))
    assert (shared["settings"]["max"], shared["keys"]["default"]["attempts"]) == (100, 2)
    assert ours(run) == []


def test_a_crashed_service_has_its_log_its_exit_code_and_the_cause_in_the_results(results, project):
    folder = project(faults="crash_after_s=2:3,crash_kind=gpu_oom", script="sleep 20\n")
    run = run_site(LOCAL, results, testcell_project_dir=folder, scenario="probe")
    failure = run.case()["failure"]
    assert failure["service"] == "engine" and failure["evidence"]
    assert (failure["error_kind"], failure["owner"], failure["retriable"]) == ("gpu_oom", "engine", False)
    assert "; its cause: " in failure["message"]
    assert "Traceback" in run.file("nodes/local/services/engine.log")
    details = json.loads(run.file("result_summary.json"))
    assert details["services"][0]["exit_code"] == 3


DAEMONS = """
mkdir -p "$SCENARIO_RESULT_PATH"; echo data > "$SCENARIO_RESULT_PATH/data.txt"
setsid sleep 971 >/dev/null 2>&1 &
nohup sleep 972 >/dev/null 2>&1 &
(setsid sh -c 'sleep 973 & exec sleep 974' >/dev/null 2>&1 &) &
env -i setsid sleep 975 &
sleep 0.2
exit 0
"""


def sleepers():
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        found += [words[1]] if words[:1] == [b"sleep"] and words[1][:2] == b"97" else []
    return found


def test_f32_a_test_that_forks_daemons_leaves_none(results, project):
    folder = project(script=DAEMONS)
    meta = folder / "scenarios/probe/metadata.yml"
    meta.write_text(meta.read_text().replace("benchmark:", "benchmark:\n  client: script"))
    run = run_site(LOCAL, results, testcell_project_dir=folder, scenario="probe")
    assert run.case()["verdict"] == "pass", run.screen
    assert sleepers() == []


def test_a_script_that_fails_is_a_failed_test_with_its_log(results, project):
    run = run_site(
        LOCAL, results, testcell_project_dir=project(script="echo said before the end\nexit 9\n"), scenario="probe"
    )
    case = run.case()
    assert (case["verdict"], case["failure"]["error_kind"], run.summary["exit_code"]) == ("fail", "test_failed", 1)
    assert "exit code 9" in case["reasons"][0]
    assert "said before the end" in run.file("test.log")


@pytest.mark.tries(10)
def test_f31_a_test_that_ignores_term_ends_at_its_limit(results, project):
    folder = project(script="trap '' TERM\nwhile :; do sleep 1; done\n", timeout=3)
    run = run_site(LOCAL, results, testcell_project_dir=folder, scenario="probe")
    assert run.case()["failure"]["error_kind"] == "test_timeout", run.screen
    assert ours(run) == []


def test_b40_nothing_selected_and_other_bad_input_touch_nothing(results, project):
    folder = project()
    for variables, text in (
        ({"scenario_tags": "nobody"}, "0 scenarios selected"),
        ({"scenario": "prob"}, "did you mean probe"),
        ({}, "no scenario"),
    ):
        run = run_site(LOCAL, results, testcell_project_dir=folder, **variables)
        assert run.rc != 0 and text in run.screen
    assert not results.exists()


def test_a_dry_run_shows_the_plan_and_touches_nothing(results):
    run = run_site(LOCAL, results, testcell_project_dir=ROOT, scenario="all", dry_run="true")
    assert run.rc == 0, run.screen
    assert "batch 1" in run.screen and "rpc-1@local" in run.screen
    assert not results.exists()


def test_the_command_line_does_the_same_and_maps_the_exit_code(results, project):
    folder = project(faults="zero_tokens")
    done = run_command("run", "probe", "--results-dir", results, "-i", LOCAL, "--format", "json", cwd=folder)
    assert done.returncode == 4, done.stdout + done.stderr
    assert json.loads(done.stdout)["verdict"] == "no_data"


JOB_AND_SLOW_CHECK = """
services:
  job:
    image: testcell/engine-sim:1
    entrypoint: [python3, -c, "import time; time.sleep(1)"]
  slow:
    image: testcell/engine-sim:1
    entrypoint: [python3, -c, "import time; time.sleep(600)"]
    init: true
    healthcheck: {test: [CMD, python3, -c, "import time; time.sleep(1.2)"], interval: 60s, timeout: 5s}
  engine:
    image: testcell/engine-sim:1
    ports: ["18200:18200"]
    environment: {SIM_ROLE: single, SIM_PORT: "18200"}
    depends_on:
      job: {condition: service_completed_successfully}
      slow: {condition: service_healthy}
"""


def test_a_job_and_a_slow_health_check_are_waited_for(results, project):
    folder = project()
    scenario = folder / "scenarios" / "probe"
    (scenario / "docker-compose.yml").write_text(JOB_AND_SLOW_CHECK)
    meta = (scenario / "metadata.yml").read_text()
    start, end = meta.index("deployment:"), meta.index("test_execution:")
    (scenario / "metadata.yml").write_text(meta[:start] + meta[end:])
    run = run_site(LOCAL, results, testcell_project_dir=folder, scenario="probe")
    assert run.case()["verdict"] == "pass", run.screen
    at = {entry["name"]: entry for entry in json.loads(run.file("result_summary.json"))["services"]}
    assert at["engine"]["started_s"] >= max(at["job"]["ready_s"], at["slow"]["ready_s"])
    assert (at["job"]["state"], at["job"]["exit_code"]) == ("exited", 0)
