# SPDX-License-Identifier: MIT
"""Each kind of fault of a container: not felt before, measured while it lasts, undone, and the service is ready again."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.docker

WHOLE = ["planned", "control", "record", "injected", "effect", "undone", "verified", "recovered"]


def state_of(record):
    state = record["State"]
    return state["Status"], state["Running"]


@pytest.mark.parametrize(
    ("kind", "felt", "measured"),
    [
        pytest.param("kill", ("exited", False), {"running": 0, "exit_code": 137}, id="F30-kill"),
        pytest.param("restart", ("exited", False), {"running": 0}, id="restart"),
        pytest.param("pause", ("paused", True), {"paused": 1}, id="F30-pause"),
        pytest.param("stop", ("running", True), {"processes": 2, "stopped": 2}, id="stop"),
    ],
)
def test_a_fault_is_measured_undone_and_recovered_from(soak, inspect, kind, felt, measured):
    name = soak.container()
    soak.begin({"id": "e.0", "kind": kind, "duration_s": 60, "params": {"grace_s": 0} if kind == "restart" else {}})
    effect = soak.line("e.0", "effect")
    assert effect["applied"] and measured.items() <= effect["measured"].items()
    assert state_of(inspect(name)) == felt
    assert [record["state"] for record in soak.records()] == ["injected"]
    assert soak.again() == {"started": True, "existing": True}
    assert soak.call("status")["open"][0]["id"] == "e.0"
    ended = soak.call("end")
    assert ended["left"] == []
    assert soak.phases("e.0") == WHOLE
    control, recovered = soak.line("e.0", "control"), soak.line("e.0", "recovered")
    assert not control["applied"]
    assert 0 <= recovered["rto_s"] < 10
    assert control["target"] == {"service": "web", "container": name[:12]}
    assert state_of(inspect(name)) == ("running", True)
    assert soak.container() == name
    assert not (soak.cell.root / "chaos").exists()


def test_f63_a_controller_that_takes_the_run_on_finds_the_faults_begun(soak):
    soak.cell.run["epoch"] = soak.cell.call("lease", action="acquire", ttl_s=60)["epoch"]
    soak.begin({"id": "a", "kind": "pause", "duration_s": 60})
    assert soak.line("a", "effect")["applied"]
    soak.cell.run["epoch"] = soak.cell.call("lease", action="succeed", epoch=soak.cell.run["epoch"], ttl_s=60)["epoch"]
    assert soak.again() == {"started": True, "existing": True}
    assert soak.call("end")["left"] == []
    assert soak.phases("a") == WHOLE


def test_a_fault_ends_by_itself_and_the_runner_with_the_last_of_them(soak, eventually):
    soak.begin({"id": "a", "kind": "kill"}, {"id": "b", "kind": "pause", "service": "idle", "at_s": 0.3})
    assert soak.over("a") == soak.over("b") == WHOLE
    assert {line["by"] for line in soak.lines()} == {"runner"}
    assert soak.line("a", "undone")["b"] - soak.line("a", "injected")["b"] >= 0.2
    begun = json.loads((soak.folder / "begin.json").read_text())["b"]
    assert soak.line("b", "control")["b"] - begun >= 0.3
    eventually(lambda: soak.call("status")["units"]["chaos"]["state"] == "exited", "the runner ends")
    assert soak.call("status")["open"] == []


def test_a_negative_control_does_everything_but_the_injection(soak, inspect):
    name = soak.container()
    started = inspect(name)["State"]["StartedAt"]
    kinds = ("kill", "restart", "pause", "stop")
    soak.begin(*({"id": kind, "kind": kind} for kind in kinds), negative_control=True)
    for kind in kinds:
        assert soak.over(kind) == [phase for phase in WHOLE if phase != "injected"]
        assert soak.line(kind, "effect")["applied"] is False
    assert inspect(name)["State"]["StartedAt"] == started


def test_a_target_that_is_gone_is_told_and_no_error(soak, docker_cli):
    """F65: before the fault"""
    docker_cli("rm", "-f", soak.container("idle"))
    docker_cli("kill", soak.container("web"))
    soak.begin({"id": "gone", "kind": "kill", "service": "idle"}, {"id": "dead", "kind": "pause"})
    assert soak.over("gone") == soak.over("dead") == ["planned", "target_gone"]
    assert soak.line("gone", "target_gone")["why"] == "service idle has no container"


@pytest.mark.parametrize("kind", ["kill", "restart", "pause", "stop"])
def test_a_target_that_goes_meanwhile_is_told_and_verified(soak, docker_cli, kind):
    """F65: during the fault"""
    soak.begin({"id": "e", "kind": kind, "service": "idle", "duration_s": 60})
    soak.line("e", "effect")
    docker_cli("rm", "-f", soak.container("idle"))
    assert soak.call("end")["left"] == []
    assert soak.phases("e") == [*WHOLE[:-1], "target_gone"]


def test_two_faults_of_one_target_nest(soak, inspect):
    """F66: the one that began first ends last, and everything is as it was"""
    name = soak.container()
    soak.begin(
        {"id": "under", "kind": "stop", "duration_s": 0.4},
        {"id": "over", "kind": "pause", "at_s": 0.3, "duration_s": 1.5},
    )
    assert soak.over("under") == soak.over("over") == WHOLE
    assert soak.line("under", "undone")["b"] >= soak.line("over", "undone")["b"]
    assert {line["by"] for line in soak.lines()} == {"runner"}
    assert state_of(inspect(name)) == ("running", True)


def test_a_fault_that_is_felt_already_is_not_begun_again(soak, inspect):
    """F66: two of a kind on one target"""
    name = soak.container()
    soak.begin({"id": "one", "kind": "pause", "duration_s": 3}, {"id": "two", "kind": "pause", "at_s": 1.0})
    assert soak.over("two") == ["planned", "control", "not_applied"]
    assert soak.over("one") == WHOLE
    assert state_of(inspect(name)) == ("running", True)


def test_processes_that_were_stopped_before_stay_so(soak, docker_cli, inspect):
    name = soak.container()
    docker_cli("exec", "-d", name, "sh", "-c", "kill -STOP $$")
    before = soak.call("check", kinds=[{"kind": "stop"}], services=["web", "nobody"])
    assert before == {"lacking": {"stop": ""}, "absent": ["nobody"], "library": ""}
    soak.begin({"id": "e", "kind": "stop"})
    assert soak.over("e") == WHOLE
    top = docker_cli("top", name, "-eo", "pid,stat,args")
    states = [line.split()[1] for line in top.splitlines()[1:]]
    assert sum(state.startswith("T") for state in states) == 1
