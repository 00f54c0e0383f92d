# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""A finished run for the terminal: verdict, headline figures, failures with reason and next step, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcell.cli.output import STYLES, Line, Part, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EVIDENCE = 8


def page(summary: Mapping[str, Any], run_dir: Path) -> list[Part]:
    """Return the lines and tables that end a run on the terminal."""
    verdict = Line(_verdict(summary), f"bold {STYLES.get(str(summary.get('verdict')), '')}".strip())
    return [*_figures(summary), *_stories(summary), "", verdict, f"report   {run_dir / 'report.html'}"]


def tally(counts: Mapping[str, Any]) -> str:
    """Return counts by verdict in words: `2 pass, 1 invalid`."""
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "-"


def next_step(failure: Mapping[str, Any], run_id: str) -> str:
    """Return what a person can do about a failure record, "" when there is nothing better than reading on."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import next_steps

    return next_steps.next_step(str(failure.get("error_kind")), run_id, str(failure.get("message") or ""))


def _verdict(summary: Mapping[str, Any]) -> str:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration

    verdict, counts = str(summary.get("verdict", "?")).upper(), summary.get("counts") or {}
    return f"verdict  {verdict}  ({tally(counts)}, {duration(summary.get('seconds'))}, run {summary.get('run_id')})"


def _figures(summary: Mapping[str, Any]) -> list[Table]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.reasons import title
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration, rows, shown

    lines = []
    for case in rows(summary.get("cases")):
        facts = case.get("metrics") or {}
        lines.append(
            (
                one_line(title(case)),
                one_line(case.get("verdict")),
                shown(facts.get("ttft_ms_p50"), "ms"),
                shown(facts.get("ttft_ms_p99"), "ms"),
                shown(facts.get("itl_ms_p50"), "ms"),
                shown(facts.get("output_tokens_per_s"), "tok/s"),
                f"{shown(facts.get('requests_completed'))}/{shown(facts.get('requests_requested'))}",
                duration(case.get("seconds")),
            )
        )
    columns = ("case", "verdict", "TTFT p50", "TTFT p99", "ITL p50", "throughput", "requests", "time")
    return [Table(columns, lines, right=frozenset(columns[2:]))] if lines else []


def _stories(summary: Mapping[str, Any]) -> Iterator[str]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.reasons import title
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import rows

    run_id = str(summary.get("run_id", ""))
    yield from _story("the run", summary, run_id)
    for case in rows(summary.get("cases")):
        if case.get("verdict") != "pass":
            yield from _story(title(case), case, run_id)


def _story(name: str, record: Mapping[str, Any], run_id: str) -> Iterator[str]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.reasons import account
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import items, mapping

    found = account(record.get("failure"))
    reasons = items(record.get("reasons"))
    if not found.sentence and not reasons:
        return
    yield ""
    yield f"{one_line(name)}: {one_line(record.get('verdict', ''))}"
    if found.sentence:
        where = ", ".join(f"{key} {value}" for key, value in found.facts if key in ("step", "node", "service"))
        yield f"  why   {one_line(found.sentence)}{f' ({one_line(where)})' if where else ''}"
    for reason in reasons:
        if one_line(reason) not in one_line(found.sentence):
            yield f"  why   {one_line(reason)}"
    for line in found.evidence[-MAX_EVIDENCE:]:
        yield f"        | {one_line(line)}"
    step = next_step(mapping(record.get("failure")), run_id)
    if step:
        yield f"  next  {step}"
