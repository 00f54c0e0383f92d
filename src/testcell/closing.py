# SPDX-License-Identifier: MIT

"""The summary of a run that could not write its own: what is known of its cases, and that it was cut short."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import (
    case_files,
    cleaning,
    run_files,
    verification,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal, plan, reserve
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import point_latest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.plan import CasePlan, RunPlan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import judging, proving, record
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board, run_board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure

from testcell.exits import Exit, of_signal


def began(run_dir: Path) -> bool:
    """Decide whether a run got as far as a plan, so that its nodes may hold something of it."""
    return (run_dir / plan.NAME).is_file()


def nodes_of(run_dir: Path) -> list[str]:
    """Return the nodes that a run uses by its plan, in order; empty without a plan that can be read."""
    try:
        cases = plan.load(run_dir).cases
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return list(dict.fromkeys(node for case in cases for node in case.nodes))


def close(
    run_dir: Path, number: int, *, clean: bool, now: float, cause: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the files of a run that was cut short and return its summary.

    number: the signal, 0 when it just died; cause: the failure that it told last, where it told one.
    """
    reserve.give_up(run_dir)
    decided = plan.load(run_dir)
    why = dict(cause) if cause and not number else _failure(number, now)
    records = _records(decided, why, now)
    code = of_signal(number) if number else (Exit.INFRASTRUCTURE if clean else Exit.NOT_CLEAN)
    run = {
        "run_id": decided.run_id,
        "verdict": "cancelled" if number else "error",
        "exit_code": int(code),
        "control": {"ok": False},
        "cases": records,
        "nodes": sorted({node for record in records for node in record["nodes"]}),
        "seconds": max(0.0, round(now - decided.started_at, 3)),
        "started_at": decided.started_at,
        "ended_at": now,
        "failure": why,
        "reasons": [] if clean else [f"the nodes are not proved clean; run: testcell cleanup {decided.run_id}"],
        "cleaning": cleaning.of_run(records),
        "verify": verification.of_run(records),
    }
    plan.forget_values(run_dir)
    ended = {"step": "report", "phase": "end", "verdict": run["verdict"], "exit_code": int(code), "ok": True}

    def seal(content: bytes) -> None:
        journal.append(run_dir, {"t": now, **ended})
        proving.seal(decided, run_board(decided.boards), now, content)

    summary = run_files.write(run_dir, run, seal)
    point_latest(run_dir.parent, run_dir.name)
    shutil.rmtree(run_dir / ".board", ignore_errors=True)
    return summary


def _failure(number: int, now: float) -> dict[str, Any]:
    if number:
        text = f"the run was stopped by {signal.Signals(number).name}"
        return failure.of("cancelled", text, at=now).as_dict()
    return failure.of("controller_died", "Ansible ended before the run did", at=now).as_dict()


def _records(decided: RunPlan, why: dict[str, Any], now: float) -> list[dict[str, Any]]:
    """Return the record of each attempt that ended, of the one that was cut short, and of each case that was not begun."""
    ended = run_board(decided.boards).notes("case-record.")
    found = []
    for case in decided.cases:
        if str(case.index) in ended:
            found.append(ended[str(case.index)])
        elif case_board(decided.boards, case.index).read("opened"):
            found.append(_cut_short(decided, case, why, now))
        elif case.ref.attempt == 1:
            found.append(judging.skipped(decided, case, f"it was not begun: {why['message']}", now))
    return found


def _cut_short(decided: RunPlan, case: CasePlan, why: dict[str, Any], now: float) -> dict[str, Any]:
    """Write the files of the attempt from what came home of it, and return its record."""
    board, folder = case_board(decided.boards, case.index), case.ref.folder(decided.run_dir)
    proving.prove(decided, case, board, run_board(decided.boards), now)
    found = {
        **record.build(decided, case, board, now),
        "verdict": "cancelled" if why["error_kind"] == "cancelled" else "error",
        "control": {"ok": False},
        "result": {"ok": False},
        "failure": why,
        "reasons": [why["message"], *(f"before that: {one['message']}" for one in record.failures(board))],
        "checks": [],
        "benchmark": None,
    }
    case_files.write(folder, found)
    return found
