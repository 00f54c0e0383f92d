# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a case of the plan is run at all: after what came before it, and with what its nodes look like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..deploy.board import Board
from ..run import ansible_log, reserve
from ..run.plan import CasePlan, RunPlan
from .aside import lost_to, without_failed_nodes

GOOD = frozenset({"pass", "flaky"})
# A repeat can tell something new about these owners' failures; a wrong file or a missing image stays what it is.
WORTH_A_REPEAT = frozenset({"engine", "test"})


def opened(plan: RunPlan, case: CasePlan, shared: Board) -> tuple[CasePlan, str, str]:
    """Return the case as it is run, why it is not run ("" when it is), and what is to be told of it."""
    moved = without_failed_nodes(plan, case, _results(shared))
    reason = moved.why_not or reason_to_skip(plan, moved.case, shared)
    told = f"{', '.join(moved.nodes)} set aside after a failure; it runs on {', '.join(moved.case.nodes)}"
    return moved.case, reason, told if moved.nodes and not reason else ""


def no_room(plan: RunPlan, logs: Iterable[Path] = ()) -> str:
    """Return why no case can be begun on the disks of the results and of Ansible's logs, "" while they have room for one."""
    if not reserve.has_room(plan.run_dir):
        return reserve.shortage(plan.run_dir, reserve.BYTES)
    return ansible_log.no_room(logs)


def _results(shared: Board) -> dict[int, dict[str, Any]]:
    return {int(index): note for index, note in shared.notes("case-result.").items()}


def reason_to_skip(plan: RunPlan, case: CasePlan, shared: Board) -> str:
    """Return why the case is not run, "" when it is. Results of earlier cases are notes `case-result.<index>`."""
    results = _results(shared)
    dirty = sorted({node for note in results.values() for node in note["dirty_nodes"]} & set(case.nodes))
    if dirty:
        return f"{', '.join(dirty)} was left dirty by an earlier case"
    if case.ref.attempt > 1:
        return _reason_against_repeat(case, _previous_attempt(plan, case, results))
    failed = first_unrepaired(plan, case.index, results)
    if failed and not plan.continue_on_failure:
        return f"{failed} did not pass, and continue_on_failure is false"
    return ""


def _previous_attempt(plan: RunPlan, case: CasePlan, results: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    wanted = (case.ref.scenario, case.ref.case, case.ref.attempt - 1)
    index = next(c.index for c in plan.cases if (c.ref.scenario, c.ref.case, c.ref.attempt) == wanted)
    return results[index]


def _reason_against_repeat(case: CasePlan, before: Mapping[str, Any]) -> str:
    if before["verdict"] in GOOD:
        return "the attempt before passed"
    if before["verdict"] in ("skipped", "cancelled"):
        return f"the attempt before was {before['verdict']}"
    if case.spares and lost_to(before):
        return ""
    if case.ref.attempt > case.spares.get("attempts", case.ref.attempt):
        return "the attempt before was not lost to a node"
    failure = before.get("failure")
    if failure and not failure["retriable"] and failure["owner"] not in WORTH_A_REPEAT:
        return f"a repeat cannot help against {failure['error_kind']}"
    return ""


def first_unrepaired(plan: RunPlan, before: int, results: Mapping[int, dict[str, Any]]) -> str:
    """Return the title of the first case before position `before` whose last attempt so far did not pass, "" if none."""
    last: dict[tuple[str, str], tuple[str, str]] = {}
    for case in plan.cases[:before]:
        note = results.get(case.index)
        if note and note["verdict"] != "skipped":
            last[(case.ref.scenario, case.ref.case)] = (case.ref.title, note["verdict"])
    return next((title for title, verdict in last.values() if verdict not in GOOD), "")
