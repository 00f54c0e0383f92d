# SPDX-License-Identifier: MIT
"""Two runs at once: on nodes of their own, on one node that they share, and on one that only one of them can have."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from cellruns import LAB_INVENTORY, leavings, newest, on_node, run_site, running_site

pytestmark = [pytest.mark.docker, pytest.mark.lab]

DEADLINE_S = 120
LOAD = 'exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"\n'
ELSEWHERE = "anna@far.example:77/0123abcd-4026531836/500"
OLD = "20250101_000000"
PROGRAM = "/tmp/testcell-lease-of-a-test.pyz"


@pytest.fixture
def scenario(project):
    """Return a function that adds a scenario to the project, its service on one node, and returns the project's folder.

    test: where the test runs, the same node by default.
    """

    def add(name, node, port=18200, pause_s=4, test=""):
        folder = project(name=name, script=f"sleep {pause_s}; {LOAD}")
        places = {"18200": str(port), "node: auto": f"node: {node}", "node: local": f"node: {test or node}"}
        for file in ("docker-compose.yml", "metadata.yml"):
            path = folder / "scenarios" / name / file
            text = path.read_text()
            for old, new in places.items():
                text = text.replace(old, new)
            path.write_text(text)
        return folder

    return add


@pytest.fixture
def foreign_lease(lab, tmp_path):
    """Return a function that lets a run of another machine hold a node for so many seconds; returns the answer."""
    held = []

    def hold(node, ttl_s):
        source = tmp_path / "cellnode.pyz"
        source.write_bytes(package.build("cellnode").content)
        subprocess.run(["docker", "cp", str(source), f"testcell-lab-{node}:{PROGRAM}"], check=True)
        held.append(node)
        return _lease(node, action="acquire", ttl_s=ttl_s)

    yield hold
    for node in held:
        on_node(node, f"docker rm -f {OLD} 2>/dev/null; rm -f {PROGRAM}")


def _lease(node, epoch=None, **args):
    request = {
        "op": "lease",
        "root": "/var/tmp/testcell-0",
        "run": {"id": OLD, "epoch": epoch},
        "owner": ELSEWHERE,
        "args": args,
    }
    answer = json.loads(on_node(node, f"echo '{json.dumps(request)}' | python3 {PROGRAM}").removeprefix("@cell "))
    return answer["result"]


def entries(results):
    """Return the journal of the newest run."""
    return list(journal.read(newest(results))) if newest(results) else []


def span(results, step):
    """Return begin and end of a step in seconds since 1970."""
    (began,) = (entry["t"] for entry in entries(results) if (entry["step"], entry["phase"]) == (step, "begin"))
    (ended,) = (entry["t"] for entry in entries(results) if (entry["step"], entry["phase"]) == (step, "end"))
    return began, ended


def wait_for(condition, what):
    """Wait until condition() holds, and return what it returned."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {DEADLINE_S} s in vain: {what}")


def run_both(folder, tmp_path, names, **variables):
    """Run two scenarios at once, started in the same moment; return both results folders.

    Runs that know nothing of each other may have the same id, and such runs never share a node.
    """
    now = time.strftime("%Y%m%d_%H%M%S")
    folders = [tmp_path / f"of-{name}-{number}" / "results" for number, name in enumerate(names)]
    with ExitStack() as stack:
        runs = []
        for number, (results, name) in enumerate(zip(folders, names, strict=True)):
            results.parent.mkdir()
            words = {"testcell_project_dir": folder, "scenario": name, "testcell_run_id": f"{now}_{number + 2}"}
            words |= variables
            runs.append(stack.enter_context(running_site(LAB_INVENTORY, results, **words)))
        for run in runs:
            run.wait(timeout=DEADLINE_S)
    return folders


def summary(results):
    return json.loads((newest(results) / "summary.json").read_text())


@pytest.mark.parametrize("nodes", [("node1", "node2"), ("node1", "node1")], ids=["disjoint", "shared"])
def test_two_runs_at_once_do_not_disturb_each_other(lab, tmp_path, scenario, nodes):
    for name, node, port in zip(("one", "two"), nodes, (18200, 18300), strict=True):
        folder = scenario(name, node, port)
    shares = {"testcell_concurrent_execution_share_nodes": "true" if nodes[0] == nodes[1] else "false"}
    both = run_both(folder, tmp_path, ("one", "two"), **shares)
    assert [summary(results)["verdict"] for results in both] == ["pass", "pass"]
    (first, second) = sorted(span(results, "test") for results in both)
    assert second[0] < first[1], "both tests were expected to run at the same time"
    for results in both:
        details = json.loads(next(newest(results).glob("*/result_summary.json")).read_text())
        assert [(state["clean"], state["leftovers"]) for state in details["verify"].values()] == [(True, [])]
    assert {node: leavings(node) for node in nodes} == {node: [] for node in nodes}


def test_f11_of_two_that_start_in_the_same_second_one_runs_and_the_other_names_it(lab, tmp_path, scenario):
    folder = scenario("one", "node1")
    both = run_both(folder, tmp_path, ("one", "one"))
    ends = {summary(results)["exit_code"]: results for results in both}
    assert set(ends) == {0, 6}
    failure = summary(ends[6])["cases"][0]["failure"]
    owner = json.loads((newest(ends[0]) / "plan.json").read_text())["owner"]
    user, _, rest = owner.partition("@")
    host, _, pid = rest.partition("/")[0].partition(":")
    who = f"node node1 is held by {user} on {host} (process {pid}) for run {newest(ends[0]).name}, taken "
    assert failure["error_kind"] == "lock_held" and failure["message"].startswith(who), failure
    assert leavings("node1") == []


@pytest.mark.tries(3)
def test_f12_a_holder_that_cannot_be_asked_is_waited_for_until_its_lease_ends(lab, results, scenario, foreign_lease):
    folder = scenario("one", "node1", pause_s=0)
    foreign_lease("node1", ttl_s=600)
    on_node("node1", f"mkdir -p /var/tmp/testcell-0/runs/{OLD} && docker create --name {OLD} --label testcell.run={OLD} testcell/engine-sim:1 true")  # fmt: skip
    refused = run_site(lab, results.parent / "refused", testcell_project_dir=folder, scenario="one")
    assert refused.summary["exit_code"] == 6 and f"anna on far.example (process 77) for run {OLD}" in refused.screen
    held = foreign_lease("node1", ttl_s=9)
    run = run_site(lab, results, testcell_project_dir=folder, scenario="one", testcell_wait_s=60)
    assert run.summary["verdict"] == "pass", run.screen
    told = [entry["message"] for entry in entries(results) if entry["step"] == "lease" and "holders" in entry]
    assert len(told) <= 1 and all("waits for node1" in one and "far.example" in one for one in told)
    (taken,) = (entry["detail"] for entry in entries(results) if (entry["step"], entry["phase"]) == ("lease", "end"))
    assert taken["epoch"] > held["epoch"] and taken["reaped"]["containers"] == 1
    assert leavings("node1") == []


def test_a_run_that_is_interrupted_while_it_waits_gives_back_what_it_has(lab, results, scenario, foreign_lease):
    folder = scenario("one", "node1", test="node2")
    held = foreign_lease("node2", ttl_s=120)
    words = [str(Path(sys.executable).parent / "testcell"), "run", "one", "--wait", "-i", str(LAB_INVENTORY)]
    process = subprocess.Popen(
        [*words, "--results-dir", str(results), "--format", "json"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: any("waits for node2" in e.get("message", "") for e in entries(results)), "it waits")
        assert on_node("node1", "cat /var/tmp/testcell-0/lease.json").count(newest(results).name) == 1
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        _lease("node2", held["epoch"], action="release")
    assert process.returncode == 130 and json.loads(out)["verdict"] == "cancelled", said
    assert re.search(r"waits for node2, at most (1 h 00|59) min.*: held by anna on far\.example", said)
    assert "not proved clean" not in said
    assert json.loads(on_node("node1", "cat /var/tmp/testcell-0/lease.json"))["released"] is True
    assert leavings("node1") == leavings("node2") == []
