# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a node is, in words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..report.escape import one_line
from ..report.values import clock as clock_time
from ..report.values import duration, size
from . import judge

Node = Mapping[str, Any]
ABSENT = "-"


def line(node: Node) -> str:
    """Return how a node is, in one line."""
    told = [*([_facts(node)] if node["reachable"] else []), *(short(problem) for problem in node["problems"])]
    return one_line("; ".join(told))


def short(problem: Mapping[str, str]) -> str:
    """Return a problem with its level and subject."""
    about = f" for {problem['scenario']}" if problem["scenario"] else ""
    return f"{problem['level']}: {problem['what']}{about}: {problem['detail']}"


def problems(nodes: Sequence[Node]) -> list[tuple[str, str]]:
    """Return (level, line) for each problem of each node, with what to do about it; errors come first."""
    found = [(node["name"], problem) for node in nodes for problem in node["problems"]]
    ordered = sorted(found, key=lambda pair: pair[1]["level"] != "error")
    return [(problem["level"], one_line(f"{name}: {short(problem)}{_next(problem)}")) for name, problem in ordered]


def engine(node: Node) -> str:
    """Return the engine's version."""
    facts = node["engine"] or {}
    return one_line(facts.get("version")) if facts.get("ok") else ABSENT


def compose(node: Node) -> str:
    """Return the versions of Compose; V1 says so itself."""
    return ", ".join(one_line(entry["version"]) for entry in node["compose"]) or ABSENT


def free_disk(node: Node) -> str:
    """Return the free space of the fullest disk."""
    free = [disk["free_bytes"] for disk in node["disks"]]
    return size(min(free)) if free else ABSENT


def clock(node: Node) -> str:
    """Return how far the node's clock is off."""
    offset = node["clock_offset_s"]
    return ABSENT if offset is None else f"{round(offset, 1) or 0.0:+.1f} s"


def gpus(node: Node) -> str:
    """Return the GPUs together: how many, memory used of all, mean utilisation."""
    cards = node["gpus"]
    if not cards:
        return "0" if node["reachable"] else ABSENT
    used = sum(card["memory_used_bytes"] or 0 for card in cards)
    total = sum(card["memory_total_bytes"] or 0 for card in cards)
    busy = [card["utilization_percent"] for card in cards if card["utilization_percent"] is not None]
    mean = [f"{sum(busy) / len(busy):.0f} %"] if busy else []
    return ", ".join([str(len(cards)), f"{size(used)} of {size(total)}", *mean])


def ports(node: Node) -> str:
    """Return which of the wanted ports are taken, and by whom."""
    wanted = node["ports"]
    if not wanted:
        return ABSENT
    taken = [
        f"{port['port']} {one_line(port['service'] or port['program'] or 'taken')}" for port in wanted if port["taken"]
    ]
    return ", ".join(taken) or f"{len(wanted)} free"


def leftovers(node: Node) -> str:
    """Return how much dead runs have left."""
    if not node["reachable"]:
        return ABSENT
    found = node["leftovers"]
    runs = len({item["run"] for item in found})
    return f"{len(found)} of {runs} run{'' if runs == 1 else 's'}" if found else "none"


def lease(node: Node) -> str:
    """Return who holds the node for which run, and for how long at most without a sign of life."""
    facts = node["lease"]
    if not facts:
        return ABSENT
    if not facts["held"]:
        return "free"
    return "; ".join(holder(one) for one in facts["holders"] or [facts])


def holder(facts: Mapping[str, Any]) -> str:
    """Return one holder of a node in words."""
    run, owner = one_line(facts["run"] or "?"), one_line(judge.short_owner(facts["owner"]))
    return f"run {run} of {owner}, {duration(facts['expires_in_s'])}"


def quarantine(node: Node) -> str:
    """Return by which kind of failure the node is kept from runs, and until when."""
    held = node["quarantine"]
    if not held:
        return "none" if node["reachable"] else ABSENT
    return f"{one_line(held['kind'])} until {clock_time(held['until'])}"


def health(service: Mapping[str, Any]) -> str:
    """Return how a service is; one without a health check has only its state."""
    if service["exit_code"] is not None:
        return "out of memory" if service["oom"] else f"exit code {service['exit_code']}"
    return one_line(service["health"]) or ABSENT


def _facts(node: Node) -> str:
    found = f"engine {engine(node)}" if node["engine"]["ok"] else "no engine"
    composes = ", ".join(f"{entry['kind']} {entry['version']}" for entry in node["compose"]) or "none"
    parts = [found, f"compose {composes}", f"python {node['python']}", f"{free_disk(node)} free"]
    parts += [f"GPUs {gpus(node)}"] if node["gpus"] else []
    held = lease(node)
    return ", ".join([*parts, "not held" if held == "free" else f"held by {held}"])


def _next(problem: Mapping[str, str]) -> str:
    return f"; next: {problem['next']}" if problem["next"] else ""
