# SPDX-License-Identifier: MIT

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from testcell import live
from testcell.cli import output
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
