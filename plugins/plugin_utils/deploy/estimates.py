# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long each service will take to start: as long as in the last runs, else as its health check allows, else a guess."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from ..report.results import ResultsError, run_folders
from ..report.values import mapping, number, rows, text
from ..run.folder import CaseRef
from .schedule import UNKNOWN_S

MEASURED, START_PERIOD, ASSUMED = "measured", "start_period", "assumed"
RUNS = 5
MAX_FOLDERS = 50
MAX_CASES = 50
MAX_BYTES = 4 * 1024 * 1024
_FILE = "result_summary.json"
# A case's folder and those of its repeats; artifacts lie as deep, so each file must also say that it belongs there.
_PLACES = (_FILE, f"*/{_FILE}", f"*/attempt_*/{_FILE}")


@dataclass(frozen=True)
class Start:
    """One start of a service that became ready: the image it had ("" when nobody noted it), and how long it took."""

    service: str
    image: str
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """How long a start may take. source: `measured`, `start_period` or `assumed`."""

    seconds: float
    source: str


def past_starts(results_dir: Path, scenarios: Collection[str]) -> dict[str, tuple[Start, ...]]:
    """Return scenario -> starts in its last 5 runs among the newest 50 of results_dir.

    What cannot be read, is not ours or is too large is passed over: an estimate is never worth an error.
    """
    found: dict[str, list[tuple[Start, ...]]] = {name: [] for name in scenarios}
    for run_dir in _newest(results_dir):
        for scenario, runs in found.items():
            starts = _starts(run_dir, scenario) if len(runs) < RUNS else ()
            if starts:
                runs.append(starts)
    return {scenario: tuple(start for run in runs for start in run) for scenario, runs in found.items()}


def estimate(service: str, image: str, start_period_s: float, past: Sequence[Start]) -> Estimate:
    """Return the median of the past starts of service with the same image, else start_period_s, else a second."""
    seconds = [start.seconds for start in past if start.service == service and _same(image, start.image)]
    if seconds:
        return Estimate(round(median(seconds), 3), MEASURED)
    return Estimate(start_period_s, START_PERIOD) if start_period_s > 0 else Estimate(UNKNOWN_S, ASSUMED)


def _same(image: str, before: str) -> bool:
    """Return whether both may be one image; one that nobody noted, or that Compose fills in later, may be any."""
    return not image or not before or "$" in image or image == before


def _newest(results_dir: Path) -> list[Path]:
    try:
        return run_folders(results_dir)[: -MAX_FOLDERS - 1 : -1]
    except ResultsError:
        return []


def _starts(run_dir: Path, scenario: str) -> tuple[Start, ...]:
    files = (path for place in _PLACES for path in sorted((run_dir / scenario).glob(place)))
    return tuple(start for path in islice(files, MAX_CASES) for start in _of_case(run_dir, scenario, path))


def _of_case(run_dir: Path, scenario: str, path: Path) -> Iterator[Start]:
    record = _read(path)
    attempt = record.get("attempt")
    ref = CaseRef(scenario, text(record.get("case")), attempt if isinstance(attempt, int) else 1)
    if (record.get("run_id"), record.get("scenario")) != (run_dir.name, scenario) or ref.folder(run_dir) != path.parent:
        return
    for service in rows(record.get("services")):
        began, ready = number(service.get("started_s")), number(service.get("ready_s"))
        if began is not None and ready is not None and ready >= began:
            yield Start(text(service.get("name")), text(service.get("image")), ready - began)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
            return {}
        return mapping(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}
