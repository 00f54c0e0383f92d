# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a run: all that the steps need to know, decided before any node is contacted, kept as plan.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..deploy.estimates import ASSUMED
from ..deploy.schedule import UNKNOWN_S
from . import atomic
from .folder import DATABASE, CaseRef, database_url

NAME = "plan.json"
# Beside the boards, which are removed at the end of the run: what the caller gave may be secret and is in no result.
VALUES = Path(".board") / "environment.json"


@dataclass(frozen=True)
class ServicePlan:
    """A service on its node. check: the arguments of the node's readiness probe; ports: taken on the node.

    needs: what else it takes from the node, the fields of the scenario's `Needs`.
    estimate_s: how long its start may take; estimate_source: where that comes from, see `estimates.Estimate`.
    host_network: it has the network of its node.
    """

    name: str
    node: str
    role: str
    depends_on: tuple[str, ...]
    compose_file: str
    critical: bool
    image: str
    ports: tuple[int, ...]
    check: dict[str, Any]
    needs: dict[str, Any] = field(default_factory=dict)
    estimate_s: float = UNKNOWN_S
    estimate_source: str = ASSUMED
    host_network: bool = False

    @property
    def serves(self) -> bool:
        """Return whether the service is there to stay; one that others wait to see completed is not."""
        return bool(self.check.get("kind") != "completed")


@dataclass(frozen=True)
class TestPlan:
    """The test script and what it is given. Times in seconds; result_paths relative to the case's work folder."""

    __test__ = False

    node: str
    script: str
    args: tuple[str, ...]
    environment: dict[str, str]
    timeout_s: int
    grace_s: int
    result_paths: tuple[str, ...]
    config_file: str
    client: str
    service: str
    port: int
    path: str


@dataclass(frozen=True)
class CasePlan:
    """One attempt of one case. nodes: those that run a service or the test, in inventory order.

    v2_only: what Compose V1 would refuse, each as `FILE:LINE: key`.
    canary_retries: how often a question for tokens that was answered badly is asked again.
    limits: how many at once, 0 for no limit: `services` in their start, `services_per_node`, `health_checks` on a node.
    health_check_timeout_s: for one service to become ready, from its start.
    retry: `retries` of a failed service, after `delay_s`; `only_failed`: it alone, else all services.
    spares: where failed nodes may be set aside: the node that each of `services` and the `test` wants, all `nodes`, and how
    many `attempts` there are besides.
    on_service_death: `end_test` or `continue`, when a critical service dies. recovery: `restart_services`, how often each.
    shares_nodes: other runs that allow it, too, may have its nodes at the same time.
    transfer: how files come home: `retries`, `silence_s`, `integrity` (`full`, `size`, `off`).
    soak: {} for an ordinary run; else its `settings`, the `topology`, the `seed` of what is left to chance (None without a plan)
    and the `schedule` of the faults, as `soak.schedule.of_data` takes it.
    keep_raw_logs: secrets in the logs of the test, the services and the machine are kept.
    """

    index: int
    ref: CaseRef
    description: str
    directory: str
    labels: dict[str, str]
    nodes: tuple[str, ...]
    services: tuple[ServicePlan, ...]
    compose_files: tuple[str, ...]
    test: TestPlan
    collection_mode: str
    strategy: str
    expected_roles: dict[str, int]
    canary_timeout_s: int
    canary_retries: int
    deployment_timeout_s: int
    startup_timeout_s: int
    health_check_timeout_s: int
    limits: dict[str, int]
    retry: dict[str, Any]
    on_service_death: str
    recovery: dict[str, int]
    min_gpu_memory_bytes: int
    wait_before_s: float
    validity: dict[str, Any]
    config: dict[str, Any]
    spares: dict[str, Any] = field(default_factory=dict)
    shares_nodes: bool = False
    transfer: dict[str, Any] = field(default_factory=dict)
    keep_raw_logs: bool = False
    warnings: tuple[str, ...] = ()
    v2_only: tuple[str, ...] = ()
    soak: dict[str, Any] = field(default_factory=dict)

    def services_on(self, node: str) -> tuple[ServicePlan, ...]:
        """Return the services of one node, in file order."""
        return tuple(service for service in self.services if service.node == node)

    @property
    def may_use(self) -> tuple[str, ...]:
        """Return the nodes of the case and those that may take the place of one, in order."""
        return tuple(dict.fromkeys((*self.nodes, *self.spares.get("nodes", ()))))

    @property
    def placement(self) -> dict[str, str]:
        """Return service -> node."""
        return {service.name: service.node for service in self.services}


@dataclass(frozen=True)
class RunPlan:
    """All cases of a run in order. addresses: node -> address by which other nodes reach it.

    environment: what the caller gave; empty in the plan of a run that is over, which keeps the names only.
    generation: how often the run has gone on under another controller. wait_s: for how long a case waits for nodes that other
    runs hold; 0 is not at all. warnings: of the run as a whole, when it was decided. database_url: where the run is recorded,
    "" for the file beside the runs; it may hold a password, and is in no file of a run that is over. classify_rules: the
    project's file of rules for failures, "" where it has none.
    """

    run_id: str
    results_dir: str
    started_at: float
    owner: str
    continue_on_failure: bool
    addresses: dict[str, str]
    lease_ttl_s: int
    min_free_bytes: int
    environment: dict[str, str]
    origin: dict[str, Any]
    cases: tuple[CasePlan, ...] = field(default_factory=tuple)
    generation: int = 0
    wait_s: int = 0
    warnings: tuple[str, ...] = ()
    database_url: str = field(default="", repr=False)
    classify_rules: str = ""

    @property
    def run_dir(self) -> Path:
        """Return the folder of this run's results."""
        return Path(self.results_dir) / self.run_id

    @property
    def boards(self) -> Path:
        """Return the folder of the boards; one for each controller, whose last workers may live on for a moment."""
        return self.run_dir / ".board" / str(self.generation)

    def shares(self, node: str) -> bool:
        """Return whether each case that uses node, or may come to, allows others there: a run holds it in one way throughout."""
        return all(case.shares_nodes for case in self.cases if node in case.may_use)

    def last_use(self, node: str) -> int:
        """Return the index of the last case that uses node, -1 when none does."""
        return max((case.index for case in self.cases if node in case.nodes), default=-1)


def save(plan: RunPlan) -> Path:
    """Write plan.json into the run's folder and return its path; values of the environment lie apart until the end."""
    if plan.environment:
        atomic.write_bytes(plan.run_dir / VALUES, json.dumps(plan.environment).encode(), mode=0o600)
    if plan.database_url:
        atomic.write_bytes(plan.run_dir / DATABASE, plan.database_url.encode(), mode=0o600)
    path = plan.run_dir / NAME
    kept = {key: value for key, value in asdict(plan).items() if key != "database_url"}
    atomic.write_json(path, {**kept, "environment": sorted(plan.environment)})
    return path


def forget_values(run_dir: Path) -> None:
    """Remove what the caller gave; a run does it before its summary, since nobody comes back to a run that has one."""
    for name in (VALUES, DATABASE):
        (run_dir / name).unlink(missing_ok=True)


def load(run_dir: Path) -> RunPlan:
    """Return the plan kept in run_dir; FileNotFoundError when there is none."""
    data = json.loads((run_dir / NAME).read_text())
    cases = tuple(case_of(case) for case in data.pop("cases"))
    warnings = tuple(data.pop("warnings", ()))
    values = {"environment": _values(run_dir), "database_url": database_url(run_dir)}
    return RunPlan(**{**data, **values}, cases=cases, warnings=warnings)


def lost_values(run_dir: Path) -> list[str]:
    """Return the names of what the caller gave and the run no longer has; the plan can be read."""
    names: list[str] = json.loads((run_dir / NAME).read_text())["environment"]
    kept = _values(run_dir)
    return [name for name in names if name not in kept]


def _values(run_dir: Path) -> dict[str, str]:
    """Return the environment that the caller gave, {} when there is none or the run is over."""
    try:
        found: dict[str, str] = json.loads((run_dir / VALUES).read_bytes())
    except FileNotFoundError:
        return {}
    return found


def case_of(data: Mapping[str, Any]) -> CasePlan:
    """Return a case from plain data."""
    fields = dict(data)
    fields["ref"] = CaseRef(**fields["ref"])
    fields["services"] = tuple(
        ServicePlan(**{**service, "depends_on": tuple(service["depends_on"]), "ports": tuple(service["ports"])})
        for service in fields["services"]
    )
    test = fields["test"]
    fields["test"] = TestPlan(**{**test, "args": tuple(test["args"]), "result_paths": tuple(test["result_paths"])})
    for name in ("nodes", "compose_files", "warnings", "v2_only"):
        fields[name] = tuple(fields[name])
    return CasePlan(**fields)
