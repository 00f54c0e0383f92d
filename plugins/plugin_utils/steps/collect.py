# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collect step: evidence of every container first, then the test's artifacts, before anything is stopped."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

from ...module_utils.cellnode.errors import OS_ERROR_KINDS
from ..artifacts.bring import Bringing, Brought
from ..artifacts.errors import SaidByNode
from ..artifacts.policy import FULL, Failure, Pace, Policy
from ..artifacts.transfer import Fetched, Transfer, Wanted, speeds
from ..deploy.placement import LOCAL
from ..node.errors import NodeError
from ..report.transfers import left_out, told
from . import engine_life, soaking
from .cell import Cell, StepFailure

EVIDENCE = "evidence"
WORK = "work"
EVIDENCE_LOG_CAP_BYTES = 32 << 20
MAX_FILES = 100_000
MAX_BYTES = 20 << 30
# Kinds that the controller's own system gives.
OURS = frozenset((*OS_ERROR_KINDS.values(), "io_error"))
OWN_FOLDERS = ("services/", "system/")


def gather(cell: Cell) -> dict[str, Any]:
    """Bring evidence and, from the test node, artifacts home; note what came and what could not be had.

    What fails to come whole is kept apart, and the note says so: a later collection of the run takes it up.
    """
    await_engine(cell)
    brought = _bring(cell)
    note = _note(cell, brought)
    cell.board.post(f"collected.{cell.node}", note)
    cell.event(told(note["transfer"]), transfer=note["transfer"])
    if note["refused"]:
        cell.event(left_out(note["refused"]), level="warning")
    for failure in brought.failures:
        raise _failed(cell, failure)
    return {
        "files": len(note["files"]),
        "bytes": sum(entry["size"] for entry in note["files"]),
        "missing": note["missing"],
        "transfer": note["transfer"],
    }


def await_engine(cell: Cell) -> None:
    """Wait for an engine that has containers of a case that failed: their evidence is worth it."""
    has_containers = cell.case.services_on(cell.node) and cell.board.read(f"snapshot.{cell.node}") is not None
    if cell.failed and has_containers:
        engine_life.wait(cell)


def _bring(cell: Cell) -> Brought:
    """Ask for all at once: evidence is made first, and put in place first."""
    policy, measured = policy_of(cell), speeds()
    wish = {
        "mode": cell.case.collection_mode,
        "raw": cell.case.keep_raw_logs,
        "age_s": _age_s(cell),
        "look": _failed_by_now(cell),
        **({"streams": soaking.FOLDER} if cell.case.soak else {}),
    }
    gathering = ("evidence", {**wish, "log_cap_bytes": EVIDENCE_LOG_CAP_BYTES})
    with ExitStack() as begun:
        transfers = [begun.enter_context(closing(Transfer(wanted, policy, measured))) for wanted in _wanted(cell)]
        begun.pop_all()  # from here on who brings them closes them
    return Bringing(cell.client, policy, Pace(sleep=cell.sleep)).bring(transfers, [gathering])


def _failed_by_now(cell: Cell) -> bool:
    """Tell whether the case has failed, so that a look at its nodes may say why."""
    return bool(cell.failed or (cell.board.read("test") or {}).get("exit_code"))


def policy_of(cell: Cell) -> Policy:
    """Return how the scenario wants its files brought."""
    asked = cell.case.transfer
    return Policy(
        retries=asked.get("retries", Policy.retries),
        silence_s=asked.get("silence_s", Policy.silence_s),
        integrity=asked.get("integrity", FULL),
    )


def _age_s(cell: Cell) -> float:
    """Return the seconds since the case began: the node's own clock may be another one."""
    opened = cell.board.read("opened") or {}
    return max(0.0, cell.clock() - float(opened.get("t", cell.clock())))


def _wanted(cell: Cell) -> list[Wanted]:
    home = cell.case_dir / "nodes" / cell.node
    wanted = [Wanted(home, {"base_rel": EVIDENCE}, ("**",), MAX_FILES, MAX_BYTES, _evidence_place)]
    if cell.case.soak:
        home = soaking.home(cell.case_dir, cell.node)
        wanted.append(Wanted(home, {"base_rel": soaking.FOLDER}, ("**",), MAX_FILES, MAX_BYTES))
    if cell.node != cell.case.test.node:
        return wanted
    results = tuple(f"{path}**" if path.endswith("/") else path for path in cell.case.test.result_paths)
    return [*wanted, Wanted(cell.case_dir / "test_artifacts", {"base_rel": WORK}, results, MAX_FILES, MAX_BYTES)]


def _note(cell: Cell, brought: Brought) -> dict[str, Any]:
    """Return what came, for the manifest. partial: not all of it did, and what did is in folders of that name."""
    answer = (brought.answers[0] if brought.answers else None) or {}
    missing = [
        {"what": pattern, "why": "no file of this name"}
        for fetched in brought.fetched[1:]
        for pattern in fetched.missing
    ]
    return {
        "containers": answer.get("containers", []),
        "gpus": answer.get("gpus"),
        "files": [entry for fetched in brought.fetched for entry in _files(cell, fetched)],
        "missing": [*answer.get("missing", []), *missing],
        "refused": [one for fetched in brought.fetched for one in fetched.refused],
        "partial": any(fetched.partial for fetched in brought.fetched),
        "integrity": brought.report["integrity"],
        "transfer": brought.report,
    }


def _files(cell: Cell, fetched: Fetched) -> list[dict[str, Any]]:
    """Return the entries of a manifest, their paths from the case's folder."""
    folder = fetched.folder.relative_to(cell.case_dir).as_posix()
    return [{**entry, "path": f"{folder}/{entry['path']}"} for entry in fetched.listed]


def _failed(cell: Cell, failure: Failure) -> Exception:
    if isinstance(failure, NodeError):
        return failure.on(cell.node)
    if isinstance(failure, OSError):
        return failure
    # what this machine refuses is its own fault; what a node lacks comes as NodeError or as its own words
    ours = failure.kind in OURS and not isinstance(failure, SaidByNode)
    whose = LOCAL if ours else cell.node
    return StepFailure(failure.kind, f"{cell.node}: {failure}", evidence=failure.paths, node=whose)


def _evidence_place(path: str) -> str:
    """Return where a file of the node's evidence folder lies below nodes/<node>/ (seed 000: services, system)."""
    return path if path.startswith(OWN_FOLDERS) else f"{EVIDENCE}/{path}"
