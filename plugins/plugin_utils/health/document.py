# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of nodes, the same for programs, the screen and the playbook. The reference page names every field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..run.plan import CasePlan
from . import judge
from .judge import Problem
from .standard import Standard

SCHEMA_VERSION = 1
Json = dict[str, Any]

MACHINE = ("hostname", "user", "kernel", "architecture", "python", "cpus", "memory_bytes")
ENGINE = ("ok", "version", "api", "error")
COMPOSE = ("kind", "version")
DISK = ("path", "free_bytes", "total_bytes", "free_inodes")
GPU = ("index", "name", "uuid", "memory_total_bytes", "memory_used_bytes", "utilization_percent")
LEASE = ("held", "state", "run", "owner", "epoch", "ttl_s", "expires_in_s", "shared", "holders")
QUARANTINE = ("kind", "reason", "run", "since", "until")
SERVICE = ("run", "scenario", "case", "service", "container", "image", "state", "health", "exit_code", "oom",
           "restarts", "age_s", "up_s", "ports")  # fmt: skip
LEFTOVER = ("run", "type", "id", "name", "age_s", "ours")


@dataclass(frozen=True)
class Asking:
    """When a node was asked, in seconds since 1970, and how long its answer took."""

    at_unix: float
    seconds: float


def of_answer(
    name: str, facts: Mapping[str, Any], asking: Asking, standard: Standard, is_dead: Callable[[str], bool]
) -> Json:
    """Return what is told of a node that answered; facts: the result of its `health`."""
    offset = round(facts["answered_unix"] - (asking.at_unix + asking.seconds), 3)
    problems = judge.general(facts, standard.min_free_bytes, offset, is_dead)
    here = [case for case in standard.cases if name in case.nodes]
    for case in here:
        problems += judge.of_scenario(facts, case, name, standard.min_free_bytes)
    return {
        **_head(name, problems, asking, reachable=True),
        **_picked(facts, MACHINE),
        "clock_offset_s": offset,
        "engine": _picked(facts["engine"], ENGINE),
        "compose": [_picked(entry, COMPOSE) for entry in facts["compose"]],
        "disks": [_picked(entry, DISK) for entry in facts["disks"]],
        "gpus": [_picked(entry, GPU) for entry in facts["gpus"]],
        "lease": _picked(facts["lease"], LEASE),
        "quarantine": _quarantine(facts),
        "services": [_picked(entry, SERVICE) for entry in _going_on(facts)],
        "leftovers": [_picked(entry, LEFTOVER) for entry in judge.dead_leftovers(facts)],
        "ports": _ports(facts, here, name),
        "scenarios": [_scenario(case, name, problems) for case in here],
    }


def of_silence(name: str, kind: str, detail: str, asking: Asking) -> Json:
    """Return what is told of a node that did not answer, and why not as far as it is known."""
    return _without_answer(name, [judge.problem("error", "node", kind, detail)], asking)


def of_disabled(name: str, now: float) -> Json:
    """Return what is told of a node that takes no part."""
    detail = "testcell_enabled is false; it was not asked"
    told = _without_answer(name, [judge.problem("warning", "disabled", "", detail)], Asking(now, 0.0))
    return {**told, "state": "disabled"}


def of_round(number: int, at_unix: float, nodes: Sequence[Json], scenarios: Sequence[str]) -> Json:
    """Return the document of one round over all nodes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "round": number,
        "at_unix": round(at_unix, 3),
        "ok": all(node["ok"] for node in nodes),
        "scenarios": list(scenarios),
        "nodes": list(nodes),
    }


def _without_answer(name: str, problems: list[Problem], asking: Asking) -> Json:
    return {
        **_head(name, problems, asking, reachable=False),
        **dict.fromkeys((*MACHINE, "clock_offset_s", "engine", "lease", "quarantine")),
        **{key: [] for key in ("compose", "disks", "gpus", "services", "leftovers", "ports", "scenarios")},
    }


def _head(name: str, problems: list[Problem], asking: Asking, *, reachable: bool) -> Json:
    levels = {problem["level"] for problem in problems}
    return {
        "name": name,
        "ok": "error" not in levels,
        "state": "failed" if "error" in levels else "warning" if levels else "ok",
        "reachable": reachable,
        "asked_unix": round(asking.at_unix, 3),
        "seconds": round(asking.seconds, 3),
        "problems": problems,
    }


def _picked(facts: Mapping[str, Any], names: Sequence[str]) -> Json:
    return {name: facts.get(name) for name in names}


def _quarantine(facts: Mapping[str, Any]) -> Json | None:
    held = facts["memory"]["quarantine"]
    return _picked(held, QUARANTINE) if held else None


def _going_on(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the services of the runs that hold the node."""
    living = judge.living_runs(facts)
    return [entry for entry in facts["services"] if entry["run"] in living]


def _ports(facts: Mapping[str, Any], cases: Sequence[CasePlan], node: str) -> list[Json]:
    """Return each port that the cases want here, and who has it now."""
    listening = {entry["port"]: entry for entry in facts["listening"]}
    ours = judge.published(facts)
    found = []
    for port in judge.wanted_ports(cases, node):
        holder, service = listening.get(port, {}), ours.get(port, {})
        who = {"program": holder.get("program", ""), "pid": holder.get("pid")}
        by = {"service": service.get("service", ""), "run": service.get("run", "")}
        found.append({"port": port, "taken": bool(holder or service), **who, **by})
    return found


def _scenario(case: CasePlan, node: str, problems: Sequence[Problem]) -> Json:
    """Return what a scenario would do on this node, and whether nothing is in its way."""
    name = case.ref.scenario
    concerned = [one for one in problems if one["level"] == "error" and one["scenario"] in ("", name)]
    services = [service.name for service in case.services_on(node)]
    return {"name": name, "services": services, "runs_test": case.test.node == node, "ok": not concerned}
