# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collect step: evidence of every container first, then the test's artifacts, before anything is stopped."""

from __future__ import annotations

from typing import Any

from ..artifacts.receive import ArtifactError, receive
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
        _evidence(cell, note)
        if cell.node == cell.case.test.node:
            _artifacts(cell, note)
    except ArtifactError as exc:
        raise StepFailure(exc.kind, f"{cell.node}: {exc}", evidence=exc.paths) from None
    finally:
        cell.board.post(f"collected.{cell.node}", note)
    return {
        "files": len(note["files"]),
        "bytes": sum(entry["size"] for entry in note["files"]),
        "missing": note["missing"],
    }


def _evidence(cell: Cell, note: dict[str, Any]) -> None:
    gathering = ("evidence", {"mode": cell.case.collection_mode, "log_cap_bytes": EVIDENCE_LOG_CAP_BYTES})
    found, listing = cell.client.many(gathering, _manifest(EVIDENCE, ["**"]))
    note["containers"] = found["containers"]
    note["missing"] += found["missing"]
    target = cell.case_dir / "nodes" / cell.node
    got = receive(cell.client, EVIDENCE, listing["files"], target, _evidence_place)
    note["files"] += [{**entry, "path": f"nodes/{cell.node}/{_evidence_place(entry['path'])}"} for entry in got.files]


def _artifacts(cell: Cell, note: dict[str, Any]) -> None:
    patterns = [f"{path}**" if path.endswith("/") else path for path in cell.case.test.result_paths]
    (listing,) = cell.client.many(_manifest(WORK, patterns))
    got = receive(cell.client, WORK, listing["files"], cell.case_dir / "test_artifacts")
    note["files"] += [{**entry, "path": f"test_artifacts/{entry['path']}"} for entry in got.files]
    note["missing"] += [{"what": pattern, "why": "no file of this name"} for pattern in listing["missing"]]
    note["refused"] += listing["refused"]


def _manifest(base_rel: str, patterns: list[str]) -> tuple[str, dict[str, Any]]:
    limits = {"max_files": MAX_FILES, "max_bytes": MAX_BYTES}
    return "manifest", {"base_rel": base_rel, "patterns": patterns, **limits}


def _evidence_place(path: str) -> str:
    """Return where a file of the node's evidence folder lies below nodes/<node>/ (seed 000: services, system)."""
    return path if path.startswith(OWN_FOLDERS) else f"{EVIDENCE}/{path}"
