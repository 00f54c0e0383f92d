# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report of a case that has failed asks for its cause: the rules, and what was seen on the nodes afterwards."""

from __future__ import annotations

from pathlib import Path

from ..classify import rules as rules_of
from ..classify.facts import Fact
from ..classify.rules import Rules
from ..deploy.board import Board
from ..problems import InputError
from ..run.plan import CasePlan, RunPlan
from ..verdict.verdicts import CaseVerdict
from . import causes


def refine(decided: CaseVerdict, plan: RunPlan, case: CasePlan, board: Board, told: list[str]) -> CaseVerdict:
    """Return the verdict of an attempt with its cause, where that is clear (see causes.refine); told gets what is to be said of it."""
    folder = case.ref.folder(plan.run_dir)
    return causes.refine(decided, case, folder, rules=lambda: _rules(plan, told), probes=_probes(board))


def _probes(board: Board) -> dict[str, tuple[Fact, ...]]:
    """Return node -> what a look at it after the failure says."""
    before = board.notes("facts.")
    return {
        node: causes.of_gpus(before.get(node, {}), note.get("gpus")) for node, note in board.notes("collected.").items()
    }


def _rules(plan: RunPlan, told: list[str]) -> Rules:
    """Return the rules for failures: the project's and ours; told gets a sentence where the project's cannot be read any more."""
    try:
        return rules_of.load([Path(plan.classify_rules)] if plan.classify_rules else [])
    except InputError as exc:
        told.append(f"{plan.classify_rules} was changed since the run began and cannot be used: {exc}")
        return rules_of.own()
