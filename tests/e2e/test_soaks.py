# SPDX-License-Identifier: MIT
"""Soaks: load by time, real faults that are felt and undone, gates, and a controller that dies meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
import yaml
from cellruns import LAB_INVENTORY, ROOT, leavings, newest, run_command, run_site, running_site
from deployments import wait_until

pytestmark = pytest.mark.docker

LOCAL = ROOT / "inventories" / "local"
LASTS_S = 40
# The one engine is all that there is, so each of its faults is a total outage.
PLAN = {
    "seed": 1,
    "allow_total": True,
    "events": [
        {"name": "dead", "kind": "kill", "at_s": 5, "duration_s": 2},
        {"name": "frozen", "kind": "pause", "at_s": 15, "duration_s": 2},
        {"name": "cut", "kind": "network_cut", "at_s": 24, "duration_s": 3},
    ],
}
# A soak of seconds cannot tell how anything grows, nor answers more than half of what it asks while its engine is away.
LENIENT = {"min_success_ratio_in_fault": 0.0, "min_success_ratio": 0.5, "max_rto_secs": 15}


@pytest.fixture
def soak(project):
    """Return a function that makes a project of one engine that is soaked: soak(plan=..., faults=..., **settings)."""

    def make(plan=None, faults="", node="auto", **settings):
        folder = project("soaked", faults=faults)
        scenario = folder / "scenarios" / "soaked"
        meta = yaml.safe_load((scenario / "metadata.yml").read_text())
        meta["deployment"]["services"][0]["node"] = node
        meta["soak"] = {
            "duration_secs": LASTS_S,
            "topologies": ["distributed_chaos" if plan else "distributed"],
            "max_failure_ratio": 1.0,
            "gates": LENIENT,
            **({"chaos_plan": "chaos.yml"} if plan else {}),
            **settings,
        }
        (scenario / "metadata.yml").write_text(yaml.safe_dump(meta))
        events = [{"target": {"service": "engine"}, "recovery_s": 5, **one} for one in (plan or {}).get("events", ())]
        (scenario / "chaos.yml").write_text(yaml.safe_dump({**(plan or {}), "events": events}))
        return folder

    return make


def command(folder, results, *words, inventory=LOCAL):
    return run_command("-C", folder, "soak", *words, "-i", inventory, "--out-dir", results)


def record(results):
    (found,) = newest(results).glob("soaked/*/result_summary.json")
    return json.loads(found.read_text())


def said(results, node):
    """Return the phases of each fault, as its node told of them."""
    (found,) = newest(results).glob(f"soaked/*/soak/nodes/{node}/chaos.jsonl")
    phases = {}
    for line in map(json.loads, found.read_text().splitlines()):
        phases.setdefault(line["id"], []).append(line["phase"])
    return phases


def containers(run_id):
    words = ["docker", "container", "ls", "-aq", "--filter", f"label=testcell.run={run_id}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


WHOLE = ["planned", "control", "record", "injected", "effect", "undone", "verified", "recovered"]


def test_a_soak_is_loaded_by_time_and_each_of_its_faults_is_felt_and_undone(soak, results):
    done = command(soak(PLAN), results, "soaked", "--profile", "soak_smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert said(results, "local") == {"dead.0": WHOLE, "frozen.0": WHOLE, "cut.0": WHOLE}
    found = record(results)
    checks = {check["name"]: check for check in found["checks"]}
    for name in (
        "duration soak",
        "fault_applied faults",
        "fault_reverted faults",
        "negative_control faults",
        "rto faults",
    ):
        assert checks[name]["ok"], checks[name]
    assert found["benchmark"]["duration_s"] == pytest.approx(LASTS_S, abs=15)
    assert checks["deaths local/engine"]["ok"], checks["deaths local/engine"]
    assert containers(newest(results).name) == []


def test_g08_an_engine_that_fails_its_requests_fails_a_gate_and_a_gate_has_its_own_exit_code(soak, results):
    folder = soak(faults="error_after%0.6=1", duration_secs=15)
    ended = run_site(LOCAL, results, testcell_project_dir=folder, scenario="soaked", soak_profile="soak_smoke")
    assert (ended.rc, ended.summary["verdict"], ended.summary["exit_code"]) == (2, "fail", 4), ended.screen
    assert "requests were answered" in record(results)["reasons"][0]


def test_g07_a_soak_that_ends_early_never_passes(soak, results):
    folder = soak(duration_secs=60)
    script = folder / "scenarios/soaked/run_test.sh"
    script.write_text(script.read_text().replace('"$TESTCELL_LOAD"', '"$TESTCELL_LOAD" --soak 10'))
    done = command(folder, results, "soaked")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "one that was cut short never passes" in record(results)["reasons"][0]


def test_f67_a_fault_that_the_node_cannot_make_is_refused_before_anything_is_started(soak, results):
    """B73"""
    plan = {
        **PLAN,
        "events": [{"name": "jump", "kind": "clock_jump", "at_s": 5, "duration_s": 2, "params": {"jump_s": 60}}],
    }
    done = command(soak(plan), results, "soaked")
    text = done.stdout + done.stderr
    assert (done.returncode, "chaos_unsupported" in text, "libfaketime" in text) == (5, True, True), text
    assert not any(entry["step"] == "deploy" for entry in journal(results))


def journal(results):
    """Return the journal's entries so far, none before it is there."""
    path = newest(results) and newest(results) / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


@pytest.mark.lab
def test_f63_a_soak_goes_on_when_its_controller_is_killed_and_is_attached_to(lab, soak, results):
    """Faults come and go on a node that nobody talks to; the one who attaches finishes the run, and nothing is left."""
    folder = soak(PLAN, node="node1")
    with running_site(
        lab, results, testcell_project_dir=folder, scenario="soaked", soak_profile="soak_smoke"
    ) as process:
        wait_until(
            lambda: any("started, at most" in str(entry.get("message")) for entry in journal(results)), "load", 120
        )
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    done = command(folder, results, "--attach", newest(results).name, inventory=lab)
    assert done.returncode == 0, done.stdout + done.stderr
    assert said(results, "node1") == {"dead.0": WHOLE, "frozen.0": WHOLE, "cut.0": WHOLE}
    assert any("another went on with it" in warning for warning in record(results)["warnings"])
    assert leavings("node1") == []
    again = command(folder, results, "--attach", newest(results).name, inventory=LAB_INVENTORY)
    assert again.returncode == 0 and "PASS" in again.stdout
