# SPDX-License-Identifier: MIT
"""Whoever dies, no fault stays: the guard undoes what the runner cannot, and the next contact what neither can."""

from __future__ import annotations

import json
import os
import signal

import pytest

pytestmark = pytest.mark.docker


def runs(inspect, name):
    state = inspect(name)["State"]
    return state["Status"] == "running"


@pytest.mark.parametrize("kind", ["kill", "pause", "stop"])
def test_the_guard_undoes_when_the_runner_is_killed(soak, inspect, kind):
    """F63: kill -9 after the injection, its record on disk"""
    name = soak.container()
    soak.begin({"id": "e", "kind": kind, "duration_s": 1})
    soak.line("e", "injected")
    soak.kill_unit("chaos")
    verified = soak.line("e", "verified", limit_s=30)
    (record,) = soak.records()
    assert (verified["by"], verified["left"], record["state"]) == ("guard", [], "undone")
    assert verified["b"] < record["expires"] + 10
    assert runs(inspect, name)
    assert soak.call("end")["left"] == []


def test_the_guard_undoes_at_once_what_was_armed_only(soak, inspect):
    """F63: kill -9 between the record and the injection, or the injection and its record"""
    name = soak.container()
    soak.begin({"id": "e", "kind": "pause", "duration_s": 60})
    soak.line("e", "effect")
    soak.kill_unit("chaos")
    path = soak.cell.root / "chaos" / soak.cell.run["id"] / "e.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "state": "armed"}))
    assert soak.line("e", "verified", limit_s=30)["by"] == "guard"
    assert runs(inspect, name)


def test_an_end_that_the_engine_goes_on_with_does_not_come_after_the_undo(soak, inspect, eventually):
    """F63: kill -9 while the engine gives a container its grace"""
    name = soak.container()
    before = inspect(name)["State"]
    os.kill(before["Pid"], signal.SIGSTOP)  # it takes all of the grace
    soak.begin({"id": "e", "kind": "restart", "duration_s": 60, "params": {"grace_s": 20}})
    eventually(lambda: any(one["begun"] for one in soak.records()), "the injection begins")
    soak.kill_unit("chaos")
    assert soak.line("e", "verified", limit_s=30)["by"] == "guard"
    assert "injected" not in soak.phases("e")
    assert runs(inspect, name)
    assert inspect(name)["State"]["StartedAt"] > before["StartedAt"], "that which was to end has ended"


def test_a_runner_that_dies_alone_is_followed_by_its_supervisor_and_the_guard(soak, inspect):
    """F63: kill -9 of the runner alone"""
    name = soak.container()
    soak.begin({"id": "e", "kind": "stop", "duration_s": 1})
    soak.line("e", "effect")
    os.kill(soak.status_of("chaos")["pid"], signal.SIGKILL)
    assert soak.line("e", "verified", limit_s=30)["by"] == "guard"
    assert runs(inspect, name)
    unit = soak.call("status")["units"]["chaos"]
    assert (unit["state"], unit["signal"]) == ("exited", signal.SIGKILL)


def test_the_next_contact_undoes_when_both_are_killed(soak, inspect, refused, docker_cli):
    """F64: and until then nothing is started on this node, by whichever run"""
    name, cell = soak.container(), soak.cell
    before = cell.call("snapshot")
    soak.begin({"id": "e", "kind": "pause", "duration_s": 1})
    soak.line("e", "effect")
    soak.kill_unit("chaos-guard")
    soak.kill_unit("chaos")
    other = {**cell.run, "id": cell.run["id"] + "x"}
    for run in (cell.run, other):
        with pytest.raises(refused) as caught:
            cell.call("snapshot", run=run)
        assert caught.value.kind == "chaos_not_reverted"
        assert f"fault e (pause of web) of run {cell.run['id']}, " in caught.value.message
    left = [
        one for one in cell.call("verify", before=before, settle_s=0, run=other)["leftovers"] if one["type"] == "chaos"
    ]
    assert [(one["id"], one["owner"], one["detail"]) for one in left] == [
        ("e", cell.run["id"], "pause of web, injected")
    ]
    assert left[0]["age_s"] > 0
    assert inspect(name)["State"]["Status"] == "paused"

    undone = soak.call("undo")
    assert ([one["id"] for one in undone["undone"]], undone["left"]) == (["e"], [])
    assert runs(inspect, name)
    assert soak.line("e", "verified")["by"] == "contact"
    assert cell.call("snapshot", run=other)["chaos"] == []
    assert soak.call("undo") == {"undone": [], "left": []}


def test_whoever_takes_the_node_next_undoes_what_a_dead_run_left(soak, eventually):
    """F64: by reaping; its containers go as well, so the fault is undone before"""
    cell = soak.cell
    soak.begin({"id": "e", "kind": "stop", "duration_s": 1})
    soak.line("e", "effect")
    soak.kill_unit("chaos-guard")
    soak.kill_unit("chaos")
    log = soak.folder / "chaos.jsonl"
    kept = cell.root / "kept.json"
    os.link(log, kept)
    other = {**cell.run, "id": cell.run["id"] + "x"}
    epoch = cell.call("lease", action="acquire", ttl_s=60, run=other)["epoch"]
    reaped = cell.call("reap", run={**other, "epoch": epoch})
    assert [one["id"] for one in reaped["undone"]] == ["e"]
    assert (list(reaped["reaped"]), reaped["errors"]) == ([cell.run["id"]], [])
    assert json.loads(kept.read_text().splitlines()[-1])["phase"] == "verified"
    assert not (cell.root / "chaos").exists()
    kept.unlink()


def test_a_cleaning_undoes_first(soak):
    """F64"""
    soak.begin({"id": "e", "kind": "pause", "duration_s": 60})
    soak.line("e", "effect")
    report = soak.cell.call("clean")
    assert (report["errors"], report["emergency"]) == ([], False)
    assert not (soak.cell.root / "chaos").exists()


def test_a_record_that_cannot_be_read_is_never_taken_for_nothing(soak, refused):
    """F64"""
    folder = soak.cell.root / "chaos" / soak.cell.run["id"]
    folder.mkdir(parents=True)
    (folder / "e.json").write_text("{")
    with pytest.raises(refused) as caught:
        soak.cell.call("snapshot")
    assert caught.value.kind == "chaos_not_reverted"
    assert str(folder / "e.json") in caught.value.message
    left = soak.call("undo")["left"]
    assert [(one["id"], one["run"]) for one in left] == [("e", soak.cell.run["id"])]
    (folder / "e.json").unlink()
    assert soak.call("undo") == {"undone": [], "left": []}


def test_the_end_of_a_test_undoes_everything_and_begins_nothing_more(soak, inspect):
    name = soak.container()
    soak.begin({"id": "now", "kind": "pause", "duration_s": 60}, {"id": "later", "kind": "kill", "at_s": 50})
    soak.line("now", "effect")
    soak.cell.call("supervise", action="kill", name="chaos")
    assert soak.phases("now")[-3:] == ["undone", "verified", "recovered"]
    assert soak.phases("later") == ["planned", "not_reached"]
    assert runs(inspect, name)
    assert soak.cell.call("supervise", action="kill", name="chaos-guard")["state"] == "killed"
    assert soak.call("end")["left"] == []
