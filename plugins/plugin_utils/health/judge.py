# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a node, from what it says of itself: in general, and for what scenarios need from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..run.plan import CasePlan
from ..steps import prep
from ..verdict import next_steps

Facts = Mapping[str, Any]
Problem = dict[str, str]

CLOCK_STEP = "let the node take its time from where the controller takes it (chrony, ntpd, systemd-timesyncd)"
GPU_STEP = "look at `nvidia-smi` on the node"
CLEANUP_STEP = "testcell cleanup {run}"
LIFT_STEP = "put the node right; then `testcell cleanup --all --lift` cleans it and lets runs on it again"
OTHERS_STEP = "leave it to whoever started that run; cleaning up from here does not touch it"
FAILED_STATES = ("restarting", "exited", "dead")


def problem(level: str, what: str, kind: str, detail: str, step: str | None = None, scenario: str = "") -> Problem:
    """Return one problem. level: error (the node cannot work) or warning; step: what to do, None for that of the kind."""
    text = next_steps.next_step(kind, "RUN") if step is None else step
    return {"level": level, "what": what, "error_kind": kind, "scenario": scenario, "detail": detail, "next": text}


def general(facts: Facts, min_free_bytes: int, offset_s: float, is_dead: Callable[[str], bool]) -> list[Problem]:
    """Return what is wrong with a node whatever runs there. is_dead: decides of an owner whether its process is gone."""
    return [
        *(_error(kind, text) for kind, text in _unable(facts, min_free_bytes)),
        *_gpus(facts),
        *_clock(offset_s),
        *_lease(facts, is_dead),
        *_quarantine(facts),
        *_services(facts),
        *_leftovers(facts),
    ]


def of_scenario(facts: Facts, case: CasePlan, node: str, min_free_bytes: int) -> list[Problem]:
    """Return why a case could not run on a node now, without what is wrong there for every case."""
    name, ours = case.ref.scenario, published(facts)
    strangers = [entry for entry in facts["listening"] if entry["port"] not in ours]
    known = _unable(facts, min_free_bytes)
    found = prep.node_problems({**facts, "listening": strangers}, case, node, min_free_bytes)
    return [
        *(problem("error", "need", kind, text, scenario=name) for kind, text in found if (kind, text) not in known),
        *(_own_port(facts, ours[port], port, name) for port in wanted_ports([case], node) if port in ours),
        *_occupied(facts, case, node),
    ]


def living_runs(facts: Facts) -> frozenset[str]:
    """Return the runs that hold the node."""
    return frozenset(str(holder["run"]) for holder in facts["lease"]["holders"])


def published(facts: Facts) -> dict[int, Mapping[str, Any]]:
    """Return port -> the container of a run of ours that has it."""
    runs = living_runs(facts) | _removable(facts)
    return {port: entry for entry in facts["services"] if entry["run"] in runs for port in entry["ports"]}


def wanted_ports(cases: Iterable[CasePlan], node: str) -> list[int]:
    """Return the ports that services of the cases publish on a node, sorted."""
    return sorted({port for case in cases for service in case.services_on(node) for port in service.ports})


def dead_leftovers(facts: Facts) -> list[Mapping[str, Any]]:
    """Return what is on the node of runs that do not hold it."""
    living = living_runs(facts)
    return [item for item in facts["leftovers"] if item["run"] not in living]


def told(items: Sequence[Mapping[str, Any]]) -> str:
    """Return what things there are in words, by their type: `2 containers, 1 network`."""
    counts = Counter(str(item["type"]) for item in items)
    return ", ".join(f"{count} {kind}{_plural(kind, count)}" for kind, count in counts.items())


def _plural(kind: str, count: int) -> str:
    return "" if count == 1 else "es" if kind.endswith("s") else "s"


def _unable(facts: Facts, min_free_bytes: int) -> list[tuple[str, str]]:
    return [*prep.engine_problems(dict(facts)), *prep.disk_problems(dict(facts), min_free_bytes)]


def _error(kind: str, text: str) -> Problem:
    what = {"disk_full": "disk", "docker_api_mismatch": "compose"}.get(kind, "engine")
    return problem("error", what, kind, text)


def _gpus(facts: Facts) -> Iterator[Problem]:
    if facts["gpu_error"]:
        yield problem("warning", "gpu", "gpu_missing", str(facts["gpu_error"]), GPU_STEP)


def _clock(offset_s: float) -> Iterator[Problem]:
    if abs(offset_s) > prep.MAX_CLOCK_OFFSET_S:
        detail = f"the clock is {offset_s:+.1f} s off the controller's; times of its files and logs are shifted"
        yield problem("warning", "clock", "clock_skew", detail, CLOCK_STEP)


def _lease(facts: Facts, is_dead: Callable[[str], bool]) -> Iterator[Problem]:
    lease = facts["lease"]
    if lease["state"] == "corrupt":
        detail = f"the file of the lease cannot be read: {lease.get('why')}"
        yield problem("warning", "lease", "lock_held", detail, "the next run takes the node once the lease has expired")
    for holder in lease["holders"]:
        if is_dead(str(holder["owner"])):
            detail = f"run {holder['run']} holds the node, and its controller {short_owner(holder['owner'])} is gone"
            yield problem("warning", "lease", "controller_died", detail, CLEANUP_STEP.format(run=holder["run"]))


def _quarantine(facts: Facts) -> Iterator[Problem]:
    held = facts["memory"]["quarantine"]
    if held:
        hours = (held["until"] - facts["time_unix"]) / 3600
        detail = f"no run gets the node for {hours:.1f} h more, since run {held['run']}: {held['reason']}"
        yield problem("error", "quarantine", held["kind"], detail, LIFT_STEP)


def _services(facts: Facts) -> Iterator[Problem]:
    """Yield what is wrong with services of runs that go on; whether a test goes on is for its run to decide."""
    living = living_runs(facts)
    for entry in facts["services"]:
        if entry["run"] in living:
            kind, words = _trouble(entry)
            if kind:
                detail = f"service {entry['service']} of run {entry['run']} {words}"
                yield problem("warning", "service", kind, detail, f"docker logs {entry['container']}")
    if facts["services_error"] and facts["engine"]["ok"]:
        yield problem("warning", "service", "docker_timeout", f"services cannot be listed: {facts['services_error']}")


def _trouble(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return error_kind and words for a service that is not well, ("", "") for one that is."""
    if entry["state"] == "running" and entry["health"] == "unhealthy":
        return "service_unhealthy", "is unhealthy"
    if entry["state"] not in FAILED_STATES or entry["exit_code"] == 0:
        return "", ""
    if entry["state"] == "restarting":
        return "service_flapping", f"is restarted again and again ({entry['restarts']} times so far)"
    if entry["oom"]:
        return "container_oom", "was killed for memory"
    return "container_exited", f"has ended with exit code {entry['exit_code']}"


def _removable(facts: Facts) -> set[str]:
    """Return the runs that cleaning up from here would remove: those that were started from this node's folder."""
    return {str(item["run"]) for item in facts["leftovers"] if item["ours"]}


def _leftovers(facts: Facts) -> Iterator[Problem]:
    """Yield one problem a run: what it left may be thousands of things."""
    found, removable = dead_leftovers(facts), _removable(facts)
    for run in dict.fromkeys(str(item["run"]) for item in found):
        things = told([item for item in found if item["run"] == run])
        if run in removable:
            detail, step = f"run {run} has left {things}", CLEANUP_STEP.format(run=run)
        else:
            detail, step = f"run {run}, which has its files elsewhere, has {things} here", OTHERS_STEP
        yield problem("warning", "leftover", "docker_leftover", detail, step)
    if facts["leftovers_error"] and facts["engine"]["ok"]:
        yield problem("warning", "leftover", "docker_timeout", f"cannot be listed: {facts['leftovers_error']}")


def _own_port(facts: Facts, entry: Mapping[str, Any], port: int, scenario: str) -> Problem:
    """Return what a port means that a run of ours has: one that goes on ends some time, one that is dead is removed."""
    detail = f"port {port} is taken by service {entry['service']} of run {entry['run']}"
    step = "wait for that run" if entry["run"] in living_runs(facts) else CLEANUP_STEP.format(run=entry["run"])
    return problem("warning", "need", "port_conflict", detail, step, scenario)


def _occupied(facts: Facts, case: CasePlan, node: str) -> Iterator[Problem]:
    lease = facts["lease"]
    unknown = {"run": "", "owner": "", "shared": False, "expires_in_s": lease["expires_in_s"]}
    for holder in lease["holders"] or ([unknown] if lease["held"] else []):
        if node in case.nodes and not (holder["shared"] and case.shares_nodes):
            who = f"run {holder['run']} of {short_owner(holder['owner'])}" if holder["run"] else "an unknown run"
            detail = (
                f"the node is held by {who} for at most {holder['expires_in_s']:.0f} s more, unless that run goes on"
            )
            yield problem("warning", "need", "lock_held", detail, "wait for that run", case.ref.scenario)


def short_owner(owner: Any) -> str:
    """Return an owner as people know it: user, host and process, without the mark of the boot."""
    return str(owner).partition("/")[0] or "?"
