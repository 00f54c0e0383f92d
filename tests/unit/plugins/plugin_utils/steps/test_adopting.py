# SPDX-License-Identifier: MIT
"""Whether a case goes on where its controller died: by its notes, and by what its nodes say."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.board import Board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import adopting

EXITED = {"state": "exited", "exit_code": 0}
SNAPSHOTS = {"snapshot.n1": {}, "snapshot.n2": {}}
DEPLOYED = {**SNAPSHOTS, "service.a": {"state": "ready"}}
COLLECTED = {"collected.n1": {"files": []}, "collected.n2": {"files": []}}


@pytest.fixture
def case(build):
    return build.case(services=[build.service("a", node="n1"), build.service("b", node="n2")])


@pytest.fixture
def boards(tmp_path):
    """The case's board, the next controller's board of it, and the run's board with both nodes held."""
    shared = Board(tmp_path / "run")
    for node, epoch in (("n1", 3), ("n2", 5)):
        shared.post(f"lease.{node}", {"epoch": epoch})
    return Board(tmp_path / "0"), Board(tmp_path / "1"), shared


def post(board, notes):
    for name, note in notes.items():
        board.post(name, note)


STANDING = {
    "before the test": (DEPLOYED, None),
    "F04 in the test": ({**DEPLOYED, "begun": {"t": 1}}, "test"),
    "F04 test cut off": ({**DEPLOYED, "begun": {"t": 1}, "test": {"state": "not ended"}}, "test"),
    "F05 one node collected": ({"begun": {"t": 1}, "test": EXITED, "collected.n1": {"files": []}}, "test"),
    "F06 all collected": ({"begun": {"t": 1}, "test": EXITED, **COLLECTED}, "stop"),
    "collected without an end": ({"begun": {"t": 1}, "test": {"state": "not ended"}, **COLLECTED}, "test"),
}


@pytest.mark.parametrize(("notes", "at"), STANDING.values(), ids=STANDING)
def test_a_case_goes_on_from_its_test_or_from_its_cleaning(case, boards, notes, at):
    before, _board, shared = boards
    post(before, notes)
    standing = adopting.resumable(case, before, shared, 7.0)
    ended = before.read("test") is not None and before.read("test")["state"] == "exited"
    assert standing == (at and {"at": at, "ended": ended, "epochs": {"n1": 3, "n2": 5}, "last": 7.0})


CARRIED = {
    "test": {"begun", "service.a", "failure", "resumable"},
    "stop": {"begun", "service.a", "failure", "resumable", "test", "collected.n1", "verified.n1"},
}


@pytest.mark.parametrize(("at", "names"), CARRIED.items(), ids=CARRIED)
def test_what_is_done_anew_is_not_carried_over(boards, at, names):
    before, board, _shared = boards
    told = ("begun", "service.a", "failure", "test", "collected.n1", "verified.n1")
    post(before, {**{name: {"of": name} for name in told}, "adopted": {"at": "test"}, "adoption.n1": {"why": ""}})
    adopting.carry_over({"at": at, "epochs": {}, "last": 1.0}, before, board)
    assert set(board.notes()) == names
    assert board.read("service.a") == {"of": "service.a"}


class Node:
    """A node that lets its lease be taken on unless it refuses, and has a unit in a state."""

    def __init__(self, state="running", refuses="", message=""):
        self.unit, self.refuses, self.run, self.calls = {"state": state, "message": message}, refuses, {"id": "r"}, []

    def call(self, op, **args):
        self.calls.append((op, args.get("action"), args.get("epoch")))
        if self.refuses:
            raise NodeError("lock_held", self.refuses)
        return {"epoch": args["epoch"] + 1} if op == "lease" else self.unit


ANSWERS = {
    "running": (Node(), ""),
    "ended meanwhile": (Node("exited"), ""),
    "timed out meanwhile": (Node("timed_out"), ""),
    "killed by the dead man": (Node("killed", message="the lease was gone"), "ended as 'killed': the lease was gone"),
    "lost": (Node("lost"), "ended as 'lost'"),
    "taken by another run": (Node(refuses="node is leased to run 'x'"), "node is leased to run 'x'"),
}


@pytest.mark.parametrize(("node", "why"), ANSWERS.values(), ids=ANSWERS)
def test_the_node_of_the_test_says_whether_it_can_go_on(make_cell, case, node, why):
    cell = make_cell(case, node=case.test.node, client=node)
    cell.board.post("resumable", {"at": "test", "epochs": {"n1": 3, "n2": 5}, "last": 1.0})
    found = adopting.adopt(cell)
    assert found["goes_on"] == (not why) and why in found.get("why", "")
    assert cell.board.read(f"adoption.{cell.node}") == {"why": found.get("why", "")}
    if not node.refuses:
        assert cell.shared.read(f"lease.{cell.node}")["epoch"] == node.run["epoch"]


def test_a_node_that_was_clean_and_given_back_is_not_asked(make_cell, case):
    node = Node(refuses="must not be asked")
    cell = make_cell(case, node=case.test.node, client=node)
    cell.board.post("resumable", {"at": "stop", "epochs": {"n1": 3}, "last": 1.0})
    cell.board.post(f"verified.{cell.node}", {"clean": True})
    assert adopting.adopt(cell) == {"goes_on": True} and node.calls == []


def done(board):
    return {step for step in ("lease", "deploy", "test", "collect", "stop") if adopting.done_before(step, board)}


def settled(boards, case, answers, at="test"):
    _before, board, shared = boards
    post(board, {"resumable": {"at": at, "epochs": {}, "last": 10.0}, "service.a": {"state": "ready"}, **answers})
    return adopting.settle(case, board, shared, 22.4), board


def test_it_goes_on_when_all_nodes_can(boards, case):
    told, board = settled(boards, case, {"adoption.n1": {"why": ""}, "adoption.n2": {"why": ""}})
    assert "another went on with it 12 s later" in told and board.read("warning.adopted") == {"message": told}
    assert adopting.goes_on(board) and board.read("service.a")
    assert done(board) == {"lease", "deploy"}


@pytest.mark.parametrize(
    ("at", "ended", "during"),
    [
        ("test", False, "its test was running"),
        ("test", True, "the files of its test were to be collected"),
        ("stop", True, "its nodes were to be cleaned"),
    ],
)
def test_what_is_told_is_what_the_dead_controller_was_at(boards, case, at, ended, during):
    _before, board, shared = boards
    post(board, {"resumable": {"at": at, "ended": ended, "epochs": {}, "last": 10.0}})
    post(board, {f"adoption.{node}": {"why": ""} for node in case.nodes})
    assert adopting.settle(case, board, shared, 22.4).startswith(f"the controller died when {during};")


def test_cleaning_goes_on_without_the_test(boards, case):
    _told, board = settled(boards, case, {"adoption.n1": {"why": ""}, "adoption.n2": {"why": ""}}, at="stop")
    assert done(board) == {"lease", "deploy", "test", "collect"}


AGAINST = {
    "one cannot": ({"adoption.n1": {"why": ""}, "adoption.n2": {"why": "it was restarted"}}, "n2: it was restarted"),
    "one is silent": ({"adoption.n1": {"why": ""}}, "n2: it gave no answer"),
}


@pytest.mark.parametrize(("answers", "why"), AGAINST.values(), ids=AGAINST)
def test_it_begins_anew_when_one_node_cannot(boards, case, answers, why):
    told, board = settled(boards, case, answers)
    assert told == f"begins anew: {why}"
    assert set(board.notes()) == {"leavings.n1", "leavings.n2"} and not adopting.goes_on(board)
    assert done(board) == set()


def test_a_case_that_was_not_resumed_is_let_be(boards, case):
    _before, board, shared = boards
    post(board, DEPLOYED)
    assert adopting.settle(case, board, shared, 5.0) == "" and set(board.notes()) == set(DEPLOYED)
