# SPDX-License-Identifier: MIT
"""Cleaning takes the run's objects and proves by listing that they are gone."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import clean, lease, procs, reap
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.cleaning import COUNTED
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.leftovers import Inventory


class Engine:
    """An engine of labelled objects; every list is filtered by label as the real one does it."""

    def __init__(self, root) -> None:
        self.objects: dict[str, dict[str, dict]] = {"containers": {}, "networks": {}, "volumes": {}}
        self.failing: dict[str, list[CellError]] = {}
        self.asked: list[tuple[str, ...]] = []
        self.said: list[tuple] = []
        self.ends: dict[str, dict] = {}  # containers at a network, as the engine tells of it
        self.root = root

    def add(self, kind, name, run, **labels):
        marks = {"testcell.run": run, **labels}
        self.objects[kind][name] = {"Id": name, "Name": name, "Names": [f"/{name}"], "Labels": marks, "ImageID": "img"}

    def _list(self, kind, labels):
        self.asked.append((kind, *labels))
        wanted = [label.partition("=") for label in labels]
        return [
            record
            for record in self.objects[kind].values()
            if all(
                key in record["Labels"] and (not sign or record["Labels"][key] == value) for key, sign, value in wanted
            )
        ]

    def with_timeout(self, timeout):
        assert 0 < timeout <= 10
        return self

    def containers(self, labels=(), _timeout=None):
        return self._list("containers", labels)

    def call(self, method, path, body=None):
        self.said.append((method, path, body))
        return {"Containers": self.ends}

    def unpause(self, name):
        self.said.append(("unpause", name, None))

    def networks(self, labels):
        return self._list("networks", labels)

    def volumes(self, labels):
        return self._list("volumes", labels)

    def remove(self, kind, name, _timeout=None):
        if self.failing.get(name):
            raise self.failing[name].pop(0)
        return self.objects[kind].pop(name, None) is not None

    def names(self):
        return sorted(name for objects in self.objects.values() for name in objects)


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node with two runs on its engine and a folder of each."""
    engine = Engine(tmp_path)
    for run in ("r1", "r10"):
        for kind in engine.objects:
            engine.add(kind, f"{run}-{kind}", run)
        (tmp_path / f"runs/{run}/s/a1").mkdir(parents=True)
        (tmp_path / f"runs/{run}/s/a1/file").write_text("x")
    now = [0.0]
    clock = Clock(unix=lambda: 9.0, monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    for module in (clean, reap):
        monkeypatch.setattr(module, "engine_of", lambda ctx: engine)
    monkeypatch.setattr(procs, "end_ours", lambda _root, _run, _limit=0: procs.KillReport())
    monkeypatch.setattr(clean.cgroup, "groups_left", lambda _root, _run=None: [])

    def ask(operation="clean", run=None, check=False, **args):
        context = Context(tmp_path, run or RunRef("r1", "s"), check=check, clock=clock)
        return {**clean.OPS, **reap.OPS}[operation](context, args)

    ask.engine, ask.root = engine, tmp_path
    return ask


def test_one_run_goes_and_the_other_stays(node):
    report = node()
    assert report == {
        "removed": {"containers": 1, "networks": 1, "volumes": 1, "processes": 0, "files": 1, "bytes": 1},
        "errors": [],
        "cause": [],
        "emergency": False,
        "seconds": 0.0,
    }
    assert node.engine.names() == ["r10-containers", "r10-networks", "r10-volumes"]
    assert not (node.root / "runs/r1").exists()
    assert (node.root / "runs/r10/s/a1/file").exists()
    assert node.root.exists()
    assert all("testcell.run=r1" in asked or asked == ("containers",) for asked in node.engine.asked)


def test_a_second_clean_removes_nothing(node):
    node()
    again = node()
    assert (again["removed"], again["errors"], again["emergency"]) == (dict.fromkeys(COUNTED, 0), [], False)


def test_the_last_case_of_a_run_takes_the_run_folder_along(node):
    other = node.root / "runs/r1/other/a1"
    other.mkdir(parents=True)
    node()
    assert other.exists()
    node(run=RunRef("r1", "other"))
    assert not (node.root / "runs").joinpath("r1").exists()


def test_a_busy_network_is_tried_again(node):
    node.engine.failing["r1-networks"] = [CellError("docker_leftover", "has active endpoints")] * 2
    assert node()["errors"] == []
    assert "r1-networks" not in node.engine.names()


@pytest.mark.parametrize(("state", "beside"), [("exited", True), ("created", True), ("running", False)])
def test_a_network_goes_beside_containers_that_do_not_hold_it(node, monkeypatch, state, beside):
    """A container's removal waits here for the network's: where both go at once, it is not in vain."""
    gone, seen, remove = threading.Event(), [], node.engine.remove

    def removing(kind, name):
        if kind == "containers":
            seen.append(gone.wait(0.1 if not beside else 10))
        answer = remove(kind, name)
        if kind == "networks":
            gone.set()
        return answer

    node.engine.objects["containers"]["r1-containers"]["State"] = state
    monkeypatch.setattr(node.engine, "remove", removing)
    assert node()["errors"] == []
    assert seen == [beside]


def test_what_stays_is_told_and_keeps_the_folder_as_proof(node):
    node.engine.failing["r1-volumes"] = [CellError("docker_leftover", "volume is in use")] * 999
    report = node()
    assert report["errors"] == [
        {"error_kind": "docker_leftover", "what": "volume r1-volumes", "error": "volume is in use"}
    ]
    assert report["removed"]["volumes"] == 0
    assert (node.root / "runs/r1/s/a1/file").exists()


def test_a_container_that_stays_is_told(node):
    node.engine.failing["r1-containers"] = [CellError("process_leak", "did not receive an exit event")] * 999
    report = node()
    told = {"error_kind": "process_leak", "error": "did not receive an exit event"}
    assert report["cause"][0] == {**told, "what": "r1-containers"}
    assert report["errors"][0] == {**told, "what": "container r1-containers"}
    assert report["emergency"] is True


def test_an_engine_that_cannot_list_is_an_error_and_not_clean(node, monkeypatch):
    def down(_labels, _timeout=None):
        raise CellError("docker_daemon_down", "no engine answers")

    monkeypatch.setattr(node.engine, "networks", down)
    report = node()
    assert [error["error_kind"] for error in report["errors"]] == ["docker_daemon_down"]
    assert (node.root / "runs/r1/s/a1/file").exists()


def test_a_process_that_will_not_go_is_told(node, monkeypatch):
    stuck = procs.Proc(4_000_000, 1)
    monkeypatch.setattr(procs, "end_ours", lambda _root, _run, _limit=0: procs.KillReport((stuck,), (stuck,)))
    report = node()
    assert [error["error_kind"] for error in report["errors"]] == ["process_leak"]
    assert report["removed"]["processes"] == 0


def test_a_check_names_what_would_go(node):
    would = node(check=True)["would_remove"]
    assert (would["containers"], would["networks"], would["volumes"]) == (
        ["r1-containers"],
        ["r1-networks"],
        ["r1-volumes"],
    )
    assert would["folders"] == [str(node.root / "runs/r1/s/a1")]
    assert len(node.engine.names()) == 6


def test_reap_takes_dead_runs_of_this_root_only(node):
    node.engine.add("containers", "foreign", "r7")
    node.engine.add(
        "containers",
        "moved",
        "r8",
        **{"com.docker.compose.project.working_dir": str(node.root / "runs/r8/s/a1/scenario")},
    )
    node.engine.add("networks", "moved-net", "r8")
    answer = node("reap", RunRef("r1", "s", "", 1, 5))
    assert sorted(answer["reaped"]) == ["r10", "r8"]
    assert [entry["name"] for entry in answer["kept"]] == ["foreign"]
    assert node.engine.names() == ["foreign", "r1-containers", "r1-networks", "r1-volumes"]
    assert answer["removed"]["containers"] == 2
    assert not (node.root / "runs/r10").exists()
    assert (node.root / "runs/r1").exists()


def test_reap_needs_the_lease(node):
    with pytest.raises(CellError) as caught:
        node("reap", RunRef("r1", "s"))
    assert caught.value.kind == "lock_held"


def test_a_check_of_reap_removes_nothing(node):
    answer = node("reap", RunRef("r1", "s", "", 1, 5), check=True)
    assert (answer["would_reap"], answer["reaped"]) == (["r10"], {})
    assert len(node.engine.names()) == 6


def holding(node, *runs):
    """Let these runs hold the node at the same time; return their epochs."""
    takes = [Context(node.root, RunRef(run), "anna") for run in runs]
    return [lease.op_lease(one, {"action": "acquire", "shared": True})["epoch"] for one in takes]


def test_reap_leaves_what_a_living_co_holder_has(node):
    holding(node, "r10", "r1")
    assert node("reap", RunRef("r1", "s", "", 1, 2))["reaped"] == {}
    assert len(node.engine.names()) == 6
    lease.op_lease(Context(node.root, RunRef("r10"), "anna"), {"action": "release"})
    assert sorted(node("reap", RunRef("r1", "s", "", 1, 2))["reaped"]) == ["r10"]


def test_a_dead_run_is_cleaned_by_others_under_its_own_epoch_only(node):
    (epoch,) = holding(node, "r1")
    with pytest.raises(CellError) as caught:
        node("clean", RunRef("r1", "s", "", 1, epoch + 1), dead=True)
    assert (caught.value.kind, len(node.engine.names())) == ("lock_held", 6)
    assert node("clean", RunRef("r1", "s", "", 1, epoch), dead=True)["errors"] == []
    assert len(node.engine.names()) == 3


def test_a_root_whose_path_begins_alike_proves_nothing(node):
    other = str(node.root) + "-other/runs/r9/s/a1"
    node.engine.add("containers", "alike", "r9", **{"com.docker.compose.project.working_dir": other})
    node.engine.add(
        "containers", "climbing", "r6", **{"com.docker.compose.project.working_dir": f"{node.root}/runs/../../x"}
    )
    found: Inventory = reap.inventory(Context(node.root, RunRef("r1", "s")), node.engine)
    assert not {"r9", "r6"} & found.ours


@pytest.mark.parametrize("name", ["..", "../..", "r2/../..", ".", "", "r2\n", "-rf"])
def test_a_label_that_is_no_run_id_never_names_a_folder(node, name):
    place = str(node.root / "runs" / name / "s")
    node.engine.add("containers", "trap", name, **{"com.docker.compose.project.working_dir": place})
    answer = node("reap", RunRef("r1", "s", "", 1, 5))
    assert sorted(answer["reaped"]) == ["r10"]
    assert (node.root / "runs/r1/s/a1/file").exists()
    assert "trap" in node.engine.names()


def test_files_of_other_users_are_left_to_a_container(node, monkeypatch):
    """A user without root cannot delete what a container wrote as root; an image that has no `rm` is passed over."""
    asked: list[str] = []
    left = [("cannot remove file: Permission denied",), ()]

    def by_engine(_engine, image, _folder, labels):
        asked.append(image)
        assert labels["testcell.run"] == "r1"
        return "no rm in it" if image == "img" else ""

    monkeypatch.setattr(clean.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(clean.remove, "tree", lambda _folder, _environ: clean.remove.Removal(1, left.pop(0)))
    monkeypatch.setattr(clean.remove, "by_engine", by_engine)
    node.engine.images = lambda: [{"Id": "other"}, {"Id": "never asked"}]
    assert node()["errors"] == []
    assert asked == ["img", "other"]
