# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof of what is kept: of each attempt when it is reported, of the whole run when that ends."""

from __future__ import annotations

from collections.abc import Sequence

from ..artifacts import manifest, proof
from ..artifacts.proof import Difference
from ..deploy.board import Board
from ..deploy.placement import LOCAL
from ..run import atomic
from ..run.plan import CasePlan, RunPlan
from ..verdict import failure
from . import record

SUMS = "case-sums."
EVENTS = "events.jsonl"
SHOWN = 20
STEP = "report"


def prove(plan: RunPlan, case: CasePlan, board: Board, shared: Board, now: float) -> None:
    """Write the manifest of an attempt and read its files back; one that is not as it came is a failure of the case."""
    folder = case.ref.folder(plan.run_dir)
    document = record.write_manifest(plan.run_id, case.ref, folder, board)
    files = manifest.read_case(atomic.encoded(document)).files
    read = proof.read_back(folder, files)
    shared.post(f"{SUMS}{case.index}", dict(read.sums))
    if read.differences:
        known = failure.of(
            "artifact_corrupt",
            _told(read.differences),
            step=STEP,
            node=LOCAL,
            evidence=_lines(read.differences),
            at=now,
        ).as_dict()
        if not board.claim("failure", known):
            board.claim(f"later-failure.{STEP}.{LOCAL}", known)


def seal(plan: RunPlan, shared: Board, now: float, summary: bytes, growing: Sequence[str] = ()) -> None:
    """Write the proof of a run whose summary is written next. growing: files that Ansible still writes."""
    known = {f"{case.ref.folder(plan.run_dir).relative_to(plan.run_dir)}/{path}": digest
             for case in plan.cases for path, digest in (shared.read(f"{SUMS}{case.index}") or {}).items()}  # fmt: skip
    refs = [case.ref for case in plan.cases]
    proof.seal(plan.run_dir, refs, now, known=known, pending={"summary.json": summary}, growing=growing)


def _told(differences: Sequence[Difference]) -> str:
    first, more = differences[0], len(differences) - 1
    rest = f"; {more} more file(s) like it" if more else ""
    return f"{first.path} is not on the disk as it came: expected {first.expected}, found {first.found}{rest}"


def _lines(differences: Sequence[Difference]) -> tuple[str, ...]:
    return tuple(f"{one.path}: expected {one.expected}, found {one.found}" for one in differences[:SHOWN])
