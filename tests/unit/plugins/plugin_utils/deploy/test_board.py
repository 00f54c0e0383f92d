# SPDX-License-Identifier: MIT
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.board import Board


def test_a_note_is_read_by_all_and_absent_before(tmp_path):
    board = Board(tmp_path / "b")
    assert board.read("service.a") is None and board.notes() == {}
    board.post("service.a", {"state": "ready"})
    assert Board(tmp_path / "b").read("service.a") == {"state": "ready"}


def test_notes_are_found_by_prefix_also_with_dots_in_names(tmp_path):
    board = Board(tmp_path)
    board.post("service.a.b", {"n": 1})
    board.post("facts.node", {"n": 2})
    assert board.notes("service.") == {"a.b": {"n": 1}}


def test_only_the_first_of_many_claims_holds(tmp_path):
    board = Board(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: board.claim("failure", {"n": n}), range(64)))
    assert won.count(True) == 1
    assert board.read("failure") == {"n": won.index(True)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["failure.json"]


def test_f08_a_claim_that_cannot_be_written_names_the_note_and_leaves_nothing(tmp_path, monkeypatch):
    def refused(_source, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", refused)
    with pytest.raises(OSError, match="No space") as caught:
        Board(tmp_path).claim("failure", {})
    assert caught.value.filename == str(tmp_path / "failure.json")
    assert list(tmp_path.iterdir()) == []


def test_what_a_power_cut_leaves_of_a_note_is_no_note(tmp_path):
    (tmp_path / "lease.node1.json").touch()
    board = Board(tmp_path)
    assert board.read("lease.node1") is None and board.notes() == {}


def test_f05_what_is_said_when_nobody_hears_it_is_not_put_up(tmp_path):
    Board(tmp_path).post("collected.n1", {"files": 3})
    alone = Board(tmp_path, lambda: False)
    alone.post("collected.n1", {"files": 0})
    alone.post("collected.n2", {"files": 0})
    assert not alone.claim("failure", {"error_kind": "ssh_dropped"})
    assert Board(tmp_path).notes() == {"collected.n1": {"files": 3}}
