# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""How nodes are, on one screen: the nodes, the services of runs that go on there, and what is wrong with what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from testcell.cli import output
from testcell.cli.output import Line, Part, Table

if TYPE_CHECKING:
    from rich.live import Live

Document = Mapping[str, Any]
STYLES = {"error": "red", "warning": "yellow"}


def page(document: Document) -> list[Part]:
    """Return the tables and lines of one round."""
    return [_nodes(document), *_services(document["nodes"]), *_problems(document["nodes"])]


def heading(document: Document, interval_s: int) -> str:
    """Return the line above a round of a watch."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import clock

    count = sum(node["ok"] for node in document["nodes"])
    state = f"{count} of {len(document['nodes'])} nodes ok"
    return f"round {document['round']}, {clock(document['at_unix'])}, every {interval_s} s: {state}"


def _nodes(document: Document) -> Table:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import words

    columns = {
        "node": lambda node: str(node["name"]),
        "state": lambda node: str(node["state"]),
        "engine": words.engine,
        "compose": words.compose,
        "free disk": words.free_disk,
        "clock": words.clock,
        "GPUs": words.gpus,
        **({"ports": words.ports} if document["scenarios"] else {}),
        "leftovers": words.leftovers,
        "lease": words.lease,
    }
    rows = [[cell(node) for cell in columns.values()] for node in document["nodes"]]
    return Table(tuple(columns), rows, note="" if rows else "no nodes")


def _services(nodes: Sequence[Mapping[str, Any]]) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import words
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration, shown

    rows = [
        (
            str(node["name"]),
            one_line(entry["run"]),
            one_line("/".join(part for part in (entry["scenario"], entry["case"]) if part)),
            one_line(entry["service"]),
            one_line(entry["state"]),
            words.health(entry),
            duration(entry["age_s"]),
            shown(entry["restarts"]),
        )
        for node in nodes
        for entry in node["services"]
    ]
    columns = ("node", "run", "scenario", "service", "state", "health", "age", "restarts")
    return ["", Table(columns, rows, right=frozenset(("age", "restarts")))] if rows else []


def _problems(nodes: Sequence[Mapping[str, Any]]) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import words

    lines = [Line(text, STYLES.get(level, "")) for level, text in words.problems(nodes)]
    return ["", *lines] if lines else []


class Screen(Protocol):
    """Where the rounds of a watch go."""

    def show(self, document: Document) -> None:
        """Show a round; OSError where nobody reads any more."""

    def close(self) -> None:
        """Leave the terminal as it was, with the last round on it."""


class Written:
    """Rounds one after another: JSON one line each, YAML one document each, or blocks for people."""

    def __init__(self, form: str, interval_s: int) -> None:
        self._form = form
        self._interval_s = interval_s

    def show(self, document: Document) -> None:
        """Write the round."""
        sys.stdout.write(self._text(document))
        sys.stdout.flush()

    def close(self) -> None:
        """Do nothing: every round is complete."""

    def _text(self, document: Document) -> str:
        if self._form == "json":
            return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
        if self._form == "yaml":
            return "---\n" + output.as_text(document, list, "yaml")
        return output.as_text(document, lambda: [heading(document, self._interval_s), *page(document), ""], "table")


class Redrawn:
    """One round on a terminal, redrawn in its place."""

    def __init__(self, interval_s: int) -> None:
        self._interval_s = interval_s
        self._live: Live | None = None

    def show(self, document: Document) -> None:
        """Draw the round over the one before."""
        drawing = output.drawn([Line(heading(document, self._interval_s), "bold"), *page(document)])
        if self._live is None:
            from rich.live import Live

            self._live = Live(console=output.console(), auto_refresh=False)
            self._live.start()
        self._live.update(drawing, refresh=True)

    def close(self) -> None:
        """Give the cursor back."""
        if self._live is not None:
            self._live.stop()


def screen(form: str, interval_s: int) -> Screen:
    """Return where the rounds of a watch go: a terminal is redrawn, unless a form for programs is wanted."""
    if form == "table" and output.is_terminal(sys.stdout):
        return Redrawn(interval_s)
    return Written(form, interval_s)
