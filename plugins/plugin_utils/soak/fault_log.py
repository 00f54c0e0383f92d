# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of the faults of a soak, by the `chaos.jsonl` of its nodes and by what was planned."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..verdict.strict_json import FileProblem
from .begin import Begin, number
from .kinds_table import KINDS
from .model import Fault
from .schedule import Injection

FILE = "chaos.jsonl"
LOAD = "load"
MAX_LINE_BYTES = 1 << 20
# Phases after which a fault was never there; the others end one that was.
NEVER = {"unsupported": "unsupported", "target_gone": "target_gone", "not_reached": "not_reached"}
# What happens to a fault or because of it; planning and probing are no events of the soak itself.
EVENTS = (
    *("injected", "undone", "recovered", "unsupported", "not_applied"),
    *("target_gone", "not_recovered", "failed", "not_reached"),
)
UNTOLD = "its node told nothing of it"


@dataclass(frozen=True)
class Said:
    """One line of a node's chaos.jsonl. at_s: seconds since the load began there; unix_s: by the node's wall clock."""

    node: str
    id: str
    phase: str
    at_s: float
    unix_s: float
    line: Mapping[str, Any]


def read(node: str, folder: Path, begin: Begin | None) -> tuple[tuple[Said, ...], tuple[FileProblem, ...]]:
    """Return what a node's file says, in its order, and what is wrong with it. A last line without its end is left out.

    A node without the file had no faults to make; whether that was so is known by the plan.
    """
    path = folder / FILE
    if path.is_symlink() or not path.is_file():
        return (), ()
    since = begin.boottime_s if begin else 0.0
    found: list[Said] = []
    problems: list[FileProblem] = []
    for place, raw in _lines(path):
        said = _said(node, raw, since)
        if said is None:
            problems.append(FileProblem(FILE, place, "", "is no line about a fault; it was left out"))
        else:
            found.append(said)
    return tuple(found), tuple(problems)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        for place, raw in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), 1):
            if raw.endswith(b"\n"):
                yield place, raw


def _said(node: str, raw: bytes, since: float) -> Said | None:
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not isinstance(line.get("id"), str) or not isinstance(line.get("phase"), str):
        return None
    boottime, unix = number(line.get("b")), number(line.get("t"))
    if boottime is None or unix is None:
        return None
    return Said(node, line["id"], line["phase"], round(boottime - since, 3), unix, line)


def faults(planned: Sequence[Injection], said: Iterable[Said], negative_control: bool = False) -> tuple[Fault, ...]:
    """Return every planned fault as it came to be, in the order of the plan. One that nobody speaks of was not reached.

    negative_control: none was to be injected, so one that was measured has the outcome `control`.
    """
    by_id: dict[str, list[Said]] = {}
    for one in said:
        by_id.setdefault(one.id, []).append(one)
    found = tuple(_fault(one, by_id.get(one.id, [])) for one in planned)
    return tuple(_controlled(one) for one in found) if negative_control else found


def _controlled(fault: Fault) -> Fault:
    """Return a fault of a negative control. What was injected all the same stays what it is: a gate tells of it."""
    measured = fault.applied is not None or fault.control
    return replace(fault, outcome="control") if measured and fault.outcome != "injected" else fault


def _fault(planned: Injection, said: Sequence[Said]) -> Fault:
    found = Fault(
        id=planned.id,
        kind=planned.kind,
        target=_target(planned),
        outcome="not_reached",
        began_s=None,
        undone_s=None,
        allowance_s=planned.recovery_s,
        expected=planned.expected,
        why="" if said else UNTOLD,
    )
    for one in said:
        found = _told(found, one)
    return found


def _target(planned: Injection) -> str:
    """Return what a fault is aimed at; extra load only comes from its node, whose services nobody harms."""
    if KINDS[planned.kind].aims == "load":
        return LOAD
    return f"{planned.node}/{planned.service}" if planned.service else planned.node


def _told(fault: Fault, said: Said) -> Fault:
    """Return a fault with what one line says of it."""
    why = str(said.line.get("why") or "") or fault.why
    take = _TAKEN.get(said.phase)
    if take is not None:
        return take(replace(fault, why=why), said)
    if said.phase in NEVER and fault.outcome != "injected":
        return replace(fault, outcome=NEVER[said.phase], why=why, began_s=None)
    return replace(fault, why=why)


def _verified(fault: Fault, said: Said) -> Fault:
    left = said.line.get("left")
    return replace(fault, reverted=not left, why="; ".join(map(str, left)) if left else fault.why)


# What a line of a phase says of its fault.
_TAKEN: Mapping[str, Callable[[Fault, Said], Fault]] = {
    "control": lambda fault, said: replace(fault, control=bool(said.line.get("applied"))),
    # It is made between the two: what is felt may be seen before its node has said so.
    "record": lambda fault, said: replace(fault, began_s=said.at_s),
    "injected": lambda fault, _: replace(fault, outcome="injected"),
    "effect": lambda fault, said: replace(
        fault, applied=bool(said.line.get("applied")), measured=_measured(said.line.get("measured"))
    ),
    "undone": lambda fault, said: replace(fault, undone_s=said.at_s if fault.undone_s is None else fault.undone_s),
    "verified": _verified,
    "recovered": lambda fault, said: replace(fault, recovered_s=said.at_s),
    "not_applied": lambda fault, _: replace(fault, outcome="not_applied"),
}


def _measured(found: Any) -> dict[str, float | str]:
    if not isinstance(found, dict):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, (int, float, str))}
