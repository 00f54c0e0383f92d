# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""summary.md: the whole run on one page, verdict first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from . import markdown_parts as parts
from .escape import markdown
from .metrics import headline
from .reasons import MARKS, labels, node_facts, title, why
from .summary import case_folder, counts, shown_cases
from .values import clock, duration, mapping, shown, text


def render(run: Mapping[str, Any]) -> str:
    """Return the Markdown summary of a run; every foreign text in it is escaped."""
    cases = shown_cases(run)
    verdict = text(run.get("verdict"))
    lines = [
        f"# {MARKS.get(verdict, '?')} {markdown(verdict.upper())}: run {markdown(run.get('run_id'))}",
        "",
        f"{markdown(_tally(run, cases))}, exit code {markdown(run.get('exit_code'))}, {duration(run.get('seconds'))}, "
        f"from {markdown(clock(run.get('started_at')))} to {markdown(clock(run.get('ended_at')))}.",
        "",
        *parts.section("## Failure", parts.failure(run)),
        *parts.section("## Reasons", parts.reasons(run)),
        *parts.section("## Cases", _cases(cases)),
        *[line for record in cases for line in _soak(record)],
        *[line for record in cases for line in _story(record)],
        *parts.section("## Nodes", _nodes(run)),
        *parts.section("## Cleaning", parts.cleaning(run)),
        *parts.section("## Warnings", parts.warnings(run)),
        *parts.section("## Versions", parts.facts(run, "versions")),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _tally(run: Mapping[str, Any], cases: list[Mapping[str, Any]]) -> str:
    found = mapping(run.get("counts")) or counts(cases)
    return ", ".join(f"{count} {verdict}" for verdict, count in found.items()) or "no case was run"


def _cases(cases: list[Mapping[str, Any]]) -> list[str]:
    lines = []
    for record in cases:
        facts = headline(record.get("benchmark"))
        link = quote(f"{case_folder(record)}/test_report.md")
        lines.append(
            [
                f"[{markdown(title(record))}](<{link}>)",
                f"{MARKS.get(text(record.get('verdict')), '?')} {markdown(record.get('verdict'))}",
                markdown(labels(record)),
                shown(facts["ttft_ms_p50"], "ms"),
                shown(facts["itl_ms_p50"], "ms"),
                shown(facts["output_tokens_per_s"], "tok/s"),
                f"{shown(facts['requests_completed'])} / {shown(facts['requests_requested'])}",
                duration(record.get("seconds")),
            ]
        )
    return parts.table(("case", "verdict", "labels", "TTFT p50", "ITL p50", "throughput", "requests", "time"), lines)


def _soak(record: Mapping[str, Any]) -> list[str]:
    return parts.section(f"### Soak of {markdown(title(record))}", parts.soak(record, case_folder(record)))


def _story(record: Mapping[str, Any]) -> list[str]:
    """Return the section of a case that did not pass: why, the failure, the reasons; a pass needs none."""
    if record.get("verdict") == "pass":
        return []
    body = [*parts.failure(record), "", *parts.reasons(record)]
    if not any(body):
        body = [markdown(why(record))]
    return parts.section(f"### {markdown(title(record))}: {markdown(record.get('verdict'))}", body)


def _nodes(run: Mapping[str, Any]) -> list[str]:
    return parts.table(("node", "facts"), [[markdown(name), markdown(facts)] for name, facts in node_facts(run)])
