# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The prep step: can this node do the job? Every reason why not is named at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..run.plan import CasePlan
from . import install, lease, soaking
from .cell import Cell, StepFailure
from .needs import need_problems, wanted

MAX_CLOCK_OFFSET_S = 5.0
ENGINE_START_S = 30.0
GIB = 1 << 30


def check(cell: Cell) -> dict[str, Any]:
    """Read the node's facts, hold them against the case, and take the snapshot that verify compares with."""
    facts, offset = _settled_facts(cell)
    problems = node_problems(facts, cell.case, cell.node, cell.plan.min_free_bytes) + soaking.cannot(cell)
    if problems:
        kinds = [kind for kind, _ in problems]
        texts = [*(text for _, text in problems), *install_words(cell, facts)]
        raise StepFailure(kinds[0], f"node {cell.node} cannot do the job: " + "; ".join(texts))
    warnings = [text for text in [clock_warning(cell.node, offset), *leftover_warnings(cell.node, facts)] if text]
    for text in warnings:
        cell.event(text, level="warning")
    lease.reap_if_due(cell)
    cell.board.post(f"facts.{cell.node}", {**facts, "clock_offset_s": round(offset, 3), "warnings": warnings})
    cell.board.post(f"snapshot.{cell.node}", cell.client.call("snapshot"))
    return {"engine": facts["engine"].get("version"), "compose": compose_title(facts)}


def _settled_facts(cell: Cell) -> tuple[dict[str, Any], float]:
    """Return the node's facts and how far its clock is off; an engine that was just installed is given time to start."""
    deadline = cell.clock() + ENGINE_START_S
    while True:
        asked = cell.clock()
        facts = cell.client.call("facts", paths=[], deep=True, **wanted(cell.case, cell.node))
        offset = facts["time_unix"] - (asked + cell.clock()) / 2
        if facts["engine"]["ok"] or not install.kept(cell).get("changed") or cell.clock() >= deadline:
            return facts, offset
        cell.sleep(0.5)


def install_words(cell: Cell, facts: dict[str, Any]) -> list[str]:
    """Return what became of installing, or that it was not asked for; nothing where nothing could be installed."""
    kept = install.kept(cell)
    if kept:
        return [install.told(kept)]
    parts = install.lacks(facts) if cell.case.services_on(cell.node) else []
    return [f"testcell_install=true would install {' and '.join(parts)}"] if parts else []


def node_problems(facts: dict[str, Any], case: CasePlan, node: str, min_free_bytes: int) -> list[tuple[str, str]]:
    """Return (error_kind, sentence) for each reason why the node cannot run its part of the case."""
    services = case.services_on(node)
    found: list[tuple[str, str]] = []
    if services:
        found += engine_problems(facts)
        found += _port_problems(facts, [port for service in services for port in service.ports])
        found += _gpu_problems(facts, case.min_gpu_memory_bytes)
        found += need_problems(facts, case, node)
    return found + disk_problems(facts, min_free_bytes)


def engine_problems(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (error_kind, sentence) for an engine or a Compose that is not there."""
    engine = facts["engine"]
    if not engine["ok"]:
        return [
            (
                engine.get("error_kind") or "docker_daemon_down",
                f"the Docker engine does not answer: {engine.get('error')}",
            )
        ]
    if not facts["compose"]:
        return [
            ("docker_api_mismatch", "Docker Compose is absent; install the compose plugin (V2) or docker-compose (V1)")
        ]
    return []


def _port_problems(facts: dict[str, Any], ports: Sequence[int]) -> list[tuple[str, str]]:
    taken = {entry["port"]: entry for entry in facts.get("listening", [])}
    return [
        (
            "port_conflict",
            f"port {port} is taken by {_holder(taken[port])}; end it or choose another port",
        )
        for port in ports
        if port in taken
    ]


def _holder(entry: Mapping[str, Any]) -> str:
    """Return who listens on a port, in words; a container rather than the engine's process that listens for it."""
    if entry.get("container"):
        return f"container {entry['container']}"
    return f"{entry.get('program') or 'a program'} (pid {entry.get('pid')})"


def _gpu_problems(facts: dict[str, Any], needed: int) -> list[tuple[str, str]]:
    if not needed:
        return []
    gpus = facts.get("gpus") or []
    if not gpus:
        return [
            (
                "gpu_missing",
                f"it has no GPU ({facts.get('gpu_error') or 'nvidia-smi lists none'}); {needed / GIB:.0f} GiB are required",
            )
        ]
    smallest = min(gpu["memory_total_bytes"] or 0 for gpu in gpus)
    if smallest < needed:
        return [
            ("gpu_missing", f"its GPU memory is {smallest / GIB:.1f} GiB, below the required {needed / GIB:.1f} GiB")
        ]
    return []


def disk_problems(facts: dict[str, Any], needed: int) -> list[tuple[str, str]]:
    """Return (error_kind, sentence) for each disk with less free space than needed, in bytes."""
    advice = f"below {needed / GIB:.2f} GiB; free space or lower testcell_min_free_bytes"
    return [
        ("disk_full", f"{disk['path']} has {disk['free_bytes'] / GIB:.2f} GiB free, {advice}")
        for disk in facts.get("disks", [])
        if disk["free_bytes"] < needed
    ]


def clock_warning(node: str, offset_s: float) -> str:
    """Return a warning when the node's clock is off, else ""."""
    if abs(offset_s) <= MAX_CLOCK_OFFSET_S:
        return ""
    return f"the clock of {node} is {offset_s:+.1f} s off the controller's; times of its files and logs are shifted"


def leftover_warnings(node: str, facts: dict[str, Any]) -> list[str]:
    """Return a warning for each object of another run that stands on the node and does not hold it."""
    living = {holder["run"] for holder in facts.get("lease", {}).get("holders", [])}
    return [
        f"{node} holds {item['type']} {item.get('name') or item['id']} of run {item['run']}; `testcell cleanup {item['run']}` removes it"
        for item in facts.get("leftovers", [])
        if item["run"] not in living
    ]


def compose_choice(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the Compose that is used on the node, as its facts tell it: the plugin where there is one, else V1."""
    return dict(min(facts["compose"], key=lambda entry: entry["kind"] != "plugin"))


def compose_title(facts: dict[str, Any]) -> str:
    """Return kind and version of the Compose that is used, for people."""
    return "{kind} {version}".format(**compose_choice(facts)) if facts["compose"] else "none"
