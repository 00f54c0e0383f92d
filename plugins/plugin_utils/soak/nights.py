# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Soaks of one scenario side by side, night after night, from what is left of them on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..report.results import run_folders
from ..report.values import mapping, number, rows, text
from ..run.folder import CaseRef
from .outputs import SUMMARY

MAX_BYTES = 64 << 20
FOLDER = "soak"
UNFINISHED, UNREADABLE = "unfinished", "unreadable"


@dataclass(frozen=True)
class Night:
    """One soak of one night. state: finished, unfinished (no verdict was written) or unreadable; figures: None where unknown.

    verdict: of the case, "" where there is none. negative_control: no fault was injected, so nothing was survived.
    Ratios from 0 to 1, slopes in bytes an hour; each figure is the worst of all.
    """

    run_id: str
    scenario: str
    case: str
    attempt: int
    topology: str
    profile: str
    state: str
    verdict: str
    metric_gate: str
    began_at: str
    negative_control: bool = False
    planned_s: float | None = None
    lasted_s: float | None = None
    lag_p95: float | None = None
    failure_ratio: float | None = None
    rss_slope_bytes_per_h: float | None = None
    rto_max_s: float | None = None
    faults: float | None = None
    faults_felt: float | None = None
    gates: float | None = None
    gates_passed: float | None = None
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the night as plain JSON types."""
        return asdict(self)


FIGURES = (
    "lag_p95",
    "failure_ratio",
    "rss_slope_bytes_per_h",
    "rto_max_s",
    "faults",
    "faults_felt",
    "gates",
    "gates_passed",
)


def nights(results_dir: Path, scenario: str = "", topology: str = "") -> tuple[Night, ...]:
    """Return every soak below results_dir, oldest first; scenario, topology: "" for all.

    A run that was damaged or never ended has its nights too, as its plan names them. Raise ResultsError for a folder that
    cannot be listed.
    """
    found = (night for folder in run_folders(results_dir) for night in _of_run(folder))
    return tuple(one for one in found if scenario in ("", one.scenario) and topology in ("", one.topology))


def _of_run(run_dir: Path) -> Iterator[Night]:
    cases = {_ref(case): case for case in rows(_read(run_dir / "summary.json").get("cases"))}
    planned = {_ref(mapping(case.get("ref"))): case for case in rows(_read(run_dir / "plan.json").get("cases"))}
    for ref in dict.fromkeys([*planned, *cases]):
        plan, case = planned.get(ref, {}), cases.get(ref, {})
        topology = mapping(plan.get("soak")).get("topology") or mapping(case.get("labels")).get("topology")
        skipped = case.get("verdict") == "skipped" or (not case and ref.attempt > 1)
        if topology and (plan.get("soak") or case.get("soak")) and not skipped:
            yield _night(run_dir, ref, text(topology), plan, case)


def _night(run_dir: Path, ref: CaseRef, topology: str, plan: Mapping[str, Any], case: Mapping[str, Any]) -> Night:
    """Return the night of a case by its own summary, else by what run and plan say of it."""
    path = ref.folder(run_dir) / FOLDER / SUMMARY
    told = _read(path)
    settings = mapping(mapping(plan.get("soak")).get("settings"))
    found = {**mapping(case.get("soak")), **mapping(told.get("headline"))}
    verdict = text(case.get("verdict") or told.get("verdict"))
    return Night(
        run_id=run_dir.name,
        scenario=ref.scenario,
        case=ref.case,
        attempt=ref.attempt,
        topology=topology,
        profile=text(told.get("profile") or settings.get("profile")),
        state="finished" if verdict else UNREADABLE if path.exists() else UNFINISHED,
        verdict=verdict,
        metric_gate=text(told.get("metric_gate") or found.get("metric_gate")),
        began_at=text(told.get("began_at")),
        negative_control=(told or settings).get("negative_control") is True,
        planned_s=number(told.get("planned_s")) or number(settings.get("duration_secs")),
        lasted_s=number(told.get("lasted_s")),
        why=text(told.get("why") or mapping(case.get("failure")).get("message")),
        **{name: number(found.get(name)) for name in FIGURES},
    )


def _ref(facts: Mapping[str, Any]) -> CaseRef:
    attempt = facts.get("attempt")
    # damage must not lead out of the run's folder
    scenario, case = (Path(text(facts.get(name))).name.lstrip(".") for name in ("scenario", "case"))
    return CaseRef(scenario, case, attempt if isinstance(attempt, int) else 1)


def _read(path: Path) -> Mapping[str, Any]:
    """Return the object in a file; nothing for one that is missing, damaged, a link or far too large."""
    with suppress(OSError, ValueError, RecursionError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_BYTES:
            return mapping(json.loads(path.read_bytes()))
    return {}
