# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict of a soak: its gates, over what its nodes have brought home."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..deploy.board import Board
from ..run.plan import CasePlan
from ..soak import gates, left, schedule, windows
from ..soak import judgement as judged
from ..soak import settings as soak_settings
from ..verdict.normal import Check, Judgement
from . import soaking
from .unit import BEGUN

ARTIFACTS = "test_artifacts"


def judge(case: CasePlan, case_dir: Path, board: Board) -> Judgement | None:
    """Return what the gates say of a soak, None where its load never began. What they looked at is kept beside it."""
    if board.read(BEGUN) is None:
        return None
    asked = _asked(case, case_dir, board.read("test") or {})
    found = left.read(asked)
    said = gates.judge(found.evidence, left.limits(asked.settings, chaos=bool(asked.schedule)))
    return _normal(said)


def _asked(case: CasePlan, case_dir: Path, ended: Mapping[str, Any]) -> left.Asked:
    settings = soak_settings.of_data(case.soak["settings"])
    services = {node: tuple(one.name for one in case.services_on(node) if one.serves) for node in case.nodes}
    return left.Asked(
        settings=settings,
        schedule=schedule.of_data(case.soak["schedule"]),
        folder=case_dir / soaking.FOLDER,
        services=services,
        loads=sorted((case_dir / ARTIFACTS).rglob(windows.FILE)),
        load_node=case.test.node,
        ended=how_ended(ended),
    )


def how_ended(ended: Mapping[str, Any]) -> str:
    """Return `complete` for a test that ended by itself, else in words what cut it short. ended: the note of its end."""
    if ended.get("state") == "exited":
        return judged.COMPLETE
    return f"the test was {str(ended.get('state') or 'never heard of again').replace('_', ' ')}"


def _normal(said: judged.Judgement) -> Judgement:
    """Return what the gates say in the form of every other result."""
    asked = [gate for gate in said.gates if gate.verdict != judged.NOT_ASKED]
    checks = tuple(
        Check(f"{gate.name} {gate.subject}", gate.verdict == judged.PASS, gate.value, gate.limit, gate.why)
        for gate in asked
    )
    return Judgement(said.verdict, said.reasons, checks, said.error_kind, notes=said.warnings)
