# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The epoch reports of services as series: what the scenario's mappings find in each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jmespath

from ..verdict.reading import regular_files
from ..verdict.strict_json import FileProblem, parse
from .begin import Begin, number
from .model import REPORT, Series

FOLDER, INDEX = "report", "reports.jsonl"
MAX_REPORT_BYTES = 4 << 20
MAX_LINE_BYTES = 64 << 10
MORE_SHOWN = 3  # files that show the same fault, by name
PROGRESS, NETWORK, LAG = "progress", "network", "lag"
CHECKS = {"total": "checks_total", "failed": "checks_failed"}
REASON, INVARIANT = "reason:", "invariant:"
Json = dict[str, Any]
Point = tuple[float, "float | None"]


@dataclass(frozen=True)
class Reported:
    """When the reports of a service were written that could be read: seconds since the load began, ascending."""

    service: str
    times: tuple[float, ...]


@dataclass(frozen=True)
class _File:
    """A report: its path below the node's folder, when it was written (since boot, and by the wall clock), its content."""

    name: str
    boottime_s: float
    content: Json


@dataclass
class _Found:
    """What the reports of a service hold, and what is wrong with them: metric -> points, (metric, fault) -> files."""

    times: list[float] = field(default_factory=list)
    points: dict[str, list[Point]] = field(default_factory=dict)
    faults: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, metric: str, at: float, value: float | None) -> None:
        self.points.setdefault(metric, []).append((at, value))


class _Mapping:
    """What one entry of the scenario's reports looks for. alone: no other entry is for the same service."""

    def __init__(self, entry: Mapping[str, Any], alone: bool) -> None:
        checks = entry.get("checks") or {}
        texts = {PROGRESS: entry.get(PROGRESS), NETWORK: entry.get(NETWORK)}
        texts.update((metric, checks.get(key)) for key, metric in CHECKS.items())
        self._numbers = {metric: jmespath.compile(text) for metric, text in texts.items() if text}
        self._reasons = jmespath.compile(checks["reasons"]) if checks.get("reasons") else None
        self._invariants = {name: jmespath.compile(text) for name, text in (entry.get("invariants") or {}).items()}
        self._alone = alone

    def take(self, report: _File, at: float, found: _Found) -> None:
        """Take in what a report holds; what it should hold and does not is a fault, and None at its time."""
        values = {metric: self._asked(one, report, metric, found) for metric, one in self._numbers.items()}
        for metric, value in values.items():
            self._note(metric, at, value, _as_number, "a finite number", report, found)
        progress, network = number(values.get(PROGRESS)), number(values.get(NETWORK))
        if progress is not None and network is not None:
            found.add(LAG, at, network - progress)
        for name, one in self._invariants.items():
            value = self._asked(one, report, INVARIANT + name, found)
            self._note(INVARIANT + name, at, value, _as_truth, "true or false", report, found)
        self._take_reasons(report, at, found)

    def _asked(self, expression: Any, report: _File, metric: str, found: _Found) -> Any:
        try:
            return expression.search(report.content)
        except jmespath.exceptions.JMESPathError as exc:
            found.faults.setdefault((metric, str(exc).splitlines()[0]), []).append(report.name)
            return None

    def _note(self, metric: str, at: float, value: Any, read: Any, wanted: str, report: _File, found: _Found) -> None:
        known = read(value)
        if known is None and (value is not None or self._alone):
            shown = "is not there" if value is None else f"is {value!r:.100}"
            found.faults.setdefault((metric, f"{shown}; expected {wanted}"), []).append(report.name)
        if known is not None or self._alone:
            found.add(metric, at, known)

    def _take_reasons(self, report: _File, at: float, found: _Found) -> None:
        """Take in how often each reason was; a report without reasons has none."""
        if self._reasons is None:
            return
        counts = self._asked(self._reasons, report, REASON, found)
        if isinstance(counts, dict):
            for name, value in counts.items():
                self._note(f"{REASON}{name}", at, value, _as_number, "a finite number", report, found)
        elif counts is not None:
            self._note(REASON, at, counts, lambda _: None, "an object of reason -> how often", report, found)


def _as_number(value: Any) -> float | None:
    return number(value)


def _as_truth(value: Any) -> float | None:
    return float(value) if isinstance(value, bool) else None


def read(
    node: str, folder: Path, begin: Begin, entries: Sequence[Mapping[str, Any]]
) -> tuple[list[Series], tuple[Reported, ...], list[FileProblem]]:
    """Return series, times and problems of the reports below a node's folder. entries: the scenario's `soak.reports`."""
    problems: list[FileProblem] = []
    by_service: dict[str, list[_Mapping]] = {}
    names = [str(entry["service"]) for entry in entries]
    for name, entry in zip(names, entries, strict=True):
        by_service.setdefault(name, []).append(_Mapping(entry, names.count(name) == 1))
    series: list[Series] = []
    reported = []
    noted = _noted(folder / INDEX, problems)
    for service, mappings in by_service.items():
        found = _Found()
        for report in _reports(folder, service, noted, begin, problems):
            at = round(report.boottime_s - begin.boottime_s, 3)
            if found.times and at <= found.times[-1]:  # several were written before they were looked for once
                at = round(found.times[-1] + 0.001, 3)
            found.times.append(at)
            for mapping in mappings:
                mapping.take(report, at, found)
        problems += _told(found)
        reported.append(Reported(service, tuple(found.times)))
        series += [_series(node, service, metric, points) for metric, points in sorted(found.points.items())]
    return series, tuple(reported), problems


def _series(node: str, service: str, metric: str, points: Sequence[Point]) -> Series:
    times, values = zip(*points, strict=True)
    return Series(node, REPORT + service, metric, times, values)


def _told(found: _Found) -> Iterator[FileProblem]:
    """Yield each fault once, with the files that have it."""
    for (metric, message), files in found.faults.items():
        more = f" (and in {len(files) - 1} more, such as {', '.join(files[1:MORE_SHOWN])})" if len(files) > 1 else ""
        yield FileProblem(files[0], 0, metric, message + more)


def _noted(path: Path, problems: list[FileProblem]) -> dict[str, float]:
    """Return file -> when it was written (s since boot), as far as the node noted it; the last line may be cut."""
    if path.is_symlink() or not path.is_file():
        return {}
    found: dict[str, float] = {}
    with path.open("rb") as stream:
        for place, raw in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), 1):
            try:
                entry = json.loads(raw)
                found[f"{FOLDER}/{entry['f']}"] = float(entry["b"])
            except (ValueError, KeyError, TypeError) as exc:
                if raw.endswith(b"\n"):
                    problems.append(FileProblem(INDEX, place, "", f"is no entry: {exc}"))
    return found


def _reports(
    folder: Path, service: str, noted: Mapping[str, float], begin: Begin, problems: list[FileProblem]
) -> Iterator[_File]:
    """Yield the reports of a service that were written after the load began, in that order; name those that are none.

    Those of this run from before its load say nothing of the load and are passed over.
    """
    own = folder / FOLDER / service
    files = [f"{FOLDER}/{service}/{name}" for name, _ in regular_files(own)] if own.is_dir() else []
    written = {name: noted.get(name, _by_mtime(folder / name, begin)) for name in files if name.endswith(".json")}
    for name in sorted(written, key=lambda name: (written[name], name)):
        at = written[name]
        if begin.run_boottime_s is not None and at < begin.run_boottime_s:
            age_s = begin.run_boottime_s - at
            problems.append(
                FileProblem(name, 0, "", f"is older than the run: written {age_s:.0f} s before it took the node")
            )
        elif at >= begin.boottime_s:
            content, faults = _content(folder / name, name)
            problems += faults
            if content is not None:
                yield _File(name, at, content)


def _by_mtime(path: Path, begin: Begin) -> float:
    """Return when a report was written that the node had not noted any more when it stopped."""
    return path.lstat().st_mtime - begin.unix_s + begin.boottime_s


def _content(path: Path, name: str) -> tuple[Json | None, Sequence[FileProblem]]:
    with path.open("rb") as stream:
        raw = stream.read(MAX_REPORT_BYTES + 1)
    if len(raw) > MAX_REPORT_BYTES:
        return None, (FileProblem(name, 0, "", f"has over {MAX_REPORT_BYTES} bytes"),)
    return parse(raw, name)
