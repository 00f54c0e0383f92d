# SPDX-License-Identifier: MIT

"""The view of a run while it runs: redrawn on a terminal, line by line elsewhere. It shows and never judges."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from testcell.cli import output
from testcell.progress import Progress, Tail

if TYPE_CHECKING:
    from rich.console import Group

INTERVAL_S = 0.2
MAX_LINES_A_TURN = 200
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
    """Follows the journal of a run in a thread of its own and shows it until it is closed."""

    def __init__(self, run_dir: Path, *, redraw: bool) -> None:
        self.progress = Progress(run_dir.name)
        self._tail = Tail(run_dir / "journal.jsonl")
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._screen: Screen = Redrawn() if redraw else Lines()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in an event of ansible-runner: what the test script writes is shown as it comes."""
        for line in str(event.get("stdout") or "").splitlines():
            self._said.put(line)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        try:
            while not self._stop.wait(INTERVAL_S):
                self._turn()
            self._turn()
            self._screen.close()
        except OSError:  # the terminal has gone; the run goes on without a view
            return

    def _turn(self) -> None:
        lines = [line for entry in self._tail.entries() for line in self.progress.apply(entry)]
        for _ in range(MAX_LINES_A_TURN):
            try:
                line = self.progress.script_line(self._said.get_nowait())
            except queue.Empty:
                break
            if line:
                lines.append(line)
        self._screen.update(self.progress, lines)


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
