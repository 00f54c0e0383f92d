# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the compose files of a scenario and says in the words of `model` what they declare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..problems import Problem
from . import compose_file
from ._compose_facts import jobs_among
from ._compose_text import is_late
from .compose_file import ComposeFacts, ComposeHealthCheck, ComposeService, Published, Resource
from .model import HealthCheck, Needs, Service
from .services import Declared


@dataclass(frozen=True)
class ComposeFiles:
    """What the compose files of a scenario say together. whole: every service that they declare is known.

    checks: the health check of each service that has one, as compose has it. v2_only: see `Scenario`.
    """

    declared: tuple[Declared, ...]
    replicas: Mapping[str, int]
    published: tuple[Published, ...]
    checks: Mapping[str, ComposeHealthCheck]
    v2_only: tuple[str, ...]
    problems: tuple[Problem, ...]
    whole: bool


def read_all(
    folder: Path,
    files: Sequence[str],
    *,
    environ: Mapping[str, str],
    allow: Collection[str] = (),
    probed: Collection[str] = (),
) -> ComposeFiles:
    """Return what the files, relative to folder, declare, with all their problems; see `compose_file.check`."""
    facts = {
        name: compose_file.check(folder / name, root=folder, environ=environ, allow=allow, probed=frozenset(probed))
        for name in files
    }
    services = [(service, name) for name, one in facts.items() for service in one.services.values()]
    jobs = jobs_among(service for service, _ in services)
    return ComposeFiles(
        declared=tuple(_declared(service, name, facts[name], service.name in jobs) for service, name in services),
        replicas={service.name: service.replicas for service, _ in services},
        published=tuple(port for one in facts.values() for port in one.published),
        checks={service.name: service.healthcheck for service, _ in services if service.healthcheck is not None},
        v2_only=tuple(f"{name}:{key.line}: {key.key}" for name, one in facts.items() for key in one.v2_only),
        problems=tuple(problem for one in facts.values() for problem in one.problems),
        whole=bool(facts) and all(_is_whole(one) for one in facts.values()),
    )


def _is_whole(facts: ComposeFacts) -> bool:
    return bool(facts.services) and all(key.key != "include" for key in facts.v2_only)


def replicas_of_roles(services: Sequence[Service], replicas: Mapping[str, int]) -> dict[str, int]:
    """Return how many containers of each role there will be."""
    count: Counter[str] = Counter()
    for service in services:
        count[service.role] += replicas.get(service.name, 1)
    return dict(count)


def health_check_of(check: ComposeHealthCheck | None) -> HealthCheck | None:
    """Return a compose health check as a command in the container; None where there is none."""
    if check is None or not check.enabled:
        return None
    argv = ("/bin/sh", "-c", *check.test[1:]) if check.test[0] == "CMD-SHELL" else check.test[1:]
    return HealthCheck("command", argv=tuple(argv), timeout_s=check.timeout_s, interval_s=check.interval_s)


def needs_of(service: ComposeService, facts: ComposeFacts) -> Needs:
    """Return what a service takes from its node; what is only known at run time is left out."""
    networks = service.networks or (() if service.network_mode else ("default",))
    volumes = [mount.source for mount in service.mounts if mount.kind == "volume"]
    return Needs(
        binds=tuple(path for path in service.binds if path.startswith("/") and not is_late(path)),
        networks=_external(facts.networks, networks),
        volumes=_external(facts.volumes, volumes),
        gpus=service.gpus,
        gpu_drivers=service.gpu_drivers,
    )


def _external(resources: Sequence[Resource], used: Collection[str]) -> tuple[str, ...]:
    """Return the names on the node of those used resources that compose will not make."""
    return tuple(one.actual for one in resources if one.external and one.name in used and not is_late(one.actual))


def _declared(service: ComposeService, name: str, facts: ComposeFacts, is_job: bool) -> Declared:
    """Return a service as it is declared; a job is one that others wait to see completed."""
    line, column = facts.places.get(("services", service.name), (0, 0))
    return Declared(
        name=service.name,
        compose_file=name,
        image=service.image,
        ports=service.ports,
        loopback_ports=service.loopback_ports,
        depends_on=service.depends_on,
        health_check=HealthCheck("completed") if is_job else health_check_of(service.healthcheck),
        file=facts.file,
        line=line,
        column=column,
        needs=needs_of(service, facts),
        start_period_s=service.healthcheck.start_period_s if service.healthcheck else 0.0,
        host_network=service.network_mode == "host",
    )
