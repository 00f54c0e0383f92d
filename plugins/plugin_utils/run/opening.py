# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a run: from what the caller asked for, through layers and selection, to a plan with a folder of its own."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..deploy import estimates
from ..deploy.placement import LOCAL
from ..problems import InputError, Problem, describe
from ..scenario import run_settings, selection
from ..scenario.model import Scenario
from . import disk, exact_cases, inputs, inventory, limits, reserve, resolve, soaking
from .asked import Asked
from .folder import create_run, owner_of
from .plan import CasePlan, RunPlan, save

__all__ = ["Asked", "decide", "hosts_of", "open_run", "project_dir"]

DRY_RUN_ID = "dry_run"


def project_dir(wanted: str, current: Path, plugin_file: Path) -> Path:
    """Return the project: the wanted folder, else the current one if it has scenarios, else the checkout of the plugin."""
    if wanted:
        return Path(wanted).absolute()
    if (current / "scenarios").is_dir():
        return current
    return plugin_file.resolve().parents[2]


def decide(asked: Asked, project: Path, now: float, owner: str) -> RunPlan:
    """Return the plan of a run that has no folder yet; InputError names all that is wrong."""
    read = inputs.read(asked, project)
    request = run_settings.request(
        read.layers,
        names=inputs.words(asked.scenario),
        tags=inputs.words(asked.tags),
        skip_tags=inputs.words(asked.skip_tags),
    )
    chosen = inputs.with_errors(read.errors, lambda: _selected(read, asked, request))
    between = run_settings.inter_scenario(read.layers)
    soaks = soaking.of(chosen, asked.soak_profile, now)
    results = _results(asked, soaks, project)
    cases = resolve.cases(
        chosen,
        read.inventory.nodes,
        resolve.Between(1 + between.retry_count, between.wait_between_scenarios_s),
        estimates.past_starts(results, [scenario.name for scenario in chosen]),
        exact_cases.of(inputs.words(asked.cases), chosen, soaks.expand),
        soaks,
    )
    _check_forks(asked, len(_used(cases)))
    room = disk.low(results, disk.look(results), run_settings.disk_limits(read.layers))
    return RunPlan(
        run_id=asked.run_id or DRY_RUN_ID,
        results_dir=str(results),
        started_at=now,
        owner=owner,
        continue_on_failure=between.continue_on_failure,
        addresses=inventory.addresses(read.inventory.nodes),
        lease_ttl_s=asked.lease_ttl_s,
        wait_s=asked.wait_s,
        min_free_bytes=asked.min_free_bytes,
        environment={str(key): str(value) for key, value in asked.environment.items()},
        origin={},
        cases=cases,
        warnings=tuple(room),
        database_url=run_settings.database_url(read.layers, asked.database_url),
        classify_rules=read.rules,
    )


def _results(asked: Asked, soaks: soaking.Soaks, project: Path) -> Path:
    """Return the folder of the runs; that of a soak beats the usual one."""
    return soaking.results_folder(soaks, project) or (
        Path(asked.results_dir).absolute() if asked.results_dir else project / "results"
    )


def _selected(read: inputs.Inputs, asked: Asked, request: selection.Request) -> tuple[Scenario, ...]:
    found = inputs.scenarios(read, asked)
    return selection.select(found.usable(request.names or found.broken), request)


def open_run(plan: RunPlan) -> RunPlan:
    """Make the run's folder and return the plan with its id.

    InputError when it cannot be made there, OSError when the disk is full or broken.
    """
    wanted = "" if plan.run_id == DRY_RUN_ID else plan.run_id
    results = Path(plan.results_dir)
    try:
        folder = create_run(results, plan.started_at, wanted)
        if not reserve.has_room(folder):
            folder.rmdir()
            why = f"{os.strerror(errno.ENOSPC)}; {reserve.shortage(results, reserve.BYTES)}"
            raise OSError(errno.ENOSPC, why, str(folder))
    except (OSError, ValueError) as exc:
        if limits.is_no_fault_of_the_folder(exc):
            raise
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        message = f"no run folder can be made here: {why}{owner_of(results)}"
        raise InputError([Problem(str(results), key="results_dir", message=message)]) from None
    return replace(plan, run_id=folder.name)


def begin(plan: RunPlan) -> RunPlan:
    """Make the run's folder with its plan in it, and return the plan; where the disk refuses that, no reserve stays."""
    opened = open_run(plan)
    try:
        reserve.with_reserve(opened.run_dir, lambda: save(opened))
    except OSError:
        reserve.give_up(opened.run_dir)
        raise
    return opened


def hosts_of(plan: RunPlan, hosts: Mapping[str, Mapping[str, Any]], python: str) -> list[dict[str, str]]:
    """Return the nodes the run uses; the controller gets a connection where the inventory does not know it."""
    used = _used(plan.cases)
    local = {"name": LOCAL, "connection": "local", "python": python}
    return [local if node == LOCAL and node not in hosts else {"name": node} for node in used]


def _used(cases: Sequence[CasePlan]) -> list[str]:
    """Return the nodes that a run uses or may come to use, in order."""
    return list(dict.fromkeys(node for case in cases for node in case.may_use))


def _check_forks(asked: Asked, nodes: int) -> None:
    if asked.forks < nodes:
        message = f"{nodes} nodes deploy at the same time and need a fork each; give --forks {nodes} or set forks in ansible.cfg"
        problem = Problem("ansible.cfg", 0, 0, "forks", message, describe(asked.forks), f"{nodes} or more")
        raise InputError([problem])
