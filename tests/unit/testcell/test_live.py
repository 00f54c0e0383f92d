# SPDX-License-Identifier: MIT

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from testcell import live
from testcell.cli import execution, output
from testcell.progress import Progress


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what a terminal of 100 columns is sent."""
    sent = io.StringIO()
    console = Console(file=sent, force_terminal=True, width=100, highlight=False, markup=False, color_system=None)
    monkeypatch.setattr(output, "console", lambda **_: console)
    return sent


def test_a_terminal_shows_steps_and_services_of_each_node(screen: io.StringIO) -> None:
    progress = Progress("20260101_000000")
    view = live.Redrawn()
    entry = {"t": 0.0, "scenario": "001_x", "attempt": 1, "node": "node1", "step": "deploy"}
    lines = progress.apply({**entry, "phase": "begin"})
    lines += progress.apply(
        {**entry, "phase": "event", "message": "[bold]d-1[/bold] ready", "service": "d-1", "state": "ready"}
    )
    view.update(progress, lines)
    view.close()
    shown = screen.getvalue()
    assert "run 20260101_000000  001_x" in shown and "d-1 ready" in shown
    assert "[bold]d-1[/bold] ready" in shown, "text from outside is no markup"


def test_a_terminal_that_goes_away_does_not_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F09"""
    run_dir = tmp_path / "20260101_000000"
    run_dir.mkdir()
    (run_dir / "journal.jsonl").write_text('{"scenario": "x", "node": "n", "step": "prep", "phase": "begin", "t": 1}\n')
    watcher = live.Watcher(run_dir, redraw=False)

    def gone(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(watcher._screen, "update", gone)
    with watcher:
        watcher._thread.join(timeout=10)
    assert not watcher._thread.is_alive()


def entry(phase: str, step: str = "test", **more: Any) -> dict[str, Any]:
    return {"t": 1.0, "step": step, "phase": phase, "scenario": "s", "case": "", "attempt": 1, "node": "n1", **more}


def started(**more: Any) -> dict[str, Any]:
    return entry("event", message="run_test.sh started", log="test.log", **more)


def ok(**more: Any) -> dict[str, Any]:
    return entry("end", ok=True, seconds=1.0, **more)


class Run:
    """A run's folder as its controller writes it, and its view with turns that the test takes."""

    def __init__(self, run_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = run_dir
        self._capfd = capfd
        run_dir.mkdir(exist_ok=True)

    def journal(self, *entries: dict[str, Any]) -> None:
        with (self.folder / "journal.jsonl").open("a") as stream:
            stream.writelines(f"{json.dumps(entry)}\n" for entry in entries)

    def log(self, content: bytes, case: str = "s", mode: str = "ab") -> None:
        path = self.folder / case / "test.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as stream:
            stream.write(content)

    def shown(self, watcher: live.Watcher, *, ended: bool = False) -> list[str]:
        """Return what a turn prints, without the columns of nodes and steps."""
        watcher._turn(ended=ended)
        said = self._capfd.readouterr()
        assert said.out == ""
        return [line.removeprefix("   n1           test      ") for line in said.err.splitlines()]


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    return Run(tmp_path / "20260101_000000", capfd)


def test_all_that_the_script_wrote_is_shown_before_its_end_is(run: Run) -> None:
    watcher = live.Watcher(run.folder, redraw=False)
    run.journal(entry("begin"), started())
    run.log(b"one\ntw")
    assert run.shown(watcher) == ["== s", "run_test.sh started", "| one"]
    run.log(b"o\n" + b"".join(b"%d\n" % number for number in range(5000)) + b"last")
    run.journal(ok(), entry("begin", "collect"), ok(step="collect"))
    *lines, test, collect = run.shown(watcher)
    assert lines == ["| two", *(f"| {number}" for number in range(5000)), "| last"]
    assert (test, collect) == ("ok, 1.0 s", "   n1           collect   ok, 1.0 s")
    run.log(b"nothing comes after the end\n")
    assert run.shown(watcher, ended=True) == []


@pytest.mark.parametrize(
    "late",
    [
        pytest.param([entry("event", message="n2 does not answer", node="n2")], id="an-event-of-another-node"),
        pytest.param([ok(node="n2")], id="the-end-on-another-node"),
        pytest.param([ok(step="ready")], id="the-end-of-another-step"),
        pytest.param([ok(attempt=2)], id="the-end-of-another-attempt"),
    ],
)
def test_only_the_end_of_the_test_ends_its_log(run: Run, late: list[dict[str, Any]]) -> None:
    watcher = live.Watcher(run.folder, redraw=False)
    run.journal(started(), *late)
    run.log(b"half")
    assert not [line for line in run.shown(watcher) if "half" in line]
    run.log(b" and half\n")
    run.journal(ok())
    assert [line for line in run.shown(watcher) if line.startswith(("|", "ok"))] == ["| half and half", "ok, 1.0 s"]


def test_what_was_written_last_is_shown_where_the_run_is_cut_short(run: Run) -> None:
    watcher = live.Watcher(run.folder, redraw=False)
    run.journal(started())
    run.log(b"one\nhal")
    assert run.shown(watcher, ended=True) == ["== s", "run_test.sh started", "| one", "| hal"]


def test_f07_a_run_that_goes_on_shows_the_log_once_from_its_beginning(run: Run) -> None:
    run.journal(entry("begin"), started())
    run.log(b"one\ntwo\n")
    with live.Watcher(run.folder, redraw=False) as watcher:
        run.journal(entry("begin", "resume"))
        run.log(b"one\ntwo\nthree\n", mode="wb")  # a controller writes it anew from what the node has
        run.journal(started(), ok())
    said = run.shown(watcher, ended=True)
    assert said == ["== s", "run_test.sh started", "run_test.sh started", "| one", "| two", "| three", "ok, 1.0 s"]


def test_f07_a_test_that_had_ended_before_is_not_shown_again(run: Run) -> None:
    run.journal(started())
    run.log(b"one\n")
    watcher = live.Watcher(run.folder, redraw=False)
    run.journal(entry("begin", "stop"), ok(step="stop"))
    assert [line for line in run.shown(watcher, ended=True) if "one" in line] == []


def test_cases_at_once_keep_their_lines_apart(run: Run) -> None:
    watcher = live.Watcher(run.folder, redraw=False)
    run.journal(started(), started(case="a_1"), started(case="a_1", attempt=2))
    run.log(b"1\n")
    run.log(b"2\n", "s/a_1")
    run.log(b"3\n", "s/a_1/attempt_2")
    run.journal(ok(case="a_1"))
    lines = run.shown(watcher)
    titles = [next(t for t in lines[: lines.index(line)][::-1] if t.startswith("==")) for line in ("| 1", "| 2", "| 3")]
    assert titles == ["== s", "== s / a_1", "== s / a_1 / attempt 2"]
    assert lines.index("| 2") + 1 == lines.index("ok, 1.0 s")
    assert sorted(line for line in lines if line.startswith("|")) == ["| 1", "| 2", "| 3"]


def test_a_terminal_shows_the_lines_of_the_script_too(screen: io.StringIO, run: Run) -> None:
    with live.Watcher(run.folder, redraw=True):
        run.log(b"[bold]one[/bold]\n" + b"x" * 5000 + b"\ntwo")
        run.journal(started(), ok())
    shown = [line.strip() for line in screen.getvalue().splitlines()]
    lines = [line.partition("| ")[2] for line in shown if " test      | " in line]
    assert lines[0] == "[bold]one[/bold]" and lines[1].startswith("xxx") and lines[2:] == ["two"]
    assert shown.index("n1           test      | two") < shown.index("n1           test      ok, 1.0 s")


@pytest.mark.parametrize(
    "odd", [{"log": 3}, {"log": ["x"], "scenario": None}, {"log": "\0"}, {"log": "..", "attempt": "x"}]
)
def test_odd_entries_do_not_end_the_view(run: Run, odd: dict[str, Any]) -> None:
    watcher = live.Watcher(run.folder, redraw=False)
    run.journal(odd, entry("event", message="still here"))
    assert run.shown(watcher, ended=True)[-1] == "still here"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("  n1           test     | one\n  n1           test     | two", ""),
        ("TASK [x]\n  n1           test     | one\nok", "TASK [x]\nok\n"),
        ("  n1           test     run_test.sh started", "  n1           test     run_test.sh started\n"),
        ("", ""),
    ],
)
def test_what_ansible_says_is_shown_without_the_lines_of_the_script(
    capfd: pytest.CaptureFixture[str], said: str, shown: str
) -> None:
    execution.say_all({"stdout": said})
    assert capfd.readouterr().err == shown


@pytest.mark.parametrize(
    ("term", "tty", "is_one"),
    [("xterm", True, True), ("dumb", True, False), ("", True, False), ("xterm", False, False)],
)
def test_only_a_terminal_that_can_move_its_cursor_is_redrawn(
    monkeypatch: pytest.MonkeyPatch, term: str, tty: bool, is_one: bool
) -> None:
    """B71"""
    monkeypatch.setenv("TERM", term)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: tty)
    assert output.is_terminal(stream) is is_one


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(output, "is_terminal", lambda _: True)
    output.emit([], lambda: [output.Table(("a",), [("pass",)]), output.Line("b", "red")], form="table")
    shown = capfd.readouterr().out
    assert "pass" in shown and "\x1b[3" not in shown and "\x1b[9" not in shown
