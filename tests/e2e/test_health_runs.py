# SPDX-License-Identifier: MIT
"""How nodes are, asked over SSH: all well, one away, and a run that goes on and is not disturbed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from cellruns import LAB_INVENTORY, NODES, ROOT, ansible_command, environment, leavings, run_command, running_site

pytestmark = [pytest.mark.docker, pytest.mark.lab]

DEADLINE_S = 90
AWAY = "node2"


def asked(*words, project=ROOT):
    """Ask the lab's nodes and return the exit code and the documents of all rounds."""
    done = run_command("-C", project, "health", "-i", LAB_INVENTORY, "--format", "json", *words)
    rounds = done.stdout.splitlines() if "--watch" in words else [done.stdout]
    return done.returncode, [json.loads(text) for text in rounds]


def by_name(document):
    return {node["name"]: node for node in document["nodes"]}


def until(find, what):
    """Return what find() gives once it is something; fail naming what was waited for."""
    end = time.monotonic() + DEADLINE_S
    while not (found := find()):
        assert time.monotonic() < end, f"waited {DEADLINE_S} s in vain: {what}"
    return found


def test_every_node_is_held_against_what_a_scenario_needs_there(lab):
    code, (document,) = asked("001_baseline")
    assert code == 0 and document["ok"] and document["scenarios"] == ["001_baseline"]
    nodes = by_name(document)
    assert set(nodes) == {*NODES, "local"}, "the scenario runs its test on the controller"
    for name in NODES:
        node = nodes[name]
        assert (node["problems"], node["state"], node["lease"]["held"], node["services"]) == ([], "ok", False, [])
        assert node["engine"]["ok"] and node["compose"] and node["disks"][0]["free_bytes"] > 0
        assert abs(node["clock_offset_s"]) < 1
        assert [port["taken"] for port in node["ports"]] == [False]
    assert [entry["runs_test"] for name in NODES for entry in nodes[name]["scenarios"]] == [False] * 3
    assert nodes["local"]["scenarios"] == [{"name": "001_baseline", "services": [], "runs_test": True, "ok": True}]


def test_a_port_that_a_stranger_holds_is_named_with_its_program(lab):
    held = ["docker", "exec", "testcell-lab-node1", "timeout", "60", "python3", "-m", "http.server", "18051"]
    with subprocess.Popen(held, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as stranger:
        try:
            code, document = until(_refused, "the port to be taken")
        finally:
            subprocess.run(["docker", "exec", "testcell-lab-node1", "pkill", "-f", "http.server 18051"], check=True)
            stranger.wait(timeout=30)
    problems = by_name(document)["node1"]["problems"]
    assert code == 5 and [(one["error_kind"], one["scenario"]) for one in problems] == [
        ("port_conflict", "001_baseline")
    ], problems
    problem = problems[0]
    assert "port 18051 is taken by python3 (pid " in problem["detail"] and problem["next"]


def _refused():
    code, (document,) = asked("001_baseline")
    return (code, document) if code else None


def test_a_node_that_is_away_is_named_in_each_round_and_the_others_answer(lab):
    subprocess.run(["docker", "kill", f"testcell-lab-{AWAY}"], check=True, capture_output=True)
    try:
        code, rounds = asked("--watch", "1", "--rounds", "2")
    finally:
        subprocess.run(["docker", "start", f"testcell-lab-{AWAY}"], check=True, capture_output=True)
        until(lambda: asked()[0] == 0, f"{AWAY} to be back")
    assert code == 5 and [document["round"] for document in rounds] == [1, 2]
    for document in rounds:
        nodes = by_name(document)
        (problem,) = nodes[AWAY]["problems"]
        assert (nodes[AWAY]["state"], nodes[AWAY]["reachable"]) == ("failed", False)
        assert problem["error_kind"] == "ssh_refused" and "inventory" in problem["next"]
        assert all(nodes[name]["ok"] for name in NODES if name != AWAY)


@contextmanager
def watching(*words):
    """Watch the lab's nodes; give the process and an iterator over its rounds, by node. Nothing of it runs afterwards."""
    command = [
        str(Path(sys.executable).parent / "testcell"),
        "health",
        "-i",
        str(LAB_INVENTORY),
        "--watch",
        "1",
        *words,
    ]
    with subprocess.Popen([*command, "--format", "json"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, (by_name(json.loads(line)) for line in process.stdout)
        finally:
            process.send_signal(signal.SIGTERM)


def asked_since(began, nodes):
    """Return whether a round asked all nodes but the one away after a moment."""
    return all(nodes[name]["asked_unix"] > began for name in NODES if name != AWAY)


def test_a_node_that_stops_answering_is_shown_so_in_time_while_the_others_go_on(lab):
    with watching() as (process, rounds):
        assert all(node["ok"] for node in next(rounds).values())
        subprocess.run(["docker", "pause", f"testcell-lab-{AWAY}"], check=True, capture_output=True)
        began = time.time()
        try:
            # A busy node may have been late before, and its answer may still come.
            silent = next(nodes for nodes in rounds if not nodes[AWAY]["reachable"] and asked_since(began, nodes))
            took = time.time() - began
            later = [next(rounds) for _ in range(3)]
        finally:
            subprocess.run(["docker", "unpause", f"testcell-lab-{AWAY}"], check=True, capture_output=True)
        back = next(nodes for nodes in rounds if nodes[AWAY]["reachable"])
    assert process.returncode == 143, "the signal ends the watch"
    assert took < 12, "a late node holds a round up for 5 s"
    assert silent[AWAY]["problems"][0]["detail"].startswith("has given no answer for ")
    for nodes in later:
        assert not nodes[AWAY]["reachable"] and all(nodes[name]["reachable"] for name in NODES if name != AWAY)
    newest = [max(nodes[name]["asked_unix"] for name in NODES if name != AWAY) for nodes in (silent, later[-1])]
    assert newest[0] < newest[1], "the others are asked on"
    assert back[AWAY]["ok"]


def test_a_run_that_goes_on_is_shown_with_its_services_and_not_disturbed(lab, results, project):
    folder = project(script='sleep 12; exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" '
                            '--out "$SCENARIO_RESULT_PATH"\n', node="node1")  # fmt: skip
    with running_site(lab, results, testcell_project_dir=folder, scenario="probe") as run:
        until(lambda: _service(asked()[1][0]), "a healthy service")
        code, rounds = asked("--watch", "1", "--rounds", "2", "probe", project=folder)
        run.wait(timeout=DEADLINE_S)
    assert run.returncode == 0 and code == 0
    (folder,) = (path for path in results.iterdir() if path.is_dir() and not path.is_symlink())
    leases = []
    for document in rounds:
        node = by_name(document)["node1"]
        service, lease = _service(document), node["lease"]
        leases.append((lease["epoch"], lease["run"]))
        assert (service["run"], service["scenario"], service["restarts"]) == (folder.name, "probe", 0)
        assert service["age_s"] >= service["up_s"] > 0 and service["ports"] == [18200]
        assert lease["held"] and "@" in lease["owner"] and 0 < lease["expires_in_s"] <= lease["ttl_s"]
        assert node["leftovers"] == [], "what a living run has is no leftover"
        kinds = {problem["error_kind"]: problem["level"] for problem in node["problems"]}
        assert kinds == {"port_conflict": "warning", "lock_held": "warning"}
    assert leases == [leases[0]] * 2 and leases[0][1] == folder.name
    assert {node: leavings(node) for node in NODES} == {node: [] for node in NODES}


def _service(document):
    found = by_name(document)["node1"]["services"]
    return found[0] if found and found[0]["health"] == "healthy" else None


def test_the_playbook_writes_the_same_document_and_says_one_line_a_node(lab, tmp_path):
    variables = {"health_out": tmp_path / "health.json"}
    done = subprocess.run(
        ansible_command(lab, variables, "playbooks/health.yml"),
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written, (asked_for,) = json.loads((tmp_path / "health.json").read_text()), asked()[1]
    assert set(written) == set(asked_for)
    assert [set(node) for node in written["nodes"]] == [set(node) for node in asked_for["nodes"]]
    lines = [line for line in done.stdout.splitlines() if " engine " in line]
    assert sorted(line.split()[0] for line in lines) == list(NODES)
