# SPDX-License-Identifier: MIT
"""Cleaning takes what carries our mark and nothing else, and says so when something will not go."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

pytestmark = pytest.mark.docker

TEXT = """
services:
  a:
    image: IMAGE
    command: sleep 600
    volumes: ["data:/data"]
volumes:
  data: {}
"""


def test_objects_of_strangers_with_similar_names_stay(cell, compose, decoys, nothing):
    decoys.container(f"{cell.project}-a-10")
    decoys.container(f"{cell.project}_a_2")
    decoys.network(f"{cell.project}_default2")
    decoys.volume(f"{cell.project}_data2")
    decoys.volume(f"{cell.run['id']}")
    before = decoys.there()
    cell.up(TEXT, compose)
    assert cell.call("clean")["errors"] == []
    assert cell.left() == nothing
    assert decoys.there() == before
    assert not cell.case_dir.exists()


def test_what_strangers_do_meanwhile_is_listed_and_does_not_make_the_node_dirty(cell, any_compose, decoys, docker_cli):
    gone = decoys.volume(f"gone-{decoys.mark[:8]}")
    before = cell.call("snapshot")
    cell.up(TEXT, any_compose)
    name = f"stranger-{decoys.mark[:8]}"
    decoys.container(name)
    docker_cli("volume", "rm", gone)
    cell.call("clean")
    verdict = cell.call("verify", before=before)
    assert verdict["leftovers"] == []
    assert verdict["clean"]
    assert name in {entry["name"] for entry in verdict["foreign"]}
    assert gone in {entry["name"] for entry in verdict["gone"]}


def test_each_kind_of_leftover_is_named_with_owner_and_age(cell, any_compose):
    before = cell.call("snapshot")
    cell.up(TEXT, any_compose)
    verdict = cell.call("verify", before=before, settle_s=0)
    assert not verdict["clean"]
    assert {entry["type"] for entry in verdict["leftovers"]} == {"container", "network", "volume", "folder"}
    for entry in verdict["leftovers"]:
        assert entry["owner"] == cell.run["id"]
        assert entry["age_s"] is None or 0 <= entry["age_s"] < 600


def test_a_network_that_a_stranger_uses_is_told_and_the_stranger_stays(cell, any_compose, decoys, nothing):
    cell.up(TEXT, any_compose)
    stranger = decoys.container(f"guest-{decoys.mark[:8]}", "--network", f"{cell.project}_default")
    report = cell.call("clean")
    assert [error["error_kind"] for error in report["errors"]] == ["docker_leftover"]
    assert cell.project in report["errors"][0]["what"]
    assert stranger[:12] in decoys.there()["containers"]
    assert cell.case_dir.exists(), "the folder proves that the run is ours as long as something is left"
    decoys.remove()
    assert cell.call("clean")["errors"] == []
    assert cell.left() == nothing


def test_a_check_names_what_would_go_and_removes_nothing(cell, any_compose):
    cell.up(TEXT, any_compose)
    before = cell.left()
    would = cell.call("clean", check=True)["would_remove"]
    assert [len(would[kind]) for kind in ("containers", "networks", "volumes", "folders")] == [1, 1, 1, 1]
    assert cell.call("stop", check=True)["would_stop"] == would["containers"]
    assert cell.left() == before


def test_processes_of_the_run_are_ended(cell, tmp_path):
    cell.call("lease", action="acquire", ttl_s=60)
    cell.case_dir.mkdir(parents=True)
    script = "setsid sleep 600 & setsid sh -c 'sleep 601 & wait' & sleep 602"
    cell.call("supervise", action="start", name="test", argv=["/bin/sh", "-c", script], timeout_s=300)
    assert len(cell.call("snapshot")["processes"]) >= 3
    report = cell.call("clean")
    assert (report["errors"], report["removed"]["processes"] >= 3) == ([], True)
    left = cell.call("snapshot")
    assert (left["processes"], left["groups"], left["files"]) == ([], [], [])


def _other(cell, root=None):
    """Return another run's cell on this engine."""
    run = {**cell.run, "id": "t" + uuid.uuid4().hex[:12]}
    return dataclasses.replace(cell, run=run, root=root or cell.root)


def test_reap_takes_dead_runs_of_this_root_and_leaves_those_of_another(cell, any_compose, tmp_path, nothing):
    dead, living = _other(cell), _other(cell, tmp_path / "other-root")
    try:
        dead.up(TEXT, any_compose)
        living.up(TEXT, any_compose)
        epoch = cell.call("lease", action="acquire", ttl_s=60)["epoch"]
        run = {**cell.run, "epoch": epoch}
        found = {entry["run"]: entry["ours"] for entry in cell.call("facts")["leftovers"]}
        assert (found[dead.run["id"]], found[living.run["id"]]) == (True, False)
        assert dead.run["id"] in cell.call("reap", run=run, check=True)["would_reap"]
        report = cell.call("reap", run=run)
        assert report["reaped"][dead.run["id"]]["removed"]["containers"] == 1
        assert living.run["id"] not in report["reaped"]
        assert living.run["id"] in {entry["run"] for entry in report["kept"]}
        assert dead.left() == nothing
        assert len(living.left()["containers"].split()) == 1
    finally:
        for other in (dead, living):
            other.call("clean", run={**other.run, "scenario": ""})


def test_reap_without_the_lease_is_refused(cell, refused):
    with pytest.raises(refused) as caught:
        cell.call("reap")
    assert caught.value.kind == "lock_held"


def test_an_old_epoch_may_not_touch_the_node(cell, any_compose, refused):
    cell.up(TEXT, any_compose)
    epoch = cell.call("lease", action="acquire", ttl_s=60)["epoch"]
    for op in ("start", "stop", "clean"):
        with pytest.raises(refused) as caught:
            cell.call(op, run={**cell.run, "epoch": epoch + 1}, services=["a"])
        assert caught.value.kind == "lock_held"
    assert len(cell.left()["containers"].split()) == 1


def test_files_of_other_users_are_removed_by_a_container(cell, image, tmp_path):
    from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import engine, remove

    folder = tmp_path / "case"
    (folder / "results").mkdir(parents=True)
    (folder / "results" / "file").write_text("x")
    labels = {"testcell.run": cell.run["id"]}
    assert remove.by_engine(engine.connect({}), image, folder, labels) == ""
    assert not folder.exists()
    assert tmp_path.exists()
