# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of one attempt of a case, made from its record: facts, verdict, figures, timeline and a page to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..run import atomic
from . import case_page, tables
from .metrics import headline
from .values import finite, moment

SCHEMA_VERSION = 1
IDENTITY = ("run_id", "scenario", "case", "labels", "attempt")
METADATA = ("nodes", "services", "versions", "environment", "warnings")
RESULT = (
    "verdict",
    "control",
    "result",
    "failure",
    "reasons",
    "checks",
    "seconds",
    "steps",
    "services",
    "deployment",
    "benchmark",
    "soak",
    "artifacts",
    "cleaning",
    "verify",
    "warnings",
)


def write(case_dir: Path, record: Mapping[str, Any]) -> tuple[Path, ...]:
    """Write the files of one attempt into case_dir and return their paths; failure.json only when it failed."""
    documents: dict[str, Any] = {
        "test_metadata.json": metadata(record),
        "result_summary.json": result_summary(record),
    }
    if record.get("failure"):
        documents["failure.json"] = {**_identity(record), **finite(record["failure"])}
    texts = {
        "performance_results.csv": tables.performance(record),
        "timeline.csv": tables.timeline(record),
        "test_report.md": case_page.render(record),
    }
    for name, document in documents.items():
        atomic.write_json(case_dir / name, document)
    for name, text in texts.items():
        atomic.write_text(case_dir / name, text)
    return tuple(case_dir / name for name in (*documents, *texts))


def metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return test_metadata.json: what was run, where, when, and with which versions."""
    return {
        **_identity(record),
        "started_at": moment(record.get("started_at")),
        "seconds": finite(record.get("seconds")),
        **{name: finite(record[name]) for name in METADATA if name in record},
    }


def result_summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return result_summary.json: the verdict, why, the figures, and what was left on the nodes."""
    return {
        **_identity(record),
        **{name: finite(record[name]) for name in RESULT if name in record},
        "metrics": headline(record.get("benchmark")),
    }


def _identity(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, **{name: finite(record[name]) for name in IDENTITY if name in record}}
