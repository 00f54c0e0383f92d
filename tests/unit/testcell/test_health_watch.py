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


@pytest.mark.parametrize("steps", [1, 5])
def test_the_asking_ends_with_enough_rounds_however_the_nodes_count_theirs(tmp_path: Path, steps: int) -> None:
    """A node leaves rounds out that were due while an answer was waited for, so its numbers are not ours."""
    folder, shown = tmp_path / "answers", []
    folder.mkdir()
    turns = [threading.Event() for _ in range(2)]

    def show(found: Document) -> None:
        shown.append(found["round"])
        turns[len(shown) - 1].set()

    with Follower(folder, Rounds(["n1"], 5.0), [], show, enough=2) as follower:
        answer(folder, steps)
        assert turns[0].wait(10) and folder.is_dir()
        answer(folder, 2 * steps)
        follower._thread.join(10)
        assert not folder.exists()
        with pytest.raises(FileNotFoundError):
            answer(folder, 3 * steps)
    assert shown == [1, 2] and list(tmp_path.iterdir()) == []


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
