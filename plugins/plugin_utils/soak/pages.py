# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""summary.md and failures.md of a soak: verdict first, every foreign text escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..report.escape import code_block, markdown
from ..report.markdown_parts import section, table
from ..report.reasons import MARKS, account
from ..report.values import items, shown
from . import account as accounts
from . import next_step, timeline
from .judgement import FAIL, NO_DATA, NOT_ASKED, PASS, Gate
from .record import SoakRecord, iso
from .saying import length, number, scaled

MOST_FAULTS, MOST_FAILURES = 100, 200
# How many steps of the timeline are shown on both sides of a failure.
AROUND = 2
ORDER = (FAIL, NO_DATA, PASS, NOT_ASKED)
WORDS = {FAIL: "**failed**", NO_DATA: "**no data**", PASS: "ok", NOT_ASKED: "not asked"}
ABSENT = "\\-"


def summary(record: SoakRecord) -> str:
    """Return summary.md."""
    verdict = record.verdict
    evidence = record.evidence
    lasted = length(round(evidence.lasted_s, 1))
    lines = [
        f"# {MARKS.get(verdict, '?')} {markdown(verdict.upper())}: soak {markdown(title(record))}",
        "",
        markdown(record.why),
        "",
        f"{_tally(record)}. The load lasted {lasted} of {length(evidence.planned_s)}, from {iso(record.began_unix_s)} on, in the profile "
        f"{markdown(record.asked.settings.profile)}.",
        "",
        f"Next: {markdown(next_step.sentence(record))}",
        "",
        *section("## Gates", _gates(record)),
        *section("## Faults", _faults(record)),
        *section("## Requests", _requests(record)),
        *section("## Latencies", _latencies(record)),
        *section("## Warnings", [f"- {markdown(one)}" for one in record.judgement.warnings]),
        *section("## Files that could not be read as they should be", _problems(record)),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def failures(record: SoakRecord) -> str:
    """Return failures.md, "" where nothing failed: each failure with its evidence, time, active fault and files."""
    decisive = record.decisive()
    if not decisive and record.failure is None and record.verdict == PASS:
        return ""
    count = len(decisive) + (record.failure is not None and not decisive)
    lines = [
        f"# {max(count, 1)} failure{'s' if count > 1 else ''}: soak {markdown(title(record))}",
        "",
        f"Next: {markdown(next_step.sentence(record))}",
        "",
        *section("## The case", _of_case(record)),
    ]
    rows = list(timeline.rows(record)) if any(gate.at_s is not None for gate in decisive) else []
    for place, gate in enumerate(decisive[:MOST_FAILURES], 1):
        lines += section(f"## {place}. {markdown(gate.name)}: {markdown(gate.subject)}", _failure(record, gate, rows))
    if len(decisive) > MOST_FAILURES:
        lines.append(f"{len(decisive) - MOST_FAILURES} more stand in summary.json.")
    return "\n".join(lines).rstrip("\n") + "\n"


def title(record: SoakRecord) -> str:
    """Return the name of the case for people."""
    parts = [str(record.identity.get(name) or "") for name in ("scenario", "case")]
    return " / ".join(part for part in parts if part)


def ordered(gates: Sequence[Gate]) -> list[Gate]:
    """Return the gates that were asked for, failed ones first, then those without data."""
    return sorted((gate for gate in gates if gate.verdict != NOT_ASKED), key=lambda gate: ORDER.index(gate.verdict))


def figure(value: float | None, unit: str, limit: float | None = None) -> str:
    """Return a value of a gate with its unit; both it and its limit are told in one unit of size. A dash for none."""
    if value is None:
        return "-"
    base, per, time = unit.partition("/")
    divisor, name = scaled(base, max(abs(value), abs(limit or 0.0)))
    if base.startswith("of the "):
        return f"{value:.2%}"
    return f"{number(value / divisor)} {name}{per}{time}".rstrip()


def moment(record: SoakRecord, at_s: float | None) -> str:
    """Return a time of the soak for people: since the load began, and by the clock."""
    if at_s is None:
        return "the whole soak"
    return f"{number(at_s)} s ({iso(record.unix_s(at_s))})"


def _tally(record: SoakRecord) -> str:
    found = accounts.headline(record, record.stories())
    failed = sum(gate.verdict == FAIL for gate in record.judgement.gates)
    lacking = f", {found['gates_no_data']} without data" if found["gates_no_data"] else ""
    faults = (
        f"; {found['faults_felt']} of {found['faults']} faults felt" if found["faults"] else "; no faults were planned"
    )
    return f"{found['gates_passed']} of {found['gates']} gates hold, {failed} failed{lacking}{faults}"


def _gates(record: SoakRecord) -> list[str]:
    lines = [
        [
            f"{WORDS[gate.verdict]}{' (warning)' if record.lacking(gate) else ''}",
            markdown(gate.name),
            markdown(gate.subject),
            markdown(figure(gate.value, gate.unit, gate.limit)),
            markdown(figure(gate.limit, gate.unit, gate.limit)),
            markdown(gate.why),
        ]
        for gate in ordered(record.judgement.gates)
    ]
    return table(("state", "gate", "of", "value", "limit", "says"), lines)


def _faults(record: SoakRecord) -> list[str]:
    stories = record.stories()
    lines = [
        [
            markdown(one.fault.id),
            markdown(one.fault.kind),
            markdown(one.fault.target),
            seconds(one.planned.at_s),
            seconds(one.fault.began_s),
            seconds(one.fault.undone_s),
            one.effect,
            seconds(one.rto_s),
            markdown(told(one.fault.measured, one.fault.why)),
        ]
        for one in stories[:MOST_FAULTS]
    ]
    more = [f"{len(stories) - MOST_FAULTS} more in summary.json", ""] if len(stories) > MOST_FAULTS else []
    return [
        *table(("fault", "kind", "target", "planned at", "began", "undone", "effect", "RTO", "measured"), lines),
        *more,
    ]


def seconds(value: float | None) -> str:
    """Return seconds with their unit, a dash for none."""
    return "-" if value is None else f"{number(value)} s"


def told(measured: Mapping[str, Any], why: str) -> str:
    """Return what was measured of a fault, and why it came out so."""
    facts = ", ".join(f"{name} {shown(value)}" for name, value in measured.items())
    return "; ".join(part for part in (facts, why) if part) or "-"


def _requests(record: SoakRecord) -> list[str]:
    lines = [
        [
            where,
            *(shown(found[name]) for name in timeline.COUNTS),
            "-" if found["success_ratio"] is None else f"{found['success_ratio']:.2%}",
            markdown(", ".join(f"{kind} {count}" for kind, count in found["errors"].items()) or "-"),
        ]
        for where, found in accounts.requests(record).items()
    ]
    heads = ("windows of faults", "sent", "completed", "failed", "without tokens", "answered", "errors")
    return table(heads, lines)


def _latencies(record: SoakRecord) -> list[str]:
    found = accounts.latencies(record)
    percentiles = [f"p{percent:g}" for percent in accounts.PERCENTILES]
    lines = [
        [markdown(name), where, *(shown(values[one], "ms") for one in percentiles), shown(values["count"])]
        for name, places in found.items()
        for where, values in places.items()
    ]
    return table(("latency", "windows of faults", *percentiles, "samples"), lines)


def _problems(record: SoakRecord) -> list[str]:
    return [f"- {markdown(problem.render())}" for problem in record.left.problems[: accounts.MOST_PROBLEMS]]


def _of_case(record: SoakRecord) -> list[str]:
    found = account(record.failure)
    if not found.sentence:
        return []
    facts = [f"- {name}: {markdown(value)}" for name, value in found.facts]
    evidence = items((record.failure or {}).get("evidence"))
    block = ["", code_block("\n".join(str(line) for line in evidence[:60]))] if evidence else []
    return [f"**{markdown(found.sentence)}**", "", *facts, *block]


def _failure(record: SoakRecord, gate: Gate, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    fault = next((one for one in record.stories() if one.fault.id == gate.during_fault), None)
    active = f"{fault.fault.id} ({fault.fault.kind} of {fault.fault.target}, {fault.effect})" if fault else "none"
    facts = {
        "value": f"{figure(gate.value, gate.unit, gate.limit)}, limit {figure(gate.limit, gate.unit, gate.limit)}",
        "time": moment(record, gate.at_s),
        "active fault": active if gate.at_s is not None or fault else "-",
        "kind": gate.error_kind or "-",
    }
    around = list(_around(gate.at_s, rows)) if gate.at_s is not None else []
    return [
        f"**{markdown(gate.why)}**",
        "",
        *[f"- {name}: {markdown(value)}" for name, value in facts.items()],
        f"- look at: {_links(next_step.files(record, gate))}",
        "",
        *around,
    ]


def _links(paths: Sequence[str]) -> str:
    return ", ".join(f"[{markdown(path)}](<{quote(path)}>)" for path in paths) or "nothing came home that tells of it"


def _around(at_s: float, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the steps of the timeline around a moment as a table."""
    place = int(at_s // timeline.STEP_S)
    columns = ("t_s", "sent", "completed", "failed", "ttft_ms_p95", "lag", "rss_bytes", "faults", "events")
    near = rows[max(0, place - AROUND) : place + AROUND + 1]
    lines = [
        [markdown(shown(row[name])) if row[name] not in (None, "") else ABSENT for name in columns] for row in near
    ]
    yield from table(columns, lines)
