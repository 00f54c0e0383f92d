# SPDX-License-Identifier: MIT

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testcell.progress import Progress, Tail, is_script_line


def entry(step: str, phase: str, **more: Any) -> dict[str, Any]:
    return {
        "t": 100.0,
        "step": step,
        "phase": phase,
        "scenario": "001_x",
        "case": "",
        "attempt": 1,
        "node": "node1",
        **more,
    }


def test_a_new_case_is_a_heading_and_clears_the_nodes() -> None:
    progress = Progress("r")
    assert progress.apply(entry("prep", "begin")) == ["== 001_x"]
    assert progress.apply(entry("prep", "begin", case="c-4", attempt=2)) == ["== 001_x / c-4 / attempt 2"]
    assert progress.begun == 2


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"phase": "end", "ok": True, "seconds": 1.25}, "ok, 1.2 s"),
        (
            {"phase": "end", "ok": False, "failure": {"error_kind": "ssh_refused", "message": "no\nway"}},
            "FAILED ssh_refused: no way",
        ),
        ({"phase": "end", "ok": False}, "FAILED failed: "),
        ({"phase": "event", "message": "d-1 ready\x1b[2J"}, "d-1 ready\\x1b[2J"),
    ],
)
def test_each_entry_of_a_node_is_one_line(more: dict[str, Any], line: str) -> None:
    progress = Progress("r")
    progress.apply(entry("deploy", "begin"))
    (found,) = progress.apply({**entry("deploy", "end"), **more})
    assert found == f"   node1        deploy    {line}"


def test_state_of_services_is_kept_by_node() -> None:
    progress = Progress("r")
    for state in ("started", "ready"):
        progress.apply(entry("deploy", "event", message=f"d-1 {state}", service="d-1", state=state))
    progress.apply(entry("test", "event", message="d-1 died", service="d-1"))
    assert progress.nodes["node1"].services == {"d-1": "failed"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("\x1b[0m  node1        test     | 42 requests", True),
        ("  node1        test     | ", True),
        ("  node1        test     run_test.sh started, at most 60 s", False),
        ("  node1        deploy   | ready", False),
        ("TASK [x] ****", False),
    ],
)
def test_lines_of_the_test_script_are_told_from_other_output(line: str, expected: bool) -> None:
    assert is_script_line(line) is expected


def test_tail_gives_whole_lines_only_and_survives_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    tail = Tail(path)
    assert tail.entries() == []
    path.write_text('{"a": 1}\nrubbish\n[1]\n{"b"')
    assert tail.entries() == [{"a": 1}]
    with path.open("a") as stream:
        stream.write(": 2}\n")
    assert tail.entries() == [{"b": 2}] and tail.entries() == []


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"step": None},
        {"node": 3, "phase": "end", "ok": False, "failure": "x"},
        {"scenario": ["x"], "node": "n", "t": "now"},
    ],
)
def test_odd_entries_do_not_stop_the_view(odd: dict[str, Any]) -> None:
    assert isinstance(Progress("r").apply(odd), list)
