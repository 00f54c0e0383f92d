# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collect step: evidence of every container first, then the test's artifacts, before anything is stopped."""

from __future__ import annotations

from typing import Any

from ..artifacts.receive import ArtifactError, Pieces, beginnings, receive
from ..deploy.placement import LOCAL
from .cell import Cell, StepFailure

EVIDENCE = "evidence"
WORK = "work"
EVIDENCE_LOG_CAP_BYTES = 32 << 20
MAX_FILES = 100_000
MAX_BYTES = 20 << 30
OWN_FOLDERS = ("services/", "system/")


def gather(cell: Cell) -> dict[str, Any]:
    """Bring evidence and, from the test node, artifacts home; note what came and what could not be had."""
    note: dict[str, Any] = {"containers": [], "files": [], "missing": [], "refused": []}
    try:
        _bring(cell, note)
    except ArtifactError as exc:
        # the room that is missing is the controller's own; what a node lacks comes as NodeError
        whose = LOCAL if exc.kind == "disk_full" else cell.node
        raise StepFailure(exc.kind, f"{cell.node}: {exc}", evidence=exc.paths, node=whose) from None
    finally:
        cell.board.post(f"collected.{cell.node}", note)
    return {
        "files": len(note["files"]),
        "bytes": sum(entry["size"] for entry in note["files"]),
        "missing": note["missing"],
    }


def _bring(cell: Cell, note: dict[str, Any]) -> None:
    """Ask for all lists at once, then for the beginnings of all files at once; evidence is put in place first."""
    gathering = ("evidence", {"mode": cell.case.collection_mode, "log_cap_bytes": EVIDENCE_LOG_CAP_BYTES})
    results = [f"{path}**" if path.endswith("/") else path for path in cell.case.test.result_paths]
    wanted = [_manifest(WORK, results)] if cell.node == cell.case.test.node else []
    found, *lists = cell.client.many(gathering, _manifest(EVIDENCE, ["**"]), *wanted)
    note["containers"] = found["containers"]
    note["missing"] += found["missing"]
    listed = dict(zip((EVIDENCE, WORK), lists, strict=False))
    begun = beginnings(cell.client, {base_rel: listing["files"] for base_rel, listing in listed.items()})
    _evidence(cell, note, listed[EVIDENCE], begun[EVIDENCE])
    if WORK in listed:
        _artifacts(cell, note, listed[WORK], begun[WORK])


def _evidence(cell: Cell, note: dict[str, Any], listing: dict[str, Any], begun: Pieces) -> None:
    target = cell.case_dir / "nodes" / cell.node
    got = receive(cell.client, EVIDENCE, listing["files"], target, _evidence_place, begun)
    note["files"] += [{**entry, "path": f"nodes/{cell.node}/{_evidence_place(entry['path'])}"} for entry in got.files]


def _artifacts(cell: Cell, note: dict[str, Any], listing: dict[str, Any], begun: Pieces) -> None:
    got = receive(cell.client, WORK, listing["files"], cell.case_dir / "test_artifacts", begun=begun)
    note["files"] += [{**entry, "path": f"test_artifacts/{entry['path']}"} for entry in got.files]
    note["missing"] += [{"what": pattern, "why": "no file of this name"} for pattern in listing["missing"]]
    note["refused"] += listing["refused"]


def _manifest(base_rel: str, patterns: list[str]) -> tuple[str, dict[str, Any]]:
    limits = {"max_files": MAX_FILES, "max_bytes": MAX_BYTES}
    return "manifest", {"base_rel": base_rel, "patterns": patterns, **limits}


def _evidence_place(path: str) -> str:
    """Return where a file of the node's evidence folder lies below nodes/<node>/ (seed 000: services, system)."""
    return path if path.startswith(OWN_FOLDERS) else f"{EVIDENCE}/{path}"
