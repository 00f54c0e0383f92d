# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether nodes were found as they were: of each node after a case, and over all cases of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import differences
from .escape import one_line
from .values import items, mapping, rows, text

IDENTITY = ("scenario", "case", "attempt")
LEFT = ("leftovers", "errors")


def of_run(cases: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return {node: {clean, cases}} over the case records of a run; a case that was not run says nothing of its nodes.

    clean: as is_clean, of all cases together: true when each that used the node left it clean, else false, but None when only
    looks at it are missing. cases: those that did not leave it clean, each with its identity and what was found.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for record in cases:
        for node, state in mapping(record.get("verify")).items():
            found.setdefault(node, []).append(_after(record, mapping(state)))
    return {node: {"clean": _together(states), "cases": _unclean(states)} for node, states in found.items()}


def is_clean(state: Any) -> bool | None:
    """Return whether a node was found clean, None when nobody looked; a state that does not say so is not clean."""
    facts = mapping(state)
    return None if facts.get("clean", False) is None else facts.get("clean") is True


def left(state: Any) -> list[tuple[str, str]]:
    """Return what a node was left with as (what, detail); nothing of a clean one."""
    facts = mapping(state)
    found = [(differences.what(entry), differences.origin(entry)) for entry in rows(facts.get("leftovers"))]
    found += [("could not be verified", words(error)) for error in items(facts.get("errors"))]
    clean = is_clean(facts)
    if clean or found:
        return found
    if clean is None:
        return [("not verified", "it was not compared with its state before")]
    return [("not clean", "no list of leftovers")]


def words(error: Any) -> str:
    """Return an error of a cleaning or a listing in one line."""
    facts = mapping(error)
    if not facts.get("error"):
        return one_line(error)
    return one_line(f"{text(facts.get('what'))}: {text(facts.get('error'))}")


def _after(record: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    identity = {name: record.get(name) for name in IDENTITY}
    return {**identity, "clean": is_clean(state), **{name: items(state.get(name)) for name in LEFT}}


def _together(states: Iterable[Mapping[str, Any]]) -> bool | None:
    seen = {state["clean"] for state in states}
    return next(clean for clean in (False, None, True) if clean in seen)


def _unclean(states: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [state for state in states if state["clean"] is not True]
