# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step is given: the plan, its case, its node, the board, and ways to speak and to write the journal."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..deploy.board import Board
from ..node.client import NodeClient
from ..run import journal
from ..run.plan import CasePlan, RunPlan


class StepFailure(Exception):
    """A step that could not reach its aim. kind: an error_kind of the taxonomy; evidence: lines that show it.

    node: whose fault it is where that is not the node of the step, "" otherwise.
    """

    def __init__(
        self, kind: str, message: str, *, service: str = "", evidence: tuple[str, ...] = (), node: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.service = service
        self.evidence = evidence
        self.node = node


# Notes of a case that count how often the connection to a node was made anew: `reconnected.<node>`.
RECONNECTED = "reconnected."
# Notes of a case that another run has a node that this one held: `lost.<node>`.
LOST = "lost."


def run_board(boards: Path) -> Board:
    """Return the board of a run: notes that outlive a case, such as leases."""
    return Board(boards / "run")


def case_board(boards: Path, index: int) -> Board:
    """Return the board of one case."""
    return Board(boards / f"case-{index}")


@dataclass
class Cell:
    """One step of one case on one node.

    say: shows a line to the person watching. clock: seconds since the epoch, which nobody sets. sleep: waits.
    secrets: values that are in no text which is kept.
    """

    step: str
    plan: RunPlan
    case: CasePlan
    node: str
    client: NodeClient
    board: Board
    shared: Board
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    say: Callable[[str], None]
    facts: dict[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    @property
    def case_dir(self) -> Path:
        """Return the case's results folder on the controller."""
        return self.case.ref.folder(self.plan.run_dir)

    @property
    def failed(self) -> dict[str, Any] | None:
        """Return the first failure of the case, or None."""
        return self.board.read("failure")

    def event(self, message: str, **fields: Any) -> None:
        """Write an event of this step into the journal and show it, without the secrets that are known."""
        message = self.without_secrets(message) if self.secrets else message
        self.log("event", message=message, **fields)
        self.say(message)

    def without_secrets(self, text: str) -> str:
        """Return a text that may quote logs as it may be kept."""
        # Most steps have nothing to hide, and each runs in a process of its own, to which the patterns would be new.
        scrub = importlib.import_module("...module_utils.cellnode.scrub", __package__)
        return str(scrub.Scrubber(self.secrets).text(text))

    def log(self, phase: str, **fields: Any) -> None:
        """Append an entry of this step to the journal; the begin is on the disk before the step does anything."""
        entry = {
            "t": round(self.clock(), 3),
            "step": self.step,
            "phase": phase,
            "scenario": self.case.ref.scenario,
            "case": self.case.ref.case,
            "attempt": self.case.ref.attempt,
            "node": self.node,
            **fields,
        }
        journal.append(self.plan.run_dir, entry, synced=phase == "begin")
