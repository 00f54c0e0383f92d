# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runner and the guard of one case are told: the schedule, the checks of services, how long the load lasts."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..beneath import case_folder, case_parts
from ..context import SAFE_NAME, Context, parse_run
from ..durable import read_json, replace_json
from ..errors import CellError
from ..params import number, refuse, text
from ..probes import Check, parse_check
from ..request import flag, mapping, mappings
from . import kinds
from .journal import NAME

SOAK = "soak"
BEGIN = "begin.json"
LONGEST_S = 30 * 86400.0
MOST_EVENTS = 10_000


@dataclass(frozen=True)
class Event:
    """One event of the schedule. at_s: after the load began; service: "" for the node."""

    id: str
    kind: str
    at_s: float
    duration_s: float
    service: str
    params: Mapping[str, Any]
    recovery_s: float
    expected: bool


@dataclass(frozen=True)
class Plan:
    """All that a case's faults on this node need. negative: everything is done but the injections."""

    events: tuple[Event, ...]
    checks: Mapping[str, Check]
    duration_s: float
    negative: bool


def parse(args: Mapping[str, Any]) -> Plan:
    """Return the checked plan of a request; raise config_invalid naming the key."""
    events = tuple(_event(item) for item in mappings(args, "schedule"))
    if len(events) > MOST_EVENTS:
        raise refuse("schedule", f"of {len(events)} events", f"{MOST_EVENTS} at most")
    names = [event.id for event in events]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise refuse("schedule", twice[0], "each id once")
    checks = {name: _check(name, value) for name, value in mapping(args, "checks").items()}
    duration = number(args, "duration_s", math.nan, 0.0, LONGEST_S)
    if math.isnan(duration):
        raise refuse("duration_s", None, f"a number from 0 to {LONGEST_S:g}")
    return Plan(events, checks, duration, flag(args, "negative_control", False))


def _event(item: Mapping[str, Any]) -> Event:
    name = text(item, "id")
    if not SAFE_NAME.match(name):
        raise refuse("schedule.id", name, "letters, digits, _.+=@,- (1 to 200)")
    kind = text(item, "kind")
    if kind not in kinds.MODULES:
        raise refuse("schedule.kind", kind, ", ".join(sorted(kinds.MODULES)))
    return Event(
        id=name,
        kind=kind,
        at_s=number(item, "at_s", 0.0, 0.0, LONGEST_S),
        duration_s=number(item, "duration_s", 0.0, 0.0, LONGEST_S),
        service=text(item, "service", ""),
        params=mapping(item, "params"),
        recovery_s=number(item, "recovery_s", 0.0, 0.0, LONGEST_S),
        expected=flag(item, "expected", True),
    )


def _check(service: str, value: Any) -> Check:
    if not isinstance(value, dict):
        raise refuse(f"checks.{service}", value, "an object")
    return parse_check({"service": service, **value})


def log_of(ctx: Context) -> str:
    """Return the path of the case's chaos.jsonl below the node root."""
    return "/".join((*case_parts(ctx, SOAK), NAME))


def digest(value: Mapping[str, Any]) -> str:
    """Return what tells a request from another one."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write(ctx: Context, args: Mapping[str, Any]) -> Path:
    """Put a request into the case's soak folder, under a name of its own, and return its path."""
    kept = {
        "root": str(ctx.root),
        "run": {"id": ctx.needed_run.id, "scenario": ctx.needed_run.scenario, "case": ctx.needed_run.case,
                "attempt": ctx.needed_run.attempt, "epoch": ctx.needed_run.epoch},
        "owner": ctx.owner,
        "args": dict(args),
    }  # fmt: skip
    name = f"chaos-{digest(kept)[:12]}.json"
    folder_fd = case_folder(ctx, SOAK, create=True)
    try:
        replace_json(folder_fd, name, kept)
    finally:
        os.close(folder_fd)
    return ctx.case_dir / SOAK / name


def read(path: Path) -> tuple[Context, Plan]:
    """Return the surroundings and the plan of a request that was written."""
    folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        kept = read_json(folder_fd, path.name)
    finally:
        os.close(folder_fd)
    if not isinstance(kept, dict):
        raise CellError("internal_error", f"{path} holds no request")
    ctx = Context(Path(kept["root"]), parse_run(kept["run"]), str(kept["owner"]))
    return ctx, parse(kept["args"])


def begun(ctx: Context) -> Mapping[str, Any] | None:
    """Return {t, b, boot_id, duration_s} of the load's begin, None before it."""
    try:
        folder_fd = case_folder(ctx, SOAK)
    except CellError as exc:
        if exc.kind != "artifact_missing":
            raise
        return None
    try:
        found = read_json(folder_fd, BEGIN)
    finally:
        os.close(folder_fd)
    return found if isinstance(found, dict) else None
