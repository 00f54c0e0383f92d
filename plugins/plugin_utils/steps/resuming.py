# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that goes on after its controller has died: what it has finished stays, the case it was in goes on if it can."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from ..deploy.placement import LOCAL
from ..problems import InputError, Problem
from ..run import inputs, journal
from ..run import plan as run_plan
from ..run.folder import RUN_ID
from ..run.plan import CasePlan, RunPlan
from . import adopting, proving, salvage
from .cell import case_board, run_board

SUMMARY = "summary.json"
KEY = "testcell_resume"
# Notes of the run that do not end with its controller.
KEPT = ("case-record.", "case-result.", "case-ended", proving.SUMS)


def reopen(run_dir: Path, owner: str, now: float, known: Collection[str], wait_s: int = 0) -> RunPlan:
    """Make a dead run ready to go on under a new owner and return its plan; InputError when it cannot go on.

    known: the nodes of the inventory. wait_s: for how long its cases wait for nodes now, whatever the run did before.

    The case that was open may go on where its test had begun, if its nodes agree (see adopting). Any other is begun
    again as if it never was.
    """
    if wait_s not in inputs.WAIT_S:
        raise InputError([inputs.wrong("wait_s", "is out of range", wait_s, inputs.wait_allowed())])
    why = refusal(run_dir) or held(run_dir)
    if why:
        raise InputError([Problem(str(run_dir), key=KEY, message=why)])
    before = run_plan.load(run_dir)
    absent = missing(before, known)
    if absent:
        message = f"the inventory does not have {', '.join(absent)}; give the one that the run had"
        raise InputError([Problem(str(run_dir), key=KEY, message=message)])
    plan = replace(before, owner=owner, generation=before.generation + 1, wait_s=wait_s)
    interrupted = salvage.open_case(run_dir)
    if interrupted is not None:
        _carry_over(before, plan, before.cases[interrupted])
    for prefix in KEPT:
        for name, note in run_board(before.boards).notes(prefix).items():
            run_board(plan.boards).post(f"{prefix}{name}", note)
    run_plan.save(plan)
    left = [case.index for case in unfinished(plan)]
    journal.append(run_dir, {"t": now, "step": "resume", "phase": "begin", "owner": owner, "cases": left})
    return plan


def missing(plan: RunPlan, known: Collection[str]) -> list[str]:
    """Return the nodes that are still needed and are not among the known ones."""
    needed = dict.fromkeys(node for case in unfinished(plan) for node in case.nodes)
    return [node for node in needed if node not in known and node != LOCAL]


def refusal(run_dir: Path) -> str:
    """Return why there is nothing to go on with, "" when there is."""
    if not RUN_ID.fullmatch(run_dir.name):
        return f"{run_dir.name!r} is no run id; they look like 20260102_030405"
    if not (run_dir / run_plan.NAME).is_file():
        return "there is no plan of a run here; `testcell results` lists the runs"
    if (run_dir / SUMMARY).is_file():
        return "the run has ended, and has its summary; run its scenarios anew"
    try:
        left, lost = list(unfinished(run_plan.load(run_dir))), run_plan.lost_values(run_dir)
    except (ValueError, KeyError, TypeError) as exc:
        return f"{run_plan.NAME} cannot be read ({exc}); `testcell cleanup {run_dir.name}` ends the run"
    if left and lost:
        return f"{', '.join(lost)} of the caller's environment is not kept any more; run its scenarios anew"
    return ""


def held(run_dir: Path) -> str:
    """Return who still controls a run, as far as it is known, "" when its controller is proved dead."""
    who = salvage.controller(run_dir)
    return f"the run is not proved dead: {who} controls it" if who else ""


def unfinished(plan: RunPlan) -> Iterable[CasePlan]:
    """Return the cases without a verdict, in order."""
    ended = run_board(plan.boards).notes("case-record.")
    return [case for case in plan.cases if str(case.index) not in ended]


def is_resumable(plan: RunPlan, case: CasePlan) -> bool:
    """Return whether the nodes of a case are to be asked whether it can go on."""
    return case_board(plan.boards, case.index).read(adopting.RESUMABLE) is not None


def _carry_over(before: RunPlan, plan: RunPlan, case: CasePlan) -> None:
    """Keep what is known of the open case where it may go on, else put it aside."""
    board = case_board(before.boards, case.index)
    last = max((entry["t"] for entry in journal.read(plan.run_dir)), default=plan.started_at)
    standing = adopting.resumable(case, board, run_board(before.boards), last)
    if standing is None:
        put_aside(plan, case)
    else:
        adopting.carry_over(standing, board, case_board(plan.boards, case.index))


def put_aside(plan: RunPlan, case: CasePlan) -> None:
    """Put aside what came home of a case that is begun again, as `NAME.interrupted_N`."""
    folder = case.ref.folder(plan.run_dir)
    if folder.exists():
        taken = sum(1 for _ in folder.parent.glob(f"{folder.name}.interrupted_*"))
        os.replace(folder, folder.with_name(f"{folder.name}.interrupted_{taken + 1}"))
