# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of one attempt: all that the board, the journal and the collected files say about it, as one document."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..artifacts import manifest
from ..deploy.board import Board
from ..report import cleaning, differences, transfers
from ..run import atomic, journal
from ..run.folder import CaseRef
from ..run.plan import CasePlan, RunPlan, ServicePlan
from . import moments
from .cell import LOST, RECONNECTED


def build(plan: RunPlan, case: CasePlan, board: Board, now: float, reasons: Collection[str] = ()) -> dict[str, Any]:
    """Return the record without its verdict; write_manifest has been called before. reasons: what the verdict has told."""
    began = (board.read("opened") or {"t": now})["t"]
    entries = _journal(plan, case)
    found = services(case, board, began, moments.recoveries(entries, began))
    return {
        "run_id": plan.run_id,
        "scenario": case.ref.scenario,
        "case": case.ref.case,
        "labels": case.labels,
        "attempt": case.ref.attempt,
        "started_at": began,
        "seconds": max(0.0, round(now - began, 3)),  # the clock may have been set back meanwhile
        "steps": steps(entries, began),
        "nodes": list(case.nodes),
        "services": found,
        "deployment": moments.deployment(case, found),
        "artifacts": artifacts(case.ref.folder(plan.run_dir), board),
        "cleaning": cleaning.of_case(board.notes("cleaned.")),
        "verify": verification(case, board),
        "warnings": [*warnings(case, board, reasons), *moments.retries(found)],
        "versions": versions(board),
        "environment": environment(plan, case, board),
    }


def _journal(plan: RunPlan, case: CasePlan) -> list[dict[str, Any]]:
    """Return the entries of the case in the run's journal."""
    mine = (case.ref.scenario, case.ref.case, case.ref.attempt)
    entries = journal.read(plan.run_dir)
    return [entry for entry in entries if (entry.get("scenario"), entry.get("case"), entry.get("attempt")) == mine]


def steps(entries: Iterable[Mapping[str, Any]], began: float) -> list[dict[str, Any]]:
    """Return the steps of the case with start and length in seconds, in the order in which they ended."""
    found, starts = [], {}
    for entry in entries:
        key = (entry["step"], entry.get("node"))
        if entry["phase"] == "begin":
            starts[key] = entry["t"]
        elif entry["phase"] == "end":
            detail = entry.get("detail") if entry["ok"] else {"failure": entry["failure"]["message"]}
            start = round(starts.get(key, entry["t"]) - began, 3)
            found.append(
                {
                    "step": key[0],
                    "node": key[1],
                    "ok": entry["ok"],
                    "seconds": entry["seconds"],
                    "started_s": start,
                    "detail": detail,
                }
            )
    return found


def services(
    case: CasePlan, board: Board, began: float, recovered: Mapping[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the services with image, moments and last state, in file order; recovered: see moments.recoveries."""
    images = {c["service"]: c for note in board.notes("containers.").values() for c in note["containers"]}
    ends = {c["service"]: c for note in board.notes("collected.").values() for c in note["containers"]}
    found = []
    for service in case.services:
        note = board.read(f"service.{service.name}") or {}
        end, image = ends.get(service.name, {}), images.get(service.name, {})
        found.append(
            {
                "name": service.name,
                "node": service.node,
                "role": service.role,
                "image": image.get("image", service.image),
                "image_id": image.get("image_id", ""),
                **moments.of_service(board, service.name, began),
                "ended_s": moments.since(_ended(end, board, service), began),
                "recovered": recovered.get(service.name, []),
                "estimate_s": service.estimate_s,
                "serves": service.serves,
                "state": end.get("state", note.get("state", "not started")),
                "exit_code": end.get("exit_code"),
                "oom": end.get("oom", False),
                "restarts": end.get("restart_count", 0),
            }
        )
    return found


def _ended(end: Mapping[str, Any], board: Board, service: ServicePlan) -> float | None:
    """Return when a container ended by itself, on the controller's clock, None when it still ran at the collection."""
    seen = end or board.read(f"died.{service.name}") or {}
    moment = seen.get("finished_unix")
    offset = (board.read(f"facts.{service.node}") or {}).get("clock_offset_s") or 0.0
    return None if moment is None else moment - offset


def write_manifest(run_id: str, ref: CaseRef, case_dir: Path, board: Board) -> dict[str, Any]:
    """Write manifest.json and return it: every file that came home with size and digest, and what could not be had."""
    document = manifest.of_case(run_id, ref, board.notes("collected."))
    atomic.write_json(case_dir / manifest.NAME, document)
    return document


def artifacts(case_dir: Path, board: Board) -> dict[str, Any]:
    """Return how many files and bytes came home, and the digest of the manifest that lists them."""
    files = [entry for note in board.notes("collected.").values() for entry in note["files"]]
    digest = hashlib.sha256((case_dir / manifest.NAME).read_bytes()).hexdigest()
    missing = [
        f"{node}: {m['what']} ({m['why']})" for node, note in board.notes("collected.").items() for m in note["missing"]
    ]
    return {
        "files": len(files),
        "bytes": sum(entry["size"] for entry in files),
        "digest": f"sha256:{digest}",
        "missing": missing,
        "transfers": {
            node: note["transfer"] for node, note in board.notes("collected.").items() if note.get("transfer")
        },
    }


def warnings(case: CasePlan, board: Board, reasons: Collection[str] = ()) -> list[str]:
    """Return what a reader of the result should know, beside the reasons: of the files, the nodes, and Compose."""
    found = [*case.warnings, *(text for facts in board.notes("facts.").values() for text in facts["warnings"])]
    found += [note["message"] for note in board.notes("warning.").values()]
    for node, note in board.notes("containers.").items():
        found += [f"{node}: {warning}" for warning in note.get("warnings", [])]
    for node, note in board.notes("collected.").items():
        if note.get("refused"):
            found.append(f"{node}: {transfers.left_out(note['refused'])}")
    for node, note in board.notes("verified.").items():
        found += [f"{node}: {line}" for line in differences.told(note)]
    found += [
        f"{node}: the connection was lost and made again, {note['count']} time(s)"
        for node, note in board.notes(RECONNECTED).items()
    ]
    found += [
        f"later: {note['message']}"
        for note in board.notes("later-failure.").values()
        if note["error_kind"] != "dependency_failed" and note["message"] not in reasons
    ]
    return found


def verification(case: CasePlan, board: Board) -> dict[str, Any]:
    """Return what verify found on each node; clean is None for one that was touched and never verified."""
    found = board.notes("verified.")
    return {**{node: {"clean": None} for node in dirty_nodes(case.nodes, board)}, **found}


def versions(board: Board) -> dict[str, str]:
    """Return engine and Compose versions by node."""
    found = {}
    for node, facts in board.notes("facts.").items():
        compose = ", ".join(f"{entry['kind']} {entry['version']}" for entry in facts["compose"])
        found[node] = (
            f"engine {facts['engine'].get('version')}, compose {compose or 'none'}, python {facts['python']}, kernel {facts['kernel']}"
        )
    return found


def environment(plan: RunPlan, case: CasePlan, board: Board) -> dict[str, Any]:
    """Return what the test was given and where it ran."""
    test = case.test
    clocks = {
        f"clock offset {node}": f"{facts['clock_offset_s']:+.3f} s" for node, facts in board.notes("facts.").items()
    }
    return {"test node": test.node, "script": test.script, "strategy": case.strategy, **plan.origin, **clocks}


def failures(board: Board) -> list[dict[str, Any]]:
    """Return the first failure of the case and then the later ones."""
    first = board.read("failure")
    return [*([first] if first else []), *board.notes("later-failure.").values()]


def dirty_nodes(nodes: Sequence[str], board: Board) -> list[str]:
    """Return the nodes that were touched and are not proved clean; one that another run has taken is that run's to clean."""
    return [
        node
        for node in nodes
        if board.read(f"snapshot.{node}") is not None
        and board.read(f"{LOST}{node}") is None
        and not (board.read(f"verified.{node}") or {"clean": False})["clean"]
    ]
