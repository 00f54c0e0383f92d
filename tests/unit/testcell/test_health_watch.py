# SPDX-License-Identifier: MIT

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document, latest

from testcell.health_rounds import Rounds
from testcell.health_watch import Follower

Document = dict[str, Any]


def answer(folder: Path, number: int) -> None:
    latest.put(folder, number, document.of_disabled("n1", 0.0))


def test_rounds_are_shown_as_they_come_and_the_last_one_at_the_end(tmp_path: Path) -> None:
    shown: list[Document] = []
    came = threading.Event()

    def show(found: Document) -> None:
        shown.append(found)
        came.set()

    follower = Follower(tmp_path, Rounds(["n1"], 5.0), ["s"], show)
    with follower:
        answer(tmp_path, 1)
        assert came.wait(10)
        answer(tmp_path, 2)
    assert [found["round"] for found in shown] == [1, 2] and follower.last == shown[-1]
    assert shown[0]["scenarios"] == ["s"] and shown[0]["nodes"][0]["name"] == "n1"


def test_without_an_answer_nothing_is_shown(tmp_path: Path) -> None:
    shown: list[Document] = []
    with Follower(tmp_path, Rounds(["n1"], 5.0), [], shown.append) as follower:
        pass
    assert (shown, follower.last) == ([], None)


def test_a_fault_of_ours_ends_the_asking_and_is_raised(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()

    def faulty(_: Document) -> None:
        raise TypeError("unexpected")

    answer(folder, 1)
    with pytest.raises(TypeError, match="unexpected"), Follower(folder, Rounds(["n1"], 5.0), [], faulty) as follower:
        follower._thread.join(10)
    assert not folder.exists()


def test_where_nobody_reads_any_more_the_asking_ends(tmp_path: Path) -> None:
    """The nodes are asked as long as the folder for their answers is there."""
    folder = tmp_path / "answers"
    folder.mkdir()

    def gone(_: Document) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    answer(folder, 1)
    with Follower(folder, Rounds(["n1"], 5.0), [], gone) as follower:
        follower._thread.join(10)
    assert not folder.exists()
