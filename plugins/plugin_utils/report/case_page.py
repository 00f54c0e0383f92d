# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""test_report.md: one attempt of one case, verdict first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import markdown_parts as parts
from .escape import code, markdown
from .reasons import labels, title, why
from .values import clock, duration, items, mapping, text


def render(record: Mapping[str, Any]) -> str:
    """Return the Markdown report of one attempt; every foreign text in it is escaped."""
    lines = [
        f"# {markdown(title(record))}: {markdown(text(record.get('verdict')).upper())}",
        "",
        markdown(why(record)),
        "",
        *_identity(record),
        "",
        *parts.section("## Failure", parts.failure(record)),
        *parts.section("## Reasons", parts.reasons(record)),
        *parts.section("## Soak", parts.soak(record)),
        *parts.section("## Figures", parts.headline(record)),
        *parts.section("## Checks of the data", parts.checks(record)),
        *parts.section("## Timeline", parts.timeline(record)),
        *parts.section("## Deployment", parts.deployment(record)),
        *parts.section("## Services", parts.services(record)),
        *parts.section("## Artifacts", parts.artifacts(record)),
        *parts.section("## Cleaning", parts.cleaning(record)),
        *parts.section("## Warnings", parts.warnings(record)),
        *parts.section("## Versions", parts.facts(record, "versions")),
        *parts.section("## Environment", parts.facts(record, "environment")),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _identity(record: Mapping[str, Any]) -> list[str]:
    facts = {
        "run": code(record.get("run_id") or ""),
        "labels": markdown(labels(record)),
        "attempt": markdown(record.get("attempt") or ""),
        "control": _word(
            mapping(record.get("control")).get("ok"), "the cell did its work", "the cell did not do its work"
        ),
        "result": _result(mapping(record.get("result"))),
        "nodes": ", ".join(markdown(_name(node)) for node in items(record.get("nodes"))),
        "started": markdown(clock(record.get("started_at"))),
        "duration": duration(record.get("seconds")),
    }
    return [f"- {name}: {value}" for name, value in facts.items() if value]


def _result(result: Mapping[str, Any]) -> str:
    said = _word(result.get("ok"), "the test passed", "the test did not pass")
    return f"{said}; the server throttled it" if said and result.get("throttled") is True else said


def _word(state: Any, yes: str, no: str) -> str:
    if state is None:
        return ""
    return yes if state is True else no


def _name(node: Any) -> str:
    return text(mapping(node).get("name")) if mapping(node) else text(node)
