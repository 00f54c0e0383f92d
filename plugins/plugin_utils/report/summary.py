# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""summary.json: the run in one small document, for people, CI and AWX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..run.folder import CaseRef
from ..verdict.verdicts import settle
from .metrics import headline
from .values import finite, items, mapping, moment, rows, text

SCHEMA_VERSION = 1


def build(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return summary.json of a run.

    run: run_id, verdict, exit_code, control {ok}, cases (records), nodes, seconds, started_at, ended_at;
    counts, failure, reasons, warnings, verify (as verification.of_run), cleaning and versions where there are any.
    Verdicts are taken as they are given; KeyError when run_id, verdict or exit_code is missing.
    """
    cases = shown_cases(run)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run["run_id"],
        "verdict": run["verdict"],
        "exit_code": run["exit_code"],
        "control": finite(run.get("control") or {"ok": False}),
        "counts": finite(run.get("counts") or counts(cases)),
        "cases": [_case(record) for record in cases],
        "nodes": finite(items(run.get("nodes"))),
        "seconds": finite(run.get("seconds")),
        "started_at": moment(run.get("started_at")),
        "ended_at": moment(run.get("ended_at")),
        **{
            name: finite(run[name])
            for name in ("failure", "reasons", "warnings", "verify", "cleaning", "versions")
            if run.get(name)
        },
    }


def shown_cases(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the case records of a run that are worth showing: repeats that were not needed are left out."""
    return [c for c in rows(run.get("cases")) if c.get("verdict") != "skipped" or c.get("attempt", 1) == 1]


def counts(cases: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many cases ended in each verdict, the attempts of a case taken together. cases: as shown_cases."""
    attempts: dict[tuple[str, str], list[str]] = {}
    for record in cases:
        key = text(record.get("scenario")), text(record.get("case"))
        attempts.setdefault(key, []).append(text(record.get("verdict")))
    return dict(sorted(Counter(settle(seen) for seen in attempts.values()).items()))


def case_folder(record: Mapping[str, Any]) -> str:
    """Return the folder of a case record relative to the run folder."""
    attempt = record.get("attempt")
    ref = CaseRef(text(record.get("scenario")), text(record.get("case")), attempt if isinstance(attempt, int) else 1)
    return ref.folder(Path()).as_posix()


def _case(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "scenario": text(record.get("scenario")),
        "case": text(record.get("case")),
        "labels": finite(mapping(record.get("labels"))),
        "attempt": record.get("attempt", 1),
        "verdict": text(record.get("verdict")),
        "control": finite(record.get("control") or {"ok": False}),
        "result": finite(record.get("result") or {"ok": False}),
        "failure": finite(record.get("failure")),
        "reasons": finite(items(record.get("reasons"))),
        "seconds": finite(record.get("seconds")),
        "metrics": headline(record.get("benchmark")),
        "path": case_folder(record),
        **({"soak": finite(record["soak"])} if record.get("soak") else {}),
    }
