# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The upload step: the scenario's files to the node, only what changed, digests compared there."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..node import package
from ..run.plan import CasePlan
from . import clocks
from .cell import Cell, StepFailure

LIMIT_BYTES = 64 << 20
SCENARIO_FOLDER = "scenario"
BIN_FOLDER = "bin"
LOAD, PACE = "testcell-load", "testcell-pace"
PACE_START = (
    'import sys; sys.path.insert(0, sys.argv[1] + "/cellload.pyz"); from cellload.pace.command import main; '
    "sys.exit(main(sys.argv[1], sys.argv[2:]))"
)
# The note of a node that says where its case folder is: `folder.<node>`.
FOLDER = "folder."

# Relative path -> content and mode.
Files = dict[str, tuple[bytes, int]]


def send(cell: Cell) -> dict[str, Any]:
    """Bring the scenario folder, and on the test node the load client, to the node's case folder."""
    files = scenario_files(Path(cell.case.directory))
    folders: dict[str, Files] = {SCENARIO_FOLDER: files | case_config(cell.case, files)}
    folders |= {folder: {} for folder in clocks.folders(cell)}
    if cell.node == cell.case.test.node:
        folders[BIN_FOLDER] = programs(cell.client.python, cell.case.config.get("adaptive_rate"))
    if cell.case.collection_mode == "comprehensive":
        cell.client.call("samples")
    return {"files": _sync(cell, folders)}


def scenario_files(directory: Path) -> Files:
    """Return relative path -> (content, mode) of the regular files below directory; StepFailure above 64 MiB."""
    files: Files = {}
    total = 0
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not path.is_file() or "__pycache__" in path.parts:
            continue
        total += path.stat().st_size
        if total > LIMIT_BYTES:
            raise StepFailure(
                "config_invalid",
                f"the files of {directory} are more than {LIMIT_BYTES >> 20} MiB; keep models and data on the nodes and mount them",
            )
        files[path.relative_to(directory).as_posix()] = (path.read_bytes(), path.stat().st_mode & 0o777)
    return files


def case_config(case: CasePlan, files: Files) -> Files:
    """Return the test configuration with the values that the case's labels give, where the scenario has one."""
    name = case.test.config_file
    if name not in files or json.loads(files[name][0]) == case.config:
        return {}
    return {name: (json.dumps(case.config, indent=2).encode(), files[name][1])}


def programs(python: str, adaptive_rate: Any) -> Files:
    """Return the load client's zip, the launchers that TESTCELL_LOAD and TESTCELL_PACE name, and the rate's settings."""
    program = package.build("cellload")
    start = f'#!/bin/sh\nplace=$(dirname "$0")\nexec "{python}" -I -S -E'
    load = f'{start} "$place/cellload.pyz" "$@"\n'
    pace = f'{start} -c \'{PACE_START}\' "$place" "$@"\n'
    return {
        "cellload.pyz": (program.content, 0o644),
        LOAD: (load.encode(), 0o755),
        PACE: (pace.encode(), 0o755),
        "pace.json": (json.dumps(adaptive_rate).encode(), 0o644),
    }


def _sync(cell: Cell, folders: Mapping[str, Files]) -> int:
    """Ask for all folders at once what the node lacks, send it, and return how many files that were.

    Where the case lies on the node is asked on the way, for the test.
    """
    asked = [{"dest_rel": folder, "files": _listing(files)} for folder, files in folders.items()]
    place, *answers = cell.client.many(("where", {}), *(("upload", args) for args in asked))
    cell.board.post(f"{FOLDER}{cell.node}", {"path": place["case_dir"]})
    needs = [answer["need"] for answer in answers]
    sent = [
        ("upload", {**args, "data": {path: _packed(files[path][0]) for path in need}})
        for args, need, files in zip(asked, needs, folders.values(), strict=True)
    ]
    cell.client.many(*sent)
    return sum(map(len, needs))


def _listing(files: Files) -> list[dict[str, Any]]:
    return [
        {"path": path, "size": len(content), "mode": mode, "sha256": hashlib.sha256(content).hexdigest()}
        for path, (content, mode) in files.items()
    ]


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()
