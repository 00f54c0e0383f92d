# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for people and for programs: nodes, batches, files and commands, before anything is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..deploy import graph, override, schedule
from ..report.values import duration
from .plan import CasePlan, RunPlan

MOST_FAULTS_SHOWN = 100
IN_BYTES = ("max_rss_slope", "max_anon_slope", "max_disk_slope", "max_gpu_memory_slope")


def as_data(plan: RunPlan) -> dict[str, Any]:
    """Return the plan as plain JSON types: one entry a case, in order."""
    return {"run_id": plan.run_id, "results_dir": plan.results_dir, "cases": [_case(plan, case) for case in plan.cases]}


def as_text(plan: RunPlan) -> str:
    """Return the plan as lines for a terminal."""
    lines = [f"plan: {len(plan.cases)} attempt(s) at most; nothing has been touched"]
    for case in as_data(plan)["cases"]:
        lines += ["", f"{case['title']}: {case['description']}", f"  nodes    {', '.join(case['nodes'])}"]
        lines += [f"  batch {n}  {', '.join(batch)}" for n, batch in enumerate(case["batches"], 1)]
        lines += _deployment_lines(case)
        lines += _soak_lines(case["soak"])
        lines += [f"  files    {len(case['files'])}: {', '.join(case['files'])}"]
        lines += [f"  on {command['node']:<9}{command['command']}" for command in case["commands"]]
        lines += [f"  {warning}" for warning in case["warnings"]]  # each says itself how grave it is
    return "\n".join(lines)


def seeds(plan: RunPlan) -> list[str]:
    """Return a line for each case with faults: how many, and the seed with which they come again."""
    dangerous = [case for case in plan.cases if case.soak.get("schedule")]
    return [f"{case.ref.title}: {len(case.soak['schedule'])} fault(s), seed {case.soak['seed']}" for case in dangerous]


def _case(plan: RunPlan, case: CasePlan) -> dict[str, Any]:
    needs = {service.name: service.depends_on for service in case.services}
    levels = graph.batches(needs)
    return {
        "title": case.ref.title,
        "scenario": case.ref.scenario,
        "case": case.ref.case,
        "attempt": case.ref.attempt,
        "description": case.description,
        "labels": case.labels,
        "nodes": list(case.nodes),
        "batches": [[f"{name}@{case.placement[name]}" for name in level] for level in levels],
        **_deployment(case, needs),
        "files": files(Path(case.directory)),
        "commands": _commands(plan, case),
        "warnings": list(case.warnings),
        "soak": case.soak,
    }


def _deployment(case: CasePlan, needs: schedule.Needs) -> dict[str, Any]:
    """Return what decides how long the deployment takes, if every start takes as long as estimated and none is held back."""
    seconds = {service.name: service.estimate_s for service in case.services}
    path, slack = schedule.critical_path(needs, seconds), schedule.slack(needs, seconds)
    services = [
        {
            "name": service.name,
            "node": service.node,
            "estimate_s": service.estimate_s,
            "estimate_source": service.estimate_source,
            "slack_s": round(slack[service.name], 3),
        }
        for service in case.services
    ]
    return {
        "critical_path": {"services": list(path.names), "seconds": round(path.seconds, 3)},
        "services": services,
    }


def _deployment_lines(case: dict[str, Any]) -> list[str]:
    path = case["critical_path"]
    if not path["services"]:
        return []
    lines = [f"  path     {' > '.join(path['services'])}: {duration(path['seconds'])} if starts take as estimated"]
    width = max(len(service["name"]) for service in case["services"])
    for service in case["services"]:
        on_path = service["name"] in path["services"]
        slack = "on the path" if on_path else f"slack {duration(service['slack_s'])}"
        told = f"{duration(service['estimate_s'])} ({service['estimate_source']})"
        lines.append(f"  start    {service['name']:<{width}}  {told}, {slack}")
    return lines


def _soak_lines(soak: dict[str, Any]) -> list[str]:
    """Return what an ordinary case has not: its limits, and each fault with its time, target and parameters."""
    if not soak:
        return []
    settings = soak["settings"]
    limits = [
        f"{key}={_amount(key, value)}"
        for key, value in sorted({**settings, **settings["gates"]}.items())
        if _is_limit(key, value)
    ]
    lines = [
        f"  soak     {settings['profile']}, topology {soak['topology']}, {duration(settings['duration_secs'])};"
        f" missing data is a {'warning' if settings['missing'] == 'warn' else 'failure'}",
        f"  limits   {', '.join(limits)}",
    ]
    if soak["schedule"]:
        only = "; negative control: none of them is injected" if settings["negative_control"] else ""
        lines += [f"  chaos    {len(soak['schedule'])} fault(s) of {settings['chaos_plan']}, seed {soak['seed']}{only}"]
    lines += [f"  at {one['at_s']:>8g} s  {_fault(one)}" for one in soak["schedule"][:MOST_FAULTS_SHOWN]]
    more = len(soak["schedule"]) - MOST_FAULTS_SHOWN
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _is_limit(key: str, value: Any) -> bool:
    return key.startswith(("max_", "min_", "burst_", "latency", "warmup_", "sample_")) and value is not None


def _amount(key: str, value: Any) -> str:
    return (
        f"{value / 2**20:g}MiB" if key in IN_BYTES else f"{value:g}" if isinstance(value, int | float) else str(value)
    )


def _fault(one: dict[str, Any]) -> str:
    where = f"{one['service']}@{one['node']}" if one["service"] else one["node"]
    params = "".join(f", {name} {value}" for name, value in one["params"].items())
    kind = "expected" if one["expected"] else "labelled only"
    return f"{one['id']:<24} {one['kind']} of {where} for {one['duration_s']:g} s{params} ({kind})"


def files(directory: Path) -> list[str]:
    """Return the relative paths of the files that are sent to nodes, sorted."""
    paths = (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path.relative_to(directory).as_posix() for path in paths if "__pycache__" not in path.parts]


def _commands(plan: RunPlan, case: CasePlan) -> list[dict[str, str]]:
    project = override.project_name(plan.run_id, case.ref.scenario)
    names = " ".join(f"-f {name}" for name in case.compose_files)
    found = []
    for node in case.nodes:
        services = [service.name for service in case.services_on(node)]
        if services:
            found.append(
                {"node": node, "command": f"compose -p {project} {names} up --no-start --no-deps {' '.join(services)}"}
            )
    script = " ".join([f"./{case.test.script}", *case.test.args])
    return [*found, {"node": case.test.node, "command": f"{script}  (at most {case.test.timeout_s} s)"}]
