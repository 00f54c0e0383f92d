# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what was asked for to the plan of a run: cases, attempts, placement. No node is contacted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..deploy import estimates, placement
from ..problems import Problem, raise_if_errors
from ..scenario import matrix
from ..scenario.model import CollectionSpec, DeploymentLimits, RetrySpec, Scenario, Service
from . import reach, soaking
from .folder import CaseRef
from .inventory import NodeEntry
from .plan import CasePlan, ServicePlan, TestPlan

LONGEST_PROBE_S = 60.0
SHORTEST_PAUSE_S = 0.02
NO_HEALTH = ("running", "completed")

Starts = Sequence[estimates.Start]


@dataclass(frozen=True)
class Between:
    """What happens between cases: attempts of each case, and the pause before all but the first, in seconds."""

    attempts: int
    wait_s: float


def cases(
    scenarios: Sequence[Scenario],
    nodes: Sequence[NodeEntry],
    between: Between,
    past: Mapping[str, Starts],
    wanted: Callable[[matrix.Case], bool] = lambda case: True,
    soaks: soaking.Soaks = soaking.NONE,
) -> tuple[CasePlan, ...]:
    """Return the cases in order, each attempt of a case after the one before. Raise InputError with all problems.

    past: scenario -> starts of its services in earlier runs. wanted: which of the scenarios' cases are to be run. soaks: what
    makes soaks of them.
    """
    names = [node.name for node in nodes]
    found = {scenario.name: reach.problems(scenario, nodes) for scenario in scenarios}
    raise_if_errors(problem for of_one in found.values() for problem in of_one)
    plans: list[CasePlan] = []

    def add(scenario: Scenario) -> None:
        spares = {} if scenario.name in soaks.settings else _spares(scenario, names, between.attempts)
        attempts = between.attempts + (scenario.recovery.set_aside_nodes if spares else 0)
        for case in filter(wanted, soaks.expand(scenario)):
            placed = soaks.place(scenario, case, names)
            for attempt in range(1, attempts + 1):
                wait = between.wait_s if plans else 0.0
                made = _case(len(plans), scenario, case, attempt, placed, names, wait, past.get(scenario.name, ()))
                warnings = (*made.warnings, *(problem.render() for problem in found[scenario.name]))
                plans.append(soaks.dress(scenario, replace(made, spares=spares, warnings=warnings)))

    soaking.each(scenarios, add)
    return tuple(plans)


def _case(
    index: int,
    scenario: Scenario,
    case: matrix.Case,
    attempt: int,
    placed: Mapping[str, str],
    nodes: Sequence[str],
    wait_s: float,
    past: Starts,
) -> CasePlan:
    test = _test(scenario, case, placed)
    used = {*placed.values(), test.node}
    order = [name for name in nodes if name in used] + sorted(used - set(nodes))
    return CasePlan(
        index=index,
        ref=CaseRef(scenario.name, case.id, attempt),
        description=scenario.description,
        directory=str(scenario.directory),
        labels=dict(case.labels),
        nodes=tuple(order),
        services=tuple(_service(service, placed[service.name], scenario, past) for service in scenario.services),
        compose_files=tuple(scenario.compose_files),
        v2_only=tuple(scenario.v2_only),
        test=test,
        collection_mode=scenario.test.collection_mode,
        strategy=scenario.health.strategy if scenario.health.enabled else "quick",
        expected_roles=dict(scenario.health.expected or {}),
        canary_timeout_s=scenario.health.canary_timeout_s,
        canary_retries=scenario.health.max_retries,
        deployment_timeout_s=scenario.limits.deployment_timeout_s,
        startup_timeout_s=min(scenario.limits.deployment_timeout_s, scenario.health.startup_timeout_s),
        health_check_timeout_s=scenario.limits.health_check_timeout_s,
        limits=_limits(scenario.limits),
        retry=_retry(scenario.retry),
        on_service_death=scenario.test.on_service_death,
        recovery={"restart_services": scenario.recovery.restart_services},
        shares_nodes=scenario.limits.share_nodes,
        transfer=_transfer(scenario.collection),
        keep_raw_logs=scenario.collection.keep_raw_logs,
        min_gpu_memory_bytes=scenario.requirements.min_gpu_memory_bytes or 0,
        wait_before_s=wait_s,
        validity=asdict(scenario.validity),
        config=matrix.test_config_of(scenario, case),
        warnings=tuple(problem.render() for problem in (*scenario.warnings, *_unheld(scenario), *_raw(scenario))),
    )


def _spares(scenario: Scenario, nodes: Sequence[str], attempts: int) -> dict[str, Any]:
    if not scenario.recovery.set_aside_nodes:
        return {}
    services = {service.name: service.node for service in scenario.services}
    return {"services": services, "test": scenario.test.node, "nodes": list(nodes), "attempts": attempts}


def _transfer(collection: CollectionSpec) -> dict[str, Any]:
    return {
        "retries": collection.ssh_retry_count,
        "silence_s": collection.transfer_timeout_s,
        "integrity": collection.integrity_check,
    }


def _limits(limits: DeploymentLimits) -> dict[str, int]:
    return {
        "services": limits.max_concurrent_services,
        "services_per_node": limits.max_concurrent_services_per_node,
        "health_checks": limits.max_concurrent_health_checks,
    }


def _retry(retry: RetrySpec) -> dict[str, Any]:
    return {
        "retries": retry.service_level_retries,
        "delay_s": retry.retry_delay_s,
        "only_failed": retry.retry_only_failed,
    }


def _unheld(scenario: Scenario) -> list[Problem]:
    """Return what the scenario asks of readiness and cannot be asked of it."""
    if scenario.health.strategy != "thorough" or scenario.benchmark.asked:
        return []
    message = "names no service with a port, so `thorough` asks nobody for a token and is like `standard`"
    return [Problem(str(scenario.metadata_file), key="benchmark.service", message=message, severity="warning")]


def _raw(scenario: Scenario) -> list[Problem]:
    """Return the warning that stands in the report of a case whose logs are kept with their secrets."""
    if not scenario.collection.keep_raw_logs:
        return []
    message = "logs are kept as they were written, with the secrets that are in them"
    key = "artifacts_collection.keep_raw_logs"
    return [Problem(str(scenario.metadata_file), key=key, message=message, severity="warning")]


def _test(scenario: Scenario, case: matrix.Case, placed: Mapping[str, str]) -> TestPlan:
    spec, benchmark = scenario.test, scenario.benchmark
    return TestPlan(
        node=placement.test_node(spec.node, placed, benchmark.service),
        script=spec.script,
        args=tuple(spec.args),
        environment=dict(spec.env),
        timeout_s=spec.timeout_s,
        grace_s=spec.grace_s,
        result_paths=tuple(spec.result_paths),
        config_file=benchmark.config_file,
        client=benchmark.client,
        service=(benchmark.service or "") if benchmark.asked else "",
        port=benchmark.port or 0,
        path=matrix.path_of(scenario, case),
    )


def _service(service: Service, node: str, scenario: Scenario, past: Starts) -> ServicePlan:
    check = _check(service, scenario)
    allowed_s = 0.0 if check["kind"] in NO_HEALTH else service.start_period_s
    estimate = estimates.estimate(service.name, service.image, allowed_s, past)
    return ServicePlan(
        name=service.name,
        node=node,
        role=service.role,
        depends_on=tuple(service.depends_on),
        compose_file=service.compose_file,
        critical=service.critical,
        image=service.image,
        ports=_ports(service, scenario),
        check=check,
        needs=asdict(service.needs),
        estimate_s=estimate.seconds,
        estimate_source=estimate.source,
        host_network=service.host_network,
    )


def _ports(service: Service, scenario: Scenario) -> tuple[int, ...]:
    """Return the ports that a service takes on its node: those it publishes; on the node's own network, where nothing is
    published, those at which it is asked."""
    if not service.host_network:
        return tuple(service.ports)
    benchmark, check = scenario.benchmark, service.health_check
    asked = (check.port if check else None, benchmark.port if benchmark.service == service.name else None)
    return tuple(dict.fromkeys(port for port in asked if port))


def _check(service: Service, scenario: Scenario) -> dict[str, Any]:
    """Return the arguments of the node's probe; `quick` only wants the container to run, but a job still to complete.

    A service under test that has no check of its own is not asked for work before its port takes connections.
    """
    check = service.health_check
    if check is not None and check.kind == "completed":
        return {"kind": "completed"}
    if not scenario.health.enabled or scenario.health.strategy == "quick":
        return {"kind": "running"}
    if check is None:
        port = scenario.benchmark.port if scenario.benchmark.service == service.name else None
        return {"kind": "container", **({"port": port} if port else {})}
    limits = {
        "timeout_s": min(check.timeout_s, LONGEST_PROBE_S),
        "interval_s": min(max(check.interval_s, SHORTEST_PAUSE_S), LONGEST_PROBE_S),
    }
    return {**asdict(check), "argv": list(check.argv), **limits}
