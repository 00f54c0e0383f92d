# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""soak.html and the plots as files of their own: no network, no script, verdict first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..report.reasons import MARKS
from ..report.templating import environment
from ..report.values import duration, shown, size
from . import account, figures, next_step, pages, timeline
from .plots import Drawing, Frame, unique
from .record import SoakRecord, iso

TEMPLATES = (Path(__file__).parent / "templates", Path(__file__).parent.parent / "report" / "templates")
# More would make a page that no browser likes; all of them are files of their own.
MOST_PLOTS = 150
PLOTS = "plots"


@dataclass(frozen=True)
class Part:
    """One chapter of the page, drawn. files: the names of its plots below plots/, in their order."""

    key: str
    title: str
    drawings: tuple[Drawing, ...]
    files: tuple[str, ...]
    still: tuple[str, ...]
    left_out: int


@dataclass(frozen=True)
class Drawn:
    """All that is drawn of a soak: the faults, None without any, and the chapters with their plots."""

    faults: Drawing | None
    parts: tuple[Part, ...]


def draw(record: SoakRecord) -> Drawn:
    """Return all drawings of a soak."""
    bands = figures.bands(record)
    frame = Frame(max(record.ended_s, record.evidence.planned_s), bands)
    chapters = figures.chapters(record)
    names = unique(plot.key for chapter in chapters for plot in chapter.plots)
    parts, room = [], MOST_PLOTS
    for one in chapters:
        drawings = tuple(frame.draw(plot) for plot in one.plots)
        files = tuple(f"{PLOTS}/{next(names)}.svg" for _ in drawings)
        parts.append(Part(one.key, one.title, drawings, files, one.still, max(len(drawings) - room, 0)))
        room = max(room - len(drawings), 0)
    return Drawn(frame.draw_faults(), tuple(parts))


def svgs(drawn: Drawn) -> Iterable[tuple[str, str]]:
    """Yield (path, content) of each plot as a file of its own."""
    if drawn.faults is not None:
        yield f"{PLOTS}/faults.svg", _svg(drawn.faults)
    for part in drawn.parts:
        for name, drawing in zip(part.files, part.drawings, strict=True):
            yield name, _svg(drawing)


def html(record: SoakRecord, drawn: Drawn, files: Sequence[Path]) -> str:
    """Return soak.html. files: what was written beside it."""
    gates = pages.ordered(record.judgement.gates)
    return environment(*TEMPLATES).get_template("soak.html.j2").render(
        title=pages.title(record),
        verdict=record.verdict,
        mark=MARKS.get(record.verdict, "?"),
        why=record.why,
        next=next_step.sentence(record),
        facts=_facts(record),
        gates=[_gate(record, gate) for gate in gates],
        not_asked=sorted({gate.name for gate in record.judgement.gates if gate not in gates}),
        faults=[_fault(one) for one in record.stories()],
        requests=[_requests(where, found) for where, found in account.requests(record).items()],
        counts=timeline.COUNTS,
        latencies=list(_latencies(record)),
        percentiles=[f"p{percent:g}" for percent in account.PERCENTILES],
        drawn=drawn,
        problems=[problem.render() for problem in record.left.problems[: account.MOST_PROBLEMS]],
        links=[_link(record.asked.folder, path) for path in files],
    )  # fmt: skip


def _svg(drawing: Drawing) -> str:
    return environment(*TEMPLATES).get_template("plot_file.svg.j2").render(drawing=drawing)


def _facts(record: SoakRecord) -> list[tuple[str, str]]:
    identity, evidence = record.identity, record.evidence
    found = account.headline(record, record.stories())
    facts = {
        "run": identity.get("run_id"),
        "profile": record.asked.settings.profile,
        "topology": identity.get("topology"),
        "seed": identity.get("seed"),
        "load": f"{duration(evidence.lasted_s)} of {duration(evidence.planned_s)}",
        "from": iso(record.began_unix_s),
        "gates": f"{found['gates_passed']} of {found['gates']} hold",
        "faults": f"{found['faults_felt']} of {found['faults']} felt" if found["faults"] else "none",
    }
    return [(name, str(value)) for name, value in facts.items() if value not in (None, "")]


def _gate(record: SoakRecord, gate: Any) -> dict[str, str]:
    state = "no data (warning)" if record.lacking(gate) else gate.verdict.replace("_", " ")
    return {
        "state": {"pass": "✓ holds", "fail": "✗ failed"}.get(state, f"∅ {state}"),
        "tone": {"pass": "good", "fail": "bad"}.get(gate.verdict, "doubt"),
        "name": gate.name.replace("_", " "),
        "subject": gate.subject,
        "value": pages.figure(gate.value, gate.unit, gate.limit),
        "limit": pages.figure(gate.limit, gate.unit, gate.limit),
        "why": gate.why,
        "at": pages.seconds(gate.at_s) if gate.verdict == "fail" else "-",
        "during": gate.during_fault or "-",
    }


def _fault(story: Any) -> dict[str, str]:
    fault = story.fault
    return {
        "id": fault.id,
        "kind": fault.kind,
        "target": fault.target,
        "planned": pages.seconds(story.planned.at_s),
        "began": pages.seconds(fault.began_s),
        "undone": pages.seconds(fault.undone_s),
        "effect": story.effect,
        "tone": "good" if story.effect == "felt" else "doubt",
        "rto": pages.seconds(story.rto_s),
        "told": pages.told(fault.measured, fault.why),
        "counts": "" if fault.expected else "failures in it count",
    }


def _requests(where: str, found: dict[str, Any]) -> tuple[str, list[str], str]:
    ratio = "-" if found["success_ratio"] is None else f"{found['success_ratio']:.2%}"
    return where, [shown(found[name]) for name in timeline.COUNTS], ratio


def _latencies(record: SoakRecord) -> Iterable[tuple[str, str, list[str], str]]:
    for name, places in account.latencies(record).items():
        for where, values in places.items():
            told = [shown(values[f"p{percent:g}"], "ms") for percent in account.PERCENTILES]
            yield figures.LATENCY_NAMES.get(name, name), where, told, shown(values["count"])


def _link(folder: Path, path: Path) -> tuple[str, str, str]:
    name = path.relative_to(folder).as_posix()
    return name, f"./{quote(name)}", size(path.lstat().st_size)
