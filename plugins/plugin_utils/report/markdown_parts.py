# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Building blocks of the Markdown reports: tables and sections whose foreign text is already safe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from . import course, differences, soaks, transfers
from .cleaning import line, removed
from .escape import code, code_block, markdown, one_line
from .metrics import STATISTICS, latency_table, tiles
from .reasons import account, clean_states, end_state, leftovers
from .spans import of_case
from .values import ABSENT, duration, items, mapping, rows, shown, size, text, words

MAX_EVIDENCE_LINES = 60
MAX_STEPS = 120


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table of cells that are safe already; no lines, no table."""
    body = [f"| {' | '.join(line)} |" for line in lines]
    if not body:
        return []
    return [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *body, ""]


def section(heading: str, lines: Sequence[str]) -> list[str]:
    """Return lines under a heading, or nothing when there are none."""
    return [heading, "", *lines, *([] if lines[-1] == "" else [""])] if lines else []


def failure(record: Mapping[str, Any]) -> list[str]:
    """Return the failure of a case: sentence, place, and evidence lines in a block."""
    found = account(record.get("failure"))
    if not found.sentence:
        return []
    lines = [f"**{markdown(found.sentence)}**", ""]
    lines += [f"- {name}: {markdown(value)}" for name, value in found.facts]
    if found.evidence:
        shown_lines = found.evidence[:MAX_EVIDENCE_LINES]
        lines += ["", code_block("\n".join(shown_lines))]
    return lines


def reasons(record: Mapping[str, Any]) -> list[str]:
    """Return the reasons of a verdict as a list."""
    return [f"- {markdown(reason)}" for reason in items(record.get("reasons"))]


def soak(record: Mapping[str, Any], folder: str = "") -> list[str]:
    """Return what the gates of a soak say, with the way to its page. folder: of the case, from where this is read."""
    facts = mapping(record.get("soak"))
    if not facts:
        return []
    found = soaks.sentences(facts)
    base = f"{folder}/" if folder else ""
    page = quote(f"{base}{text(facts.get('page'))}")
    return [*(f"- {markdown(sentence)}" for sentence in found), f"- [All of it, with plots](<{page}>)"]


def checks(record: Mapping[str, Any]) -> list[str]:
    """Return the validity checks of a case as a table."""
    lines = [
        [
            markdown(check.get("name")),
            "ok" if check.get("ok") is True else "**not met**",
            markdown(shown(check.get("value"))),
            markdown(shown(check.get("limit"))),
        ]
        for check in rows(record.get("checks"))
    ]
    return table(("check", "state", "value", "limit"), lines)


def headline(record: Mapping[str, Any]) -> list[str]:
    """Return the headline figures and the latency percentiles of a case."""
    found = tiles(mapping(record.get("benchmark")))
    if not found:
        return []
    lines = table([tile.title for tile in found], [[f"**{tile.main}** ({tile.note})" for tile in found]])
    lines += table(("latency", *STATISTICS), [[title, *row] for title, row in latency_table(record["benchmark"])])
    return lines


def timeline(record: Mapping[str, Any]) -> list[str]:
    """Return the steps of a case in the order they began."""
    steps = [span for span in of_case(record) if span.kind == "step"]
    lines = [
        [
            duration(span.start_s),
            duration(span.seconds),
            markdown(span.name),
            markdown(span.node),
            "ok" if span.ok else "**failed**",
            markdown(span.detail),
        ]
        for span in steps[:MAX_STEPS]
    ]
    more = [f"{len(steps) - MAX_STEPS} more in timeline.csv", ""] if len(steps) > MAX_STEPS else []
    return [*table(("from", "for", "what", "node", "state", "detail"), lines), *more]


def deployment(record: Mapping[str, Any]) -> list[str]:
    """Return what the deployment of a case waited for, and the moments of each service."""
    lines = [
        [f"**{markdown(service.name)}**" if service.critical else markdown(service.name), *map(_cell, service.cells)]
        for service in course.services(record)
    ]
    told = [f"- {markdown(sentence)}" for sentence in course.sentences(record)]
    moments = [course.NOTE, "", *table(("service", *course.COLUMNS), lines)] if lines else []
    return [*told, *([""] if told else []), *moments]


def services(record: Mapping[str, Any]) -> list[str]:
    """Return the services of a case: where they ran, from which image, and how they ended."""
    lines = [
        [
            markdown(service.get("name")),
            markdown(service.get("node") or ""),
            markdown(service.get("role") or ""),
            code(service.get("image") or ""),
            code(text(service.get("image_id"))[:19]),
            markdown(end_state(service)),
            shown(service.get("exit_code")),
        ]
        for service in rows(record.get("services"))
    ]
    return table(("service", "node", "role", "image", "image id", "state", "exit code"), lines)


def cleaning(record: Mapping[str, Any]) -> list[str]:
    """Return what cleaning removed in all, by node, and whether each node was then found as it was."""
    states, facts = dict(clean_states(record)), mapping(record.get("cleaning"))
    done = mapping(facts.get("nodes"))
    lines = [
        [
            markdown(node),
            markdown(removed(done.get(node))),
            duration(mapping(done.get(node)).get("seconds")),
            shown(mapping(done.get(node)).get("emergency_passes")),
            _clean_word(states.get(node)),
        ]
        for node in dict.fromkeys([*done, *states])
    ]
    total = line(facts)
    left = [
        f"- {markdown(node)}: {markdown(what)} {markdown(detail)}".rstrip() for node, what, detail in leftovers(record)
    ]
    kept = [
        f"- {markdown(node)}: {markdown(differences.what(entry))}: {markdown(entry.get('detail'))}"
        for node, state in mapping(record.get("verify")).items()
        for entry in rows(mapping(state).get("noted"))
    ]
    said = [markdown(total[0].upper() + total[1:] + "."), ""] if total else []
    return [*said, *table(("node", "removed", "in", "emergency passes", "verified"), lines), *left, *kept]


def artifacts(record: Mapping[str, Any]) -> list[str]:
    """Return how many files came home, their size, the digest of their manifest, and what it took, by node."""
    facts = mapping(record.get("artifacts"))
    if not facts:
        return []
    count = f"{shown(facts.get('files'))} files, {size(facts.get('bytes'))}"
    total = f"{count}, manifest digest {code(facts['digest'])}" if facts.get("digest") else count
    lines = [f"- {markdown(told)}" for told in transfers.of_nodes(record)]
    return [total, "", *lines] if lines else [total]


def facts(record: Mapping[str, Any], name: str) -> list[str]:
    """Return a flat mapping of a record (versions, environment) as a table of names and values."""
    return table(
        ("name", "value"), [[markdown(key), markdown(words(value))] for key, value in mapping(record.get(name)).items()]
    )


def warnings(record: Mapping[str, Any]) -> list[str]:
    """Return the warnings of a record as a list."""
    return [f"- {markdown(_words(item))}" for item in items(record.get("warnings"))]


def _cell(value: str) -> str:
    return value if value == ABSENT else markdown(value)


def _words(item: Any) -> str:
    found = mapping(item)
    return text(found.get("message")) or one_line(item) if found else text(item)


def _clean_word(state: bool | None) -> str:
    if state is None:
        return "not verified"
    return "clean" if state else "**not clean**"
