# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a verdict is what it is: one account of failures, reasons, checks and leftovers for every report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import verification
from .escape import one_line
from .values import items, mapping, rows, text

MEANING = {
    "pass": "The cell did its work, the test passed, and the data may be believed.",
    "fail": "The test ran and failed.",
    "invalid": "The test ran, but its result may not be believed.",
    "no_data": "The test left no data to judge.",
    "flaky": "An earlier attempt did not pass; a later one did.",
    "error": "The cell failed, not the engine.",
    "cancelled": "The run was cancelled.",
    "skipped": "The case was not run.",
}
MARKS = {
    "pass": "✓",
    "fail": "✗",
    "invalid": "!",
    "no_data": "∅",
    "flaky": "~",
    "error": "✗",
    "cancelled": "■",
    "skipped": "»",
}


@dataclass(frozen=True)
class Account:
    """The failure of a case in words: sentence is "" when there is none; facts are name and value pairs."""

    sentence: str
    facts: tuple[tuple[str, str], ...]
    evidence: tuple[str, ...]


def account(failure: Any) -> Account:
    """Return the words for a failure record: what, where, whose, and the lines that show it."""
    facts = mapping(failure)
    if not facts:
        return Account("", (), ())
    kind, message = text(facts.get("error_kind")) or "unknown", text(facts.get("message"))
    named = [(name, text(facts.get(name))) for name in ("step", "node", "service", "owner", "rule", "during_fault")]
    retriable = facts.get("retriable")
    if isinstance(retriable, bool):
        named.append(("retriable", "yes" if retriable else "no"))
    return Account(
        sentence=f"{kind}: {message}" if message else kind,
        facts=tuple((name, value) for name, value in named if value),
        evidence=tuple(text(line) for line in items(facts.get("evidence"))),
    )


def why(record: Mapping[str, Any]) -> str:
    """Return one line that explains a verdict: the failure, else the first reason, else what the verdict means."""
    found = account(record.get("failure"))
    if found.sentence:
        return one_line(found.sentence)
    reasons = items(record.get("reasons"))
    if reasons:
        return one_line(reasons[0])
    return MEANING.get(text(record.get("verdict")), "")


def leftovers(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what was left on the nodes as (node, what, detail), cleaning errors first; clean nodes add nothing.

    record: of a case, or of a run, whose details name the case.
    """
    found = [
        (node, "could not be cleaned", verification.words(error))
        for node, done in mapping(mapping(record.get("cleaning")).get("nodes")).items()
        for error in items(mapping(done).get("errors"))
    ]
    for node, state in mapping(record.get("verify")).items():
        found += [(node, what, detail) for what, detail in _left(mapping(state))]
    return found


def _left(state: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "cases" not in state:
        return verification.left(state)
    return [
        (what, f"{detail}, after {title(case)}")
        for case in rows(state["cases"])
        for what, detail in verification.left(case)
    ]


def clean_states(record: Mapping[str, Any]) -> list[tuple[str, bool | None]]:
    """Return each node that had to be verified with whether it was found clean, None when nobody looked."""
    return [(node, verification.is_clean(state)) for node, state in mapping(record.get("verify")).items()]


def node_facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return each node with what is known of it in words; nothing where no more than names is known."""
    known = [mapping(node) or {"name": node} for node in items(record.get("nodes"))]
    plain = [{name: value for name, value in facts.items() if name != "name" and _is_plain(value)} for facts in known]
    told = [", ".join(f"{name}: {value}" for name, value in facts.items()) for facts in plain]
    return [(text(facts.get("name")), words) for facts, words in zip(known, told, strict=True)] if any(told) else []


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and value != ""


def title(record: Mapping[str, Any]) -> str:
    """Return the name of a case for people: scenario, case, and the attempt from the second on."""
    parts = [text(record.get("scenario"))]
    if record.get("case"):
        parts.append(text(record.get("case")))
    attempt = record.get("attempt")
    if isinstance(attempt, int) and attempt > 1:
        parts.append(f"attempt {attempt}")
    return " / ".join(parts)


def labels(record: Mapping[str, Any]) -> str:
    """Return the labels of a case as `name=value` pairs in order."""
    return ", ".join(f"{name}={value}" for name, value in mapping(record.get("labels")).items())


def end_state(service: Mapping[str, Any]) -> str:
    """Return how a service ended in words; kills for memory, restarts and recoveries are said: they can hide a fault."""
    parts = [text(service.get("state"))]
    if service.get("oom") is True:
        parts.append("killed for memory")
    restarts = service.get("restarts")
    if isinstance(restarts, int) and restarts > 0:
        parts.append(f"restarted {restarts} time{'s' if restarts > 1 else ''}")
    recovered = len(rows(service.get("recovered")))
    if recovered:
        parts.append(f"started again {recovered} time{'s' if recovered > 1 else ''} while the test ran")
    return ", ".join(part for part in parts if part)
