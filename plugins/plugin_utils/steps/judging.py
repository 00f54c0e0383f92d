# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report step: the verdict of an attempt and its files, and the run's verdict and summary over all of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..deploy.board import Board
from ..node import line as node_line
from ..report import case_files, cleaning, run_files, verification
from ..run import journal, reserve
from ..run import plan as run_plan
from ..run.folder import point_latest
from ..run.plan import CasePlan, RunPlan
from ..scenario.model import ValiditySpec
from ..verdict import clients, failure, verdicts
from ..verdict.normal import Judgement, Measured
from ..verdict.verdicts import CaseVerdict
from . import care, proving, record
from .cell import LOST
from .unit import BEGUN

if TYPE_CHECKING:
    from . import soak_judging

ARTIFACTS = "test_artifacts"


def report_case(plan: RunPlan, case: CasePlan, board: Board, shared: Board, now: float) -> dict[str, Any]:
    """Judge the attempt, write its files, note the result for later cases, and return its record."""
    skip = board.read("skip")
    if skip:
        document = skipped(plan, case, skip["reason"], now)
        if skip.get("error_kind"):
            document = _prevented(document, failure.of(skip["error_kind"], skip["reason"], step="open", at=now))
    else:
        proving.prove(plan, case, board, shared, now)
        decided = _verdict(plan, case, board, now)
        document = {**record.build(plan, case, board, now, decided["reasons"]), **decided}
        case_files.write(case.ref.folder(plan.run_dir), document)
        shared.post("case-ended", {"t": now})
    dirty = [] if skip else record.dirty_nodes(case.nodes, board)
    note = {key: document[key] for key in ("verdict", "failure", "seconds")}
    shared.post(f"case-record.{case.index}", document)
    shared.post(f"case-result.{case.index}", {**note, "dirty_nodes": dirty})
    return document


def report_run(plan: RunPlan, shared: Board, now: float) -> dict[str, Any]:
    """Write the run's files, let results/latest name it, drop the board, and return the summary."""
    notes = shared.notes("case-record.")
    records = [notes.get(str(case.index)) or _never_run(plan, case, now) for case in plan.cases]
    results = shared.notes("case-result.")
    dirty = sorted({node for note in results.values() for node in note["dirty_nodes"]})
    settled = _settled(records)
    held = any((r["failure"] or {}).get("error_kind") == "lock_held" for r in records)
    gates_alone = all(r["result"].get("gate") is False for r in records if r["verdict"] == "fail")
    code = verdicts.exit_code(settled, nodes_clean=not dirty, lease_held=held, gates_alone=gates_alone)
    nodes = sorted({node for r in records for node in r["nodes"]})
    run = {
        "run_id": plan.run_id,
        "verdict": verdicts.of_run(settled),
        "exit_code": code,
        "control": {"ok": bool(records) and all(r["control"]["ok"] for r in records if r["verdict"] != "skipped")},
        "cases": records,
        "nodes": nodes,
        "seconds": max(0.0, round(now - plan.started_at, 3)),
        "started_at": plan.started_at,
        "ended_at": now,
        "reasons": [f"not clean: {', '.join(dirty)}; run: testcell cleanup {plan.run_id}"] if dirty else [],
        "warnings": list(plan.warnings),
        "cleaning": cleaning.of_run(records),
        "verify": verification.of_run(records),
    }
    run_plan.forget_values(plan.run_dir)
    reserve.give_up(plan.run_dir)
    ended = {"t": now, "step": "report", "phase": "end", "verdict": run["verdict"], "exit_code": code, "ok": True}

    def seal(content: bytes) -> None:
        journal.append(plan.run_dir, ended)
        proving.seal(plan, shared, now, content, growing=(proving.EVENTS,))

    with node_line.ending_all(shared):
        summary = run_files.write(plan.run_dir, run, seal)
        point_latest(Path(plan.results_dir), plan.run_id)
    shutil.rmtree(plan.run_dir / ".board")
    return summary


def line(summary: dict[str, Any], run_dir: Path) -> str:
    """Return the verdict of a run in one line, with the way to the report."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in summary["counts"].items())
    return (
        f"{summary['verdict'].upper()} ({counts}) after {summary['seconds']:.1f} s; report: {run_dir / 'report.html'}"
    )


def _verdict(plan: RunPlan, case: CasePlan, board: Board, now: float) -> dict[str, Any]:
    ended = board.read("test") or {}
    found = _causes([failure.from_dict(entry) for entry in record.failures(board)], lost=bool(board.notes(LOST)))
    folder = case.ref.folder(plan.run_dir)
    measured = None
    if ended.get("state") == "exited":
        measured = clients.get(case.test.client).read(folder / ARTIFACTS, case.test.result_paths)
    soaked = _soaked(case, folder, board) if case.soak else None
    judgement = soaked.normal if soaked else _judged(plan, case, board, measured)
    control_ok = not any(verdicts.is_of_the_cell(entry) for entry in found)
    decided = verdicts.combine(
        control_ok=control_ok, script_exit=ended.get("exit_code"), judgement=judgement, failures=found, at=now
    )
    told: list[str] = []
    if soaked:
        decided = soaked.labelled(decided, (board.read(BEGUN) or {"t": now})["t"])
    if decided.failure:
        decided = _explained(decided, plan, case, board, told)
    helped = _helped(board)
    if helped and decided.verdict == "pass":
        decided = replace(decided, verdict="flaky", result_ok=False)
    notes = judgement.notes if judgement else ()
    decided = replace(decided, reasons=(*decided.reasons, *notes, *helped, *told))
    return {
        "verdict": decided.verdict,
        "control": {"ok": decided.control_ok},
        "result": {"ok": decided.result_ok, **_qualities(case, decided, judgement)},
        "failure": decided.failure.as_dict() if decided.failure else None,
        "reasons": list(decided.reasons),
        "checks": [check.as_dict() for check in judgement.checks] if judgement else [],
        "benchmark": measured.benchmark if measured else None,
        **({"soak": soaked.tell(plan.run_id, case, decided)} if soaked else {}),
    }


def _explained(decided: CaseVerdict, plan: RunPlan, case: CasePlan, board: Board, told: list[str]) -> CaseVerdict:
    from . import explaining  # noqa: PLC0415 - to load all that tells causes takes as long as to report a case without one

    return explaining.refine(decided, plan, case, board, told)


def _soaked(case: CasePlan, folder: Path, board: Board) -> soak_judging.Judged | None:
    from . import soak_judging  # noqa: PLC0415 - numpy takes a tenth of a second, and more memory than a run needs without it

    return soak_judging.judge(case, folder, board)


def _judged(plan: RunPlan, case: CasePlan, board: Board, measured: Measured | None) -> Judgement | None:
    """Return whether what was measured counts; None where there was no test, and for a soak, which its gates judge."""
    if case.soak or measured is None:
        return None
    return clients.judge(
        measured,
        ValiditySpec(**case.validity),
        run_id=plan.run_id,
        case=case.ref.case,
        attempt=case.ref.attempt,
        script_exit=(board.read("test") or {})["exit_code"],
        wanted=case.config.get("num_prompts"),
    )


def _qualities(case: CasePlan, decided: CaseVerdict, judgement: Judgement | None) -> dict[str, bool]:
    """Return what else is to be known of a result: it was throttled; gates alone have failed it."""
    if judgement is None:
        return {}
    if not case.soak:
        return {"throttled": True} if judgement.notes else {}
    by_gate = judgement.verdict == "fail" and decided.failure and decided.failure.message == judgement.reasons[0]
    return {"gate": False} if by_gate else {}


def _causes(found: list[failure.Failure], lost: bool) -> list[failure.Failure]:
    """Leave out what only follows from another failure: a node that waits may tell of it before the one that failed.

    lost: another run has taken a node, and has removed the services there, which nodes that were not taken only miss.
    """
    if lost:
        found = [entry for entry in found if entry.error_kind == "controller_died"] or found
    return [entry for entry in found if entry.error_kind != "dependency_failed"] or found


def _helped(board: Board) -> list[str]:
    """Return what the cell did for the engine while the test ran: a pass that needed it is no clean one."""
    return [
        f"service {note['service']} on {note['node']} {note['last']} while the test ran and was started again, {note['restarts']} time(s)"
        for note in board.notes(care.RECOVERED).values()
    ]


def _never_run(plan: RunPlan, case: CasePlan, now: float) -> dict[str, Any]:
    """Return the record of a case that Ansible never came to, such as one without any of its hosts: no run is green by it."""
    why = failure.of("internal_error", f"{case.ref.title} was never run; were its nodes in the inventory?", at=now)
    return _prevented(skipped(plan, case, why.message, now), why)


def _prevented(record: dict[str, Any], why: failure.Failure) -> dict[str, Any]:
    """Return the record of a case that was left out by a fault of the cell: no run is green by it."""
    return {**record, "verdict": "error", "failure": why.as_dict(), "control": {"ok": False}}


def skipped(plan: RunPlan, case: CasePlan, reason: str, now: float) -> dict[str, Any]:
    """Return the record of a case that was not run."""
    return {
        "run_id": plan.run_id,
        "scenario": case.ref.scenario,
        "case": case.ref.case,
        "labels": case.labels,
        "attempt": case.ref.attempt,
        "verdict": "skipped",
        "control": {"ok": True},
        "result": {"ok": False},
        "failure": None,
        "reasons": [reason],
        "nodes": list(case.nodes),
        "seconds": 0.0,
        "started_at": now,
    }


def _settled(records: list[dict[str, Any]]) -> list[str]:
    """Return the verdict of each case, its attempts taken together; a repeat that was not needed does not count."""
    attempts: dict[tuple[str, str], list[str]] = {}
    for entry in records:
        seen = attempts.setdefault((entry["scenario"], entry["case"]), [])
        if entry["verdict"] != "skipped" or entry["attempt"] == 1:
            seen.append(entry["verdict"])
    return [verdicts.settle(seen) for seen in attempts.values()]
