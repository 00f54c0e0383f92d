# SPDX-License-Identifier: MIT

"""The view of a run while it runs: redrawn on a terminal, line by line elsewhere. It shows and never judges."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.summary import case_folder
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import text

from testcell.cli import output
from testcell.progress import Progress, Tail
from testcell.script_log import ScriptLog

if TYPE_CHECKING:
    from rich.console import Group

INTERVAL_S = 0.2
# How long a screen that takes its time is waited for at the end.
CLOSE_S = 30
LINES_AT_ONCE = 1000
WORK = ("scenario", "case", "attempt", "node", "step")
Work = tuple[str, ...]
STYLES = {"ready": "green", "started": "cyan", "failed": "red"}


class Screen(Protocol):
    """Where progress goes."""

    def update(self, progress: Progress, lines: list[str]) -> None:
        """Show the new lines and the new state."""

    def close(self) -> None:
        """Leave the screen as a person finds it useful."""


class Lines:
    """Prints each line as it comes, on standard error."""

    def update(self, _progress: Progress, lines: list[str]) -> None:
        """Print the lines."""
        if lines:
            output.write(sys.stderr, "".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Do nothing: every line is complete."""


class Redrawn:
    """Redraws a table of nodes at the foot of a terminal and lets the lines scroll above it."""

    def __init__(self) -> None:
        from rich.live import Live  # noqa: PLC0415 - only a terminal needs it

        self._began = time.monotonic()
        self._console = output.console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def update(self, progress: Progress, lines: list[str]) -> None:
        """Print the lines above the table and draw the table anew."""
        if lines:
            self._console.print("\n".join(lines), overflow="ellipsis", no_wrap=True)
        self._live.update(_drawing(progress, time.monotonic() - self._began), refresh=True)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()


class Watcher:
    """Follows the journal of a run in a thread of its own, and the log of the test that runs; shows both until it is closed.

    The log is on the disk before the journal says that the test has ended, and is read to its end before that is shown.
    """

    def __init__(self, run_dir: Path, *, redraw: bool) -> None:
        self.progress = Progress(run_dir.name)
        self._run_dir = run_dir
        self._tail = Tail(run_dir / "journal.jsonl")
        self._logs: dict[Work, tuple[Mapping[str, Any], ScriptLog]] = {}
        # A run that goes on has a journal. What its tests wrote was shown by the controller before; a test that goes on is
        # named once more.
        self._past = [line for entry in self._tail.entries() for line in self.progress.apply(entry)]
        self._screen: Screen = Redrawn() if redraw else Lines()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=CLOSE_S)

    def _follow(self) -> None:
        try:
            self._screen.update(self.progress, self._past)
            while not self._stop.wait(INTERVAL_S):
                self._turn(ended=False)
            self._turn(ended=True)
            self._screen.close()
        except OSError:  # the terminal has gone; the run goes on without a view
            return

    def _turn(self, *, ended: bool) -> None:
        waiting: list[str] = []
        for lines in self._news(ended):
            waiting += lines
            if len(waiting) >= LINES_AT_ONCE:
                self._screen.update(self.progress, waiting)
                waiting = []
        self._screen.update(self.progress, waiting)

    def _news(self, ended: bool) -> Iterator[list[str]]:
        """Yield the lines for what has come since the last turn, some at a time; ended: nothing more will come."""
        for entry in self._tail.entries():
            work = _work(entry)
            if entry.get("phase") == "end" and work in self._logs:
                yield from self._said(*self._logs.pop(work), ended=True)
            yield self.progress.apply(entry)
            if entry.get("log"):
                path = self._run_dir / case_folder(entry) / text(entry["log"])
                self._logs.setdefault(work, (entry, ScriptLog(path)))
        for known in self._logs.values():
            yield from self._said(*known, ended=ended)

    def _said(self, entry: Mapping[str, Any], log: ScriptLog, *, ended: bool) -> Iterator[list[str]]:
        for lines in log.pieces(ended=ended):
            yield self.progress.script_lines(entry, lines)


def _work(entry: Mapping[str, Any]) -> Work:
    """Return whose step an entry is of: scenario, case, attempt, node and step."""
    return tuple(text(entry.get(name)) for name in WORK)


def _drawing(progress: Progress, seconds: float) -> Group:
    from rich.console import Group  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    title = Text(f"run {progress.run_id}  {progress.attempt or 'opening'}  {int(seconds)} s", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    now = time.time()
    for name, node in progress.nodes.items():
        services = Text("  ").join(
            Text(f"{s} {state}", style=STYLES.get(state, "")) for s, state in node.services.items()
        )
        step = Text(f"{node.step} {max(0, int(now - node.since))} s", style="red" if node.failed else "cyan")
        table.add_row(Text(name), step, services, Text(node.message, style="dim", overflow="ellipsis", no_wrap=True))
    return Group(title, table)
