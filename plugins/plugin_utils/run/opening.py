# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a run: from what the caller asked for, through layers and selection, to a plan with a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..deploy.placement import LOCAL
from ..problems import InputError, Problem, describe
from ..scenario import catalog, layers, run_settings, selection
from ..scenario.known import Known
from ..scenario.layers import Layers
from . import inventory, resolve
from .folder import create_run
from .inventory import NodeEntry
from .plan import RunPlan

DEFAULTS_FILE = Path("config") / "defaults.yaml"
DRY_RUN_ID = "dry_run"
LEASE_TTL_S = range(30, 86_401)


@dataclass(frozen=True)
class Asked:
    """What the caller asked for. hosts: inventory name -> connection variables; overrides: what beats all layers."""

    scenario: str
    hosts: Mapping[str, Mapping[str, Any]]
    tags: str = ""
    skip_tags: str = ""
    project_dir: str = ""
    results_dir: str = ""
    run_id: str = ""
    lease_ttl_s: int = 180
    min_free_bytes: int = 1 << 30
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    forks: int = 5


def project_dir(wanted: str, current: Path, plugin_file: Path) -> Path:
    """Return the project: the wanted folder, else the current one if it has scenarios, else the checkout of the plugin."""
    if wanted:
        return Path(wanted).absolute()
    if (current / "scenarios").is_dir():
        return current
    return plugin_file.resolve().parents[2]


def layers_of(asked: Asked, project: Path) -> Layers:
    """Return the configuration layers of the project with what the inventory and the caller add."""
    defaults = project / DEFAULTS_FILE
    return layers.load(defaults if defaults.exists() else None, asked.variables, asked.overrides)


def decide(asked: Asked, project: Path, now: float, owner: str) -> RunPlan:
    """Return the plan of a run that has no folder yet; InputError names all that is wrong."""
    stack = layers_of(asked, project)
    nodes = inventory.entries(asked.hosts)
    names = [node.name for node in nodes] or [LOCAL]
    root = project / run_settings.scenarios_root(stack)
    words = _words(asked.scenario)
    request = run_settings.request(stack, names=words, tags=_words(asked.tags), skip_tags=_words(asked.skip_tags))
    found = catalog.read(root, stack, known=Known(tuple(names)), environ=dict(asked.environment))
    chosen = selection.select(found.usable(request.names or found.broken), request)
    between = run_settings.inter_scenario(stack)
    cases = resolve.cases(
        chosen,
        nodes or (NodeEntry(LOCAL, "127.0.0.1", True),),
        resolve.Between(1 + between.retry_count, between.wait_between_scenarios_s),
    )
    _check_numbers(asked, len({node for case in cases for node in case.nodes}))
    return RunPlan(
        run_id=asked.run_id or DRY_RUN_ID,
        results_dir=str(Path(asked.results_dir).absolute() if asked.results_dir else project / "results"),
        started_at=now,
        owner=owner,
        continue_on_failure=between.continue_on_failure,
        addresses=inventory.addresses(nodes),
        lease_ttl_s=asked.lease_ttl_s,
        min_free_bytes=asked.min_free_bytes,
        environment={str(key): str(value) for key, value in asked.environment.items()},
        origin={},
        cases=cases,
    )


def open_run(plan: RunPlan) -> RunPlan:
    """Make the run's folder and return the plan with its id; InputError when the folder cannot be made."""
    wanted = "" if plan.run_id == DRY_RUN_ID else plan.run_id
    results = Path(plan.results_dir)
    try:
        folder = create_run(results, plan.started_at, wanted)
    except (OSError, ValueError) as exc:
        raise InputError(
            [Problem(str(results), key="results_dir", message=f"no run folder can be made here: {exc}")]
        ) from None
    return replace(plan, run_id=folder.name)


def hosts_of(plan: RunPlan, hosts: Mapping[str, Mapping[str, Any]], python: str) -> list[dict[str, str]]:
    """Return the nodes the run uses; the controller gets a connection where the inventory does not know it."""
    used = list(dict.fromkeys(node for case in plan.cases for node in case.nodes))
    local = {"name": LOCAL, "connection": "local", "python": python}
    return [local if node == LOCAL and node not in hosts else {"name": node} for node in used]


def _check_numbers(asked: Asked, nodes: int) -> None:
    problems = []
    if asked.lease_ttl_s not in LEASE_TTL_S:
        problems.append(
            Problem(
                "-e",
                key="lease_ttl_s",
                message="is out of range",
                got=describe(asked.lease_ttl_s),
                allowed="30..86400 seconds",
            )
        )
    if asked.min_free_bytes < 0:
        problems.append(
            Problem(
                "-e",
                key="min_free_bytes",
                message="is negative",
                got=describe(asked.min_free_bytes),
                allowed="0 or more",
            )
        )
    if asked.forks < nodes:
        message = f"{nodes} nodes deploy at the same time and need a fork each; give --forks {nodes} or set forks in ansible.cfg"
        problems.append(
            Problem("ansible.cfg", key="forks", message=message, got=describe(asked.forks), allowed=f"{nodes} or more")
        )
    if problems:
        raise InputError(problems)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
