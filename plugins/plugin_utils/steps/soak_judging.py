# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict of a soak: its gates, over what its nodes have brought home."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..deploy.board import Board
from ..report.reasons import why
from ..run.plan import CasePlan
from ..soak import gates, left, outputs, schedule, windows
from ..soak import judgement as judged
from ..soak import settings as soak_settings
from ..soak.record import SoakRecord
from ..soak.spans import Chaos
from ..verdict.normal import Check, Judgement
from ..verdict.verdicts import CaseVerdict
from . import soaking
from .unit import BEGUN

ARTIFACTS = "test_artifacts"


@dataclass(frozen=True)
class Judged:
    """A soak with what its gates say, in the form of every other result too."""

    normal: Judgement
    asked: left.Asked
    found: left.Left
    limits: judged.Limits
    said: judged.Judgement

    def tell(self, run_id: str, case: CasePlan, decided: CaseVerdict) -> dict[str, Any]:
        """Write the outputs of a soak whose case has its verdict, and return what the case's record says of them."""
        identity = {
            "run_id": run_id,
            "scenario": case.ref.scenario,
            "case": case.ref.case,
            "attempt": case.ref.attempt,
            "labels": case.labels,
            "topology": case.soak["topology"],
            "seed": case.soak["seed"],
        }
        failure = decided.failure.as_dict() if decided.failure else None
        record = SoakRecord(
            identity, self.asked, self.found, self.limits, self.said, decided.verdict, _why(self, decided), failure
        )
        outputs.write(self.asked.folder, record)
        return outputs.brief(record)

    def labelled(self, decided: CaseVerdict, began: float) -> CaseVerdict:
        """Return a verdict whose failure names the fault that was felt when it happened. began: the load, in Unix time here."""
        failure = decided.failure
        if failure is None:
            return decided
        evidence = self.found.evidence
        by_gate = [gate for gate in self.said.gates if gate.why == failure.message]
        felt = Chaos(evidence.faults, evidence.lasted_s).during(failure.at - began)
        fault = by_gate[0].during_fault if by_gate else felt
        return replace(decided, failure=replace(failure, during_fault=fault))


def judge(case: CasePlan, case_dir: Path, board: Board) -> Judged | None:
    """Return what the gates say of a soak, None where its load never began."""
    if board.read(BEGUN) is None:
        return None
    asked = _asked(case, case_dir, board.read("test") or {})
    found = left.read(asked)
    limits = left.limits(asked.settings, chaos=bool(asked.schedule))
    said = gates.judge(found.evidence, limits)
    return Judged(_normal(said), asked, found, limits, said)


def _why(soak: Judged, decided: CaseVerdict) -> str:
    """Return one line that explains the verdict: of a pass that all gates hold, or how many had no data."""
    if decided.verdict != judged.PASS:
        return why(
            {
                "verdict": decided.verdict,
                "failure": decided.failure and decided.failure.as_dict(),
                "reasons": decided.reasons,
            }
        )
    lacking = len(soak.said.warnings)
    return f"No gate failed; {lacking} had no data, which this profile only warns of." if lacking else "All gates hold."


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
