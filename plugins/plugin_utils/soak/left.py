# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a soak has left on the controller: the files of its nodes and of its load client, as evidence for the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..verdict.strict_json import FileProblem
from . import fault_log, windows
from .fault_log import Said
from .judgement import COMPLETE, Evidence, Limits, Reports
from .model import LoadWindow
from .readings import Readings, read_node
from .schedule import Injection
from .settings import SoakSettings

NODES = "nodes"


@dataclass(frozen=True)
class Asked:
    """What a soak was to do. folder: its results `soak/`; services: node -> those that were to run there to the end.

    loads: files of the load client, wherever they lie; load_node: on whose clock. ended: `complete`, or what cut it short.
    """

    settings: SoakSettings
    schedule: Sequence[Injection]
    folder: Path
    services: Mapping[str, Sequence[str]]
    loads: Sequence[Path]
    load_node: str
    ended: str = COMPLETE


@dataclass(frozen=True)
class Left:
    """Evidence, with what it was read from: the nodes' readings, what they said of faults, what is wrong with the files."""

    evidence: Evidence
    readings: tuple[Readings, ...]
    said: tuple[Said, ...]
    problems: tuple[FileProblem, ...]


def read(asked: Asked) -> Left:
    """Read everything; what is damaged or missing is told and leaves a gap, which the gates see."""
    reports = asked.settings.reports
    readings = tuple(
        read_node(node, asked.folder / NODES / node, [one for one in reports if one["service"] in services])
        for node, services in asked.services.items()
    )
    said, problems = _faults(asked, readings)
    loads, wrong = _loads(asked, readings)
    evidence = Evidence(
        series=[series for one in readings for series in one.series],
        windows=loads,
        faults=fault_log.faults(asked.schedule, said, asked.settings.negative_control),
        reports=[one for reading in readings for one in _reports(asked, reading)],
        planned_s=float(asked.settings.duration_secs),
        lasted_s=max((window.ended_s for window in loads), default=0.0),
        ended_how=asked.ended,
        nodes=dict(asked.services),
    )
    found = [problem for one in readings for problem in one.problems]
    return Left(evidence, readings, said, (*found, *problems, *wrong))


def limits(settings: SoakSettings, chaos: bool) -> Limits:
    """Return what the gates hold a soak to. chaos: whether faults were planned."""
    return Limits(**settings.limits, chaos=chaos, negative_control=chaos and settings.negative_control)


def _faults(asked: Asked, readings: Sequence[Readings]) -> tuple[tuple[Said, ...], tuple[FileProblem, ...]]:
    said: list[Said] = []
    problems: list[FileProblem] = []
    for one in readings:
        lines, wrong = fault_log.read(one.node, asked.folder / NODES / one.node, one.begin)
        said += lines
        problems += wrong
    return tuple(sorted(said, key=lambda line: line.at_s)), tuple(problems)


def _loads(asked: Asked, readings: Sequence[Readings]) -> tuple[list[LoadWindow], tuple[FileProblem, ...]]:
    """Return the windows of the load, none where their file cannot be trusted."""
    began = next((one.begin.boottime_s for one in readings if one.node == asked.load_node and one.begin), None)
    if len(asked.loads) != 1:
        message = f"{len(asked.loads)} files tell of the load; expected one"
        return [], (FileProblem(windows.FILE, 0, "", message),)
    try:
        return windows.load_windows(asked.loads[0], began), ()
    except (OSError, windows.WindowError) as exc:
        return [], (FileProblem(windows.FILE, 0, "", f"cannot be read: {exc}"),)


def _reports(asked: Asked, reading: Readings) -> list[Reports]:
    """Return what was asked of each service that reports on a node, with the times of its reports."""
    times = {one.service: one.times for one in reading.reports}
    return [
        Reports(
            node=reading.node,
            service=one["service"],
            times=times.get(one["service"], ()),
            progress="progress" in one,
            network="network" in one,
            checks="checks" in one,
            reasons="reasons" in one.get("checks", {}),
            invariants=tuple(one.get("invariants", {})),
            monotonic=tuple(one.get("monotonic", ())),
        )
        for one in asked.settings.reports
        if one["service"] in asked.services[reading.node]
    ]
