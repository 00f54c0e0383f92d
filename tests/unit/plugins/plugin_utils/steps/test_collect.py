# SPDX-License-Identifier: MIT
"""What the step notes of the files that came home, and of those that did not."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import collect, record, salvage
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import (
    Cell,
    StepFailure,
    case_board,
    run_board,
)
from served import Served
from ways import Way

STATE = {"service": "a", "state": "exited", "exit_code": 0}


class Node(Way):
    """A node whose evidence is made already."""

    def _one(self, one):
        if one.op == "evidence":
            return {"result": {"containers": [STATE], "missing": [{"what": "services/a.log", "why": "too old"}]}}
        return super()._one(one)


@pytest.fixture
def cell(tmp_path, build):
    """Return a function that makes the step of a node; its files are those given below evidence and work."""
    made = []
    case = replace(build.case(services=[build.service("a")]), nodes=("n1", "n2"), transfer={"retries": 1})
    case = replace(case, test=replace(case.test, node="n1", result_paths=("results/", "absent.json")))
    plan = build.plan(tmp_path, case)
    plan.run_dir.mkdir(parents=True, exist_ok=True)

    def make(node, files):
        root = tmp_path / node
        folder = root / "runs" / plan.run_id / case.ref.scenario / "a1"
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        root.chmod(0o700)
        program = root / "cellnode.pyz"
        program.write_bytes(package.build("cellnode").content)
        run = {"id": plan.run_id, "scenario": case.ref.scenario, "case": case.ref.case, "attempt": 1}
        served = Served(program, {"root": str(root), "run": run, "owner": "tester", "engine": False})
        made.append(served)
        boards = case_board(plan.boards, case.index), run_board(plan.boards)
        said = []
        found = Cell("collect", plan, case, node, Node(served), *boards, lambda: 1.0, lambda _s: None, said.append)
        found.said = said
        return found

    yield make
    for served in made:
        served.close()


FILES = {"evidence/services/a.log": b"log", "evidence/state.json": b"{}", "work/results/x": b"123", "work/other": b"no"}


def test_evidence_and_results_get_their_places_and_their_entries(cell):
    step = cell("n1", FILES)
    found = collect.gather(step)
    note = step.board.read("collected.n1")
    assert sorted(entry["path"] for entry in note["files"]) == [
        "nodes/n1/evidence/state.json", "nodes/n1/services/a.log", "test_artifacts/results/x",
    ]  # fmt: skip
    for entry in note["files"]:
        assert (step.case_dir / entry["path"]).stat().st_size == entry["size"] and ":" in entry["digest"]
    assert (note["containers"], note["partial"], note["integrity"]) == ([STATE], False, "full")
    assert note["missing"] == [
        {"what": "services/a.log", "why": "too old"}, {"what": "absent.json", "why": "no file of this name"},
    ]  # fmt: skip
    assert (found["files"], found["bytes"], note["transfer"]["files"]) == (3, 8, 3)
    (entry,) = [one for one in journal.read(step.plan.run_dir) if one["phase"] == "event"]
    assert entry["transfer"] == note["transfer"] and step.said == [entry["message"]]


def test_one_exchange_is_all_that_small_files_take(cell):
    step = cell("n1", FILES)
    collect.gather(step)
    assert [[op for op, _ in exchange] for exchange in step.client.asked] == [["evidence", "send", "send"]]


@pytest.mark.parametrize(
    ("notes", "look"),
    [
        ({}, False),
        ({"test": {"state": "exited", "exit_code": 0}}, False),
        ({"test": {"state": "exited", "exit_code": 2}}, True),
        ({"failure": {"error_kind": "service_died", "node": "n1", "message": "x"}}, True),
    ],
    ids=["nothing-yet", "passed", "test-failed", "case-failed"],
)
def test_nodes_are_looked_at_where_the_case_has_failed(cell, notes, look):
    step = cell("n1", FILES)
    for name, note in notes.items():
        step.board.post(name, note)
    collect.gather(step)
    assert [args["look"] for exchange in step.client.asked for op, args in exchange if op == "evidence"] == [look]


def test_a_node_that_runs_no_test_gives_evidence_only(cell):
    step = cell("n2", FILES)
    assert collect.gather(step)["files"] == 2


def test_f23_a_node_that_is_gone_costs_the_files_of_no_other(cell):
    gone, there = cell("n2", FILES), cell("n1", FILES)
    gone.client.fails = [NodeError("ssh_timeout", "Connection timed out")] * 2
    with pytest.raises(NodeError, match="node n2: Connection timed out"):
        collect.gather(gone)
    assert collect.gather(there)["files"] == 3
    assert there.board.read("collected.n2")["partial"] is True
    record.write_manifest(there.plan.run_id, there.case.ref, there.case_dir, there.board)
    nodes = json.loads((there.case_dir / "manifest.json").read_text())["nodes"]
    assert {node: len(one["files"]) for node, one in nodes.items()} == {"n1": 3, "n2": 0}


def test_f22_a_changed_result_does_no_harm_to_the_evidence(cell):
    step = cell("n1", {**FILES, "work/results/large": bytes(3_000_000)})
    step.client.before[6] = lambda: os.truncate(next(step.plan.run_dir.parent.rglob("work/results/large")), 10)
    collect.gather(step)
    note = step.board.read("collected.n1")
    assert [(one["path"], one["kind"]) for one in note["refused"]] == [("results/large", "artifact_changed")]
    assert len(note["files"]) == 3
    (told,) = [line for line in record.warnings(step.case, step.board) if "not all files came home" in line]
    assert told.startswith("n1: not all files came home: 'results/large' (it changed while it was fetched")


def test_f20_what_failed_to_come_whole_is_kept_apart_and_taken_up_by_a_later_collection(cell):
    step = cell("n1", {**FILES, "work/results/z": bytes(range(256)) * 8000})
    step.client.spoil = lambda number, data: data if len(data) < 100_000 else data[: len(data) // 2]
    with pytest.raises(StepFailure, match="n1: the transfer broke off, tried 2 times") as caught:
        collect.gather(step)
    assert caught.value.kind == "transfer_failed"
    note = step.board.read("collected.n1")
    assert note["partial"] is True and not (step.case_dir / "test_artifacts").exists()
    assert "test_artifacts.partial/results/x" in [entry["path"] for entry in note["files"]]
    assert salvage.is_collected(step) is False
    step.client.spoil = None
    collect.gather(step)
    assert salvage.is_collected(step) is True and not (step.case_dir / "test_artifacts.partial").exists()
    assert step.board.read("collected.n1")["transfer"]["resumed_files"] == 1


@pytest.mark.parametrize(
    ("failed", "prepared", "node", "asked"),
    [
        pytest.param(True, True, "n1", True, id="F29-its-containers-failed"),
        pytest.param(False, True, "n1", False, id="nothing-failed"),
        pytest.param(True, False, "n1", False, id="it-has-no-containers-yet"),
        pytest.param(True, True, "n2", False, id="it-runs-no-services"),
    ],
)
def test_the_engine_of_a_case_that_failed_is_waited_for(make_cell, build, failed, prepared, node, asked):
    answering = build.node(facts={"engine": {"ok": True, "error_kind": "", "error": "", "life": ""}})
    cell = make_cell(build.case(services=[build.service("a")]), node=node, client=answering)
    if failed:
        cell.board.post("failure", {"error_kind": "docker_timeout", "node": "n1", "message": "x"})
    if prepared:
        cell.board.post(f"snapshot.{node}", {})
    collect.await_engine(cell)
    assert bool(answering.calls) is asked


def test_what_was_begun_is_put_away_where_the_rest_cannot_begin(cell):
    step = cell("n1", {"work/results/a.json": b"{}"})
    step.case_dir.mkdir(parents=True, exist_ok=True)
    (step.case_dir / ".test_artifacts.staging").write_text("in the way")
    with pytest.raises(FileExistsError):
        collect.gather(step)
    assert list((step.case_dir / "nodes").glob(".*")) == []
