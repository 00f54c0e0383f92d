# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.html: the run as one page that needs no network and runs no script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import course, gantt, soaks, spans, transfers
from .cleaning import line
from .escape import one_line
from .links import Link, of_case, of_run, page_of_soak
from .metrics import STATISTICS, Tile, latency_table, tiles
from .reasons import (
    MARKS,
    Account,
    account,
    clean_states,
    end_state,
    labels,
    leftovers,
    node_facts,
    title,
    why,
)
from .summary import counts, shown_cases
from .templating import environment
from .values import clock, duration, items, mapping, rows, shown, size, text, words

TEMPLATES = Path(__file__).parent / "templates"
MAX_EVIDENCE_LINES = 200


@dataclass(frozen=True)
class CaseView:
    """What the page shows of one attempt of a case; every text is still unescaped, the template escapes it."""

    anchor: str
    title: str
    verdict: str
    mark: str
    why: str
    labels: str
    duration: str
    failure: Account
    reasons: tuple[str, ...]
    soak: tuple[str, ...]
    soak_page: str
    checks: tuple[tuple[str, bool, str, str], ...]
    tiles: tuple[Tile, ...]
    latencies: tuple[tuple[str, list[str]], ...]
    timeline: gantt.Gantt | None
    deployment: gantt.Gantt | None
    told: tuple[str, ...]
    moments: tuple[course.Service, ...]
    services: tuple[Mapping[str, Any], ...]
    nodes: tuple[tuple[str, str], ...]
    clean: tuple[tuple[str, bool | None], ...]
    leftovers: tuple[tuple[str, str, str], ...]
    cleaning: str
    artifacts: str
    transfers: list[str]
    warnings: tuple[str, ...]
    versions: dict[str, str]
    environment: dict[str, str]
    links: tuple[Link, ...]


def render(run: Mapping[str, Any], run_dir: Path) -> str:
    """Return report.html of a run; the files found below run_dir are linked by relative paths."""
    cases = shown_cases(run)
    verdict = text(run.get("verdict"))
    return (
        environment(TEMPLATES)
        .get_template("report.html.j2")
        .render(
            run_id=text(run.get("run_id")),
            verdict=verdict,
            mark=MARKS.get(verdict, "?"),
            why=why(run) if not cases or run.get("failure") else _why_of_run(cases, verdict),
            exit_code=text(run.get("exit_code")),
            counts=mapping(run.get("counts")) or counts(cases),
            started=clock(run.get("started_at")),
            ended=clock(run.get("ended_at")),
            duration=duration(run.get("seconds")),
            failure=_account(run),
            reasons=[text(reason) for reason in items(run.get("reasons"))],
            cases=[_case(record, run_dir, index) for index, record in enumerate(cases, 1)],
            nodes=node_facts(run),
            clean=clean_states(run),
            leftovers=leftovers(run),
            cleaning=line(run.get("cleaning")),
            warnings=_warnings(run),
            versions=_facts(run, "versions"),
            links=of_run(run_dir),
            statistics=STATISTICS,
            columns=course.COLUMNS,
            moments_note=course.NOTE,
        )
    )


def _case(record: Mapping[str, Any], run_dir: Path, index: int) -> CaseView:
    benchmark = mapping(record.get("benchmark"))
    verdict = text(record.get("verdict"))
    found = spans.of_case(record)
    return CaseView(
        anchor=f"case-{index}",
        title=title(record),
        verdict=verdict,
        mark=MARKS.get(verdict, "?"),
        why=why(record),
        labels=labels(record),
        duration=duration(record.get("seconds")),
        failure=_account(record),
        reasons=tuple(text(reason) for reason in items(record.get("reasons"))),
        soak=soaks.sentences(mapping(record.get("soak"))),
        soak_page=page_of_soak(record),
        checks=tuple(_check(check) for check in rows(record.get("checks"))),
        tiles=tiles(benchmark),
        latencies=tuple(latency_table(benchmark)) if benchmark else (),
        timeline=gantt.draw(found),
        deployment=gantt.draw_deployment(found),
        told=course.sentences(record),
        moments=course.services(record),
        services=tuple(_service(service) for service in rows(record.get("services"))),
        nodes=tuple(node_facts(record)),
        clean=tuple(clean_states(record)),
        leftovers=tuple(leftovers(record)),
        cleaning=line(record.get("cleaning")),
        artifacts=_artifacts(record),
        transfers=transfers.of_nodes(record),
        warnings=tuple(_warnings(record)),
        versions=_facts(record, "versions"),
        environment=_facts(record, "environment"),
        links=of_case(run_dir, record),
    )


def _why_of_run(cases: list[Mapping[str, Any]], verdict: str) -> str:
    """Return why the run ended so: the reason of the first case with its verdict, named when there are several."""
    named = [record for record in cases if record.get("verdict") == verdict] or cases
    return f"{title(named[0])}: {why(named[0])}" if len(cases) > 1 else why(named[0])


def _account(record: Mapping[str, Any]) -> Account:
    found = account(record.get("failure"))
    return Account(found.sentence, found.facts, found.evidence[:MAX_EVIDENCE_LINES])


def _check(check: Mapping[str, Any]) -> tuple[str, bool, str, str]:
    return text(check.get("name")), check.get("ok") is True, shown(check.get("value")), shown(check.get("limit"))


def _service(service: Mapping[str, Any]) -> Mapping[str, Any]:
    names = ("name", "node", "role", "image")
    return {
        **{name: text(service.get(name)) for name in names},
        "state": end_state(service),
        "image_id": text(service.get("image_id"))[:19],
        "exit_code": shown(service.get("exit_code")),
    }


def _facts(record: Mapping[str, Any], name: str) -> dict[str, str]:
    return {str(key): words(value) for key, value in mapping(record.get(name)).items()}


def _artifacts(record: Mapping[str, Any]) -> str:
    facts = mapping(record.get("artifacts"))
    if not facts:
        return ""
    digest = f", manifest digest {facts['digest']}" if facts.get("digest") else ""
    return f"{shown(facts.get('files'))} files, {size(facts.get('bytes'))}{digest}"


def _warnings(record: Mapping[str, Any]) -> list[str]:
    return [text(mapping(item).get("message")) or one_line(item) for item in items(record.get("warnings"))]
