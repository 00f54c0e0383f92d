# SPDX-License-Identifier: MIT
"""Whole runs over SSH on nodes with their own Docker engines; node3 has Compose V1, the others V2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from cellruns import (
    LAB_INVENTORY,
    NODES,
    ROOT,
    TIMEOUT_S,
    leavings,
    newest,
    on_node,
    run_command,
    run_site,
    running_site,
    still_running,
)

pytestmark = [pytest.mark.docker, pytest.mark.lab]

DEADLINE_S = 120
LOAD = 'exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"\n'


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Wait until condition() holds; fail naming what was waited for."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {deadline_s} s in vain: {what}")


def docker_answers(node):
    """Return whether the engine of a lab node answers."""
    words = ["docker", "exec", f"testcell-lab-{node}", "docker", "ps"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def wait_for_test(results):
    """Wait until the script of the newest run has started, and return the run's folder."""
    wait_until(lambda: any("started, at most" in e.get("message", "") for e in journal(newest(results))), "the test")
    return newest(results)


def assert_clean(nodes=NODES):
    assert {node: leavings(node) for node in nodes} == {node: [] for node in nodes}


def journal(folder):
    """Return the entries of a run's journal so far; a run without a folder has none."""
    path = folder / "journal.jsonl" if folder else None
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def test_a_real_engine_runs_over_three_nodes_with_compose_v1_and_v2(lab, results):
    run = run_site(lab, results, testcell_project_dir=ROOT, scenario="001_baseline")
    assert run.rc == 0, run.screen
    summary = run.summary
    assert (summary["verdict"], summary["exit_code"], summary["control"]["ok"]) == ("pass", 0, True)
    details = json.loads(run.file("result_summary.json"))
    assert {service["name"]: service["node"] for service in details["services"]} == {
        "rpc-1": "node1",
        "rpc-2": "node2",
        "coordinator": "node3",
    }
    assert details["benchmark"]["tokens"]["output"] == 30 * 32
    versions = json.loads(run.file("test_metadata.json"))["versions"]
    assert "1.29" in versions["node3"] and "2.26" in versions["node1"]
    for node, name in (("node1", "rpc-1"), ("node3", "coordinator")):
        assert (run.folder / run.case()["path"] / "nodes" / node / "services" / f"{name}.log").stat().st_size > 0
    assert (results / "latest").resolve() == run.folder
    assert_clean()


def test_two_scenarios_in_a_row_leave_nothing_of_the_first_to_the_second(lab, results):
    run = run_site(lab, results, testcell_project_dir=ROOT, scenario="002_pd_disaggregated,001_baseline")
    assert run.rc == 0, run.screen
    assert [case["verdict"] for case in run.summary["cases"]] == ["pass", "pass"]
    for case in run.summary["cases"]:
        details = json.loads((run.folder / case["path"] / "result_summary.json").read_text())
        assert {node: state["clean"] for node, state in details["verify"].items() if node in NODES} == dict.fromkeys(
            NODES, True
        )
        assert all(state["foreign"] == [] for node, state in details["verify"].items() if node in NODES)
    assert_clean()


def test_a_node_is_reached_by_one_ssh_that_is_begun_before_its_first_task(lab, results, project):
    ssh, calls = results.parent / "ssh", results.parent / "calls"
    ssh.write_text(f'#!/bin/sh\necho "$(date +%s.%N) $*" >> {calls}\nexec ssh "$@"\n')
    ssh.chmod(0o755)
    words = {"testcell_project_dir": project(script=LOAD), "scenario": "probe", "ansible_ssh_executable": ssh}
    assert run_site(lab, results, **words).rc == 0, "the first run of a version brings its program there"
    calls.unlink()
    run = run_site(lab, results, **words)
    assert run.rc == 0, run.screen
    begun = [line.split() for line in calls.read_text().splitlines()]
    assert sorted(word for call in begun for word in call if word.startswith("127.")) == ["127.0.0.11"]
    assert float(begun[0][0]) < journal(run.folder)[0]["t"]


def test_a_controller_without_an_engine_can_run_the_test(lab, results, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        run = run_site(lab, results, testcell_project_dir=ROOT, scenario="001_baseline")
    assert run.rc == 0, run.screen
    assert run.summary["verdict"] == "pass"
    assert_clean()


def test_f17_the_test_survives_a_dropped_ssh_connection(lab, results, project):
    folder = project(script=f"echo began; sleep 6; {LOAD}", node="node1")
    with running_site(lab, results, testcell_project_dir=folder, scenario="probe") as process:
        run = wait_for_test(results)
        # The connection of the run is the child of sshd that serves it; the listener itself stays.
        on_node("node1", "kill $(pgrep -f 'sshd: root@' | head -1)")
        process.wait(timeout=DEADLINE_S)
    assert json.loads((run / "summary.json").read_text())["verdict"] == "pass"
    assert still_running(results.parent) == []
    assert_clean()


def test_f11_of_two_runs_on_one_node_the_second_is_told_who_holds_it(lab, results, project):
    folder = project(script=f"sleep 15; {LOAD}", node="node1")
    with running_site(lab, results, testcell_project_dir=folder, scenario="probe") as first:
        holder = wait_for_test(results)
        second = run_site(lab, results.parent / "second", testcell_project_dir=folder, scenario="probe")
        cleaned = run_command("cleanup", "--all", "-i", LAB_INVENTORY)
        first.wait(timeout=DEADLINE_S)
    assert first.returncode == 0 and cleaned.returncode == 6, cleaned.stdout + cleaned.stderr
    assert second.summary["exit_code"] == 6
    failure = second.case()["failure"]
    assert failure["error_kind"] == "lock_held" and holder.name in failure["message"]
    assert_clean()


@pytest.mark.tries(3)
def test_f24_a_node_that_dies_is_named_and_the_others_keep_their_evidence(lab, results):
    words = {"testcell_project_dir": ROOT, "scenario": "002_pd_disaggregated", "testcell_lease_ttl_s": 30}
    with running_site(lab, results, **words) as process:
        wait_until(lambda: any(e.get("service") == "router" for e in journal(newest(results))), "the router")
        subprocess.run(["docker", "kill", "testcell-lab-node2"], check=True, capture_output=True)
        try:
            process.wait(timeout=TIMEOUT_S)
        finally:
            subprocess.run(["docker", "start", "testcell-lab-node2"], check=True, capture_output=True)
    summary = json.loads((newest(results) / "summary.json").read_text())
    assert summary["verdict"] in ("error", "fail") and summary["exit_code"] == 7
    case = newest(results) / summary["cases"][0]["path"]
    assert (case / "nodes" / "node1" / "services" / "prefill-1.log").exists()
    assert "node2" in (case / "test_report.md").read_text()
    wait_until(lambda: docker_answers("node2"), "the engine of node2")
    wait_until(lambda: run_command("cleanup", "--all", "-i", LAB_INVENTORY).returncode == 0, "the lease to end", 240)
    assert_clean()


@pytest.mark.tries(3)
def test_f23_a_node_that_is_gone_is_set_aside_and_the_case_is_no_clean_pass(lab, results, project):
    folder = project(script=LOAD)
    subprocess.run(["docker", "kill", "testcell-lab-node1"], check=True, capture_output=True)
    try:
        run = run_site(lab, results, testcell_project_dir=folder, scenario="probe", testcell_recovery_set_aside_nodes=1)
    finally:
        subprocess.run(["docker", "start", "testcell-lab-node1"], check=True, capture_output=True)
        wait_until(lambda: docker_answers("node1"), "the engine of node1")
    lost, moved = run.summary["cases"]
    assert (lost["verdict"], lost["failure"]["node"]) == ("error", "node1"), run.screen
    details = json.loads((run.folder / moved["path"] / "result_summary.json").read_text())
    assert moved["verdict"] == "pass" and [service["node"] for service in details["services"]] == ["node2"]
    assert (run.summary["verdict"], run.summary["exit_code"]) == ("flaky", 4)
    assert still_running(results.parent) == [], "no ssh to a node outlives the run, nor one to a node that is gone"
    assert "node1 set aside" in (run.folder / moved["path"] / "test_report.md").read_text()
    assert_clean()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_f04_after_the_end_of_the_controller_ssh_ends_and_cleanup_finds_everything(lab, results, project, number):
    folder = project(script="sleep 60\n", node="node2", timeout=120)
    with running_site(lab, results, testcell_project_dir=folder, scenario="probe") as process:
        wait_for_test(results)
        assert any(words.startswith("ssh ") for words in still_running(results.parent)), "the run has connections"
        os.killpg(process.pid, number)
        process.wait(timeout=30)
    wait_until(lambda: not still_running(results.parent), "the end of every ssh", 30)
    assert leavings("node1") or leavings("node2"), "the killed run was expected to leave something"
    cleaned = run_command("cleanup", "--all", "-i", LAB_INVENTORY)
    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
    assert_clean()
