# SPDX-License-Identifier: MIT
"""The lines of a test script on the screen: each once, in order, within bounds, whatever pieces the log comes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from testcell import script_log
from testcell.script_log import ScriptLog


def shown(log: ScriptLog, *, ended: bool = False) -> list[str]:
    return [line for lines in log.pieces(ended=ended) for line in lines]


# the pieces that come between two looks, and all that is shown when the log has ended
PIECES: dict[str, tuple[list[bytes], list[str]]] = {
    "nothing": ([b""], []),
    "lines": ([b"a\nb\n", b"c\n"], ["a", "b", "c"]),
    "a-line-in-pieces": ([b"a", b"b", b"c\nd", b"\n"], ["abc", "d"]),
    "no-newline-at-the-end": ([b"a\nb"], ["a", "b"]),
    "empty-lines": ([b"\n\na\n\n"], ["", "", "a", ""]),
    "carriage-return-and-newline": ([b"a\r\nb\r", b"\n"], ["a", "b"]),
    "spaces-are-kept": ([b"  a   b\n"], ["  a   b"]),
    "F36-invalid-utf8": ([b"a\xff\xfeb\n"], ["a\ufffd\ufffdb"]),
    "F36-half-a-letter-at-a-time": ([b"\xc3", b"\xa9\n"], ["é"]),
    "F36-half-a-letter-at-the-end": ([b"a\xc3"], ["a\ufffd"]),
    "F36-nul": ([b"a\0b\n"], ["a\\x00b"]),
    "F36-clears-the-screen": ([b"\x1b[2J\n"], ["\\x1b[2J"]),
    "F36-line-ends-of-other-alphabets": (["a\u2028b\x85c\x0cd\n".encode()], ["a\\u2028b\\x85c\\x0cd"]),
    "F36-progress-bar": ([b"\r1%", b"\r2%\r", b"3%", b"\r4%\n"], ["4%"]),
    "F36-progress-bar-that-stays": ([b"\r1%\r2%"], ["2%"]),
    "F36-long": ([b"x" * 5000, b"y" * 5000 + b"\nz\n"], ["x" * 200, "z"]),
    "F36-long-and-then-anew": ([b"x" * 5000 + b"\r", b"y\n"], ["y"]),
    "F36-long-of-letters-of-four-bytes": (["\U0001f600".encode() * 5000], ["\U0001f600" * 200]),
}


@pytest.mark.parametrize(("pieces", "expected"), PIECES.values(), ids=PIECES)
def test_each_line_is_shown_once(tmp_path: Path, pieces: list[bytes], expected: list[str]) -> None:
    path = tmp_path / "test.log"
    log, found = ScriptLog(path), []
    for piece in pieces:
        found += shown(log)
        with path.open("ab") as stream:
            stream.write(piece)
    found += shown(log, ended=True)
    assert found == expected and shown(log, ended=True) == []


def test_an_unended_line_waits_for_its_end_while_more_may_come(tmp_path: Path) -> None:
    path = tmp_path / "test.log"
    log = ScriptLog(path)
    assert shown(log) == [], "there is no file yet"
    path.write_bytes(b"one\ntw")
    assert shown(log) == ["one"] and shown(log) == []
    assert shown(log, ended=True) == ["tw"]


def test_no_line_is_lost_at_the_borders_of_what_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script_log, "MAX_READ", 7)
    path, lines = tmp_path / "test.log", [f"line {number}" for number in range(100)]
    path.write_text("".join(f"{line}\n" for line in lines))
    assert shown(ScriptLog(path)) == lines


def test_f36_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "test.log"
    log = ScriptLog(path)
    with path.open("ab") as stream:
        for _ in range(6):
            stream.write(b"x" * (1 << 20))
            stream.flush()
            assert shown(log) == [] and len(log._rest) <= script_log.MAX_LINE + 1
    assert shown(log, ended=True) == ["x" * 200]


def test_f36_what_nobody_could_follow_is_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_log, "MAX_BEHIND", 1000)
    monkeypatch.setattr(script_log, "MAX_READ", 100)
    path = tmp_path / "test.log"
    path.write_bytes(b"first\nhal")
    log = ScriptLog(path)
    assert shown(log) == ["first"]
    lines = [f"line {number:04}" for number in range(200)]
    path.write_bytes(b"first\nhalf\n" + "".join(f"{line}\n" for line in lines).encode())
    said, *rest = shown(log)
    assert rest == lines[-len(rest) :] and 0 < len(rest) <= 10
    assert said == f"[testcell: {5 + 10 * (200 - len(rest))} bytes of output are not shown here; they are in {path}]"
    assert shown(log, ended=True) == []
