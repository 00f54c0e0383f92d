# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a compose file says, in the form that planning, placement and reports use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..problems import KeyPath, Problem
from ._compose_text import is_late
from ._compose_words import Mount, PortRange

ALL_GPUS = -1
COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class ComposeHealthCheck:
    """A health check with compose's defaults filled in. test: `("CMD", ...)` or `("CMD-SHELL", text)`, () when off."""

    test: tuple[str, ...]
    interval_s: float = 30.0
    timeout_s: float = 30.0
    retries: int = 3
    start_period_s: float = 0.0

    @property
    def enabled(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.test)

    @property
    def patience_s(self) -> float:
        """After how many seconds the engine calls a container unhealthy that never answers well."""
        return self.start_period_s + self.retries * self.interval_s


@dataclass(frozen=True, slots=True)
class ComposeService:
    """One service. port_map: every published port; gpus: ALL_GPUS when all are asked for."""

    name: str
    image: str = ""
    port_map: tuple[PortRange, ...] = ()
    depends_on: tuple[str, ...] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)
    healthcheck: ComposeHealthCheck | None = None
    restart: str = ""
    mounts: tuple[Mount, ...] = ()
    container_name: str = ""
    network_mode: str = ""
    privileged: bool = False
    gpus: int = 0
    gpu_drivers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    replicas: int = 1
    profiles: tuple[str, ...] = ()
    has_logging: bool = False

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports of the host that it takes, in order: those at which it may be asked."""
        taken = [entry for entry in self.port_map if entry.first and entry.protocol == "tcp"]
        return tuple(port for entry in taken for port in range(entry.first, entry.last + 1))

    @property
    def loopback_ports(self) -> tuple[int, ...]:
        """Those of its ports that only its own host reaches."""
        far = {port for entry in self.port_map if not entry.is_loopback for port in range(entry.first, entry.last + 1)}
        return tuple(port for port in self.ports if port not in far)

    @property
    def binds(self) -> tuple[str, ...]:
        """The sources of its bind mounts, as written."""
        return tuple(mount.source for mount in self.mounts if mount.kind == "bind")


@dataclass(frozen=True, slots=True)
class Published:
    """One entry of a service's `ports:` that takes host ports, with its place. key: its path in the file."""

    service: str
    range: PortRange
    file: str
    line: int
    column: int
    key: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A network or volume. external: somebody else's, found on the node under `actual`."""

    name: str
    external: bool = False
    actual: str = ""


@dataclass(frozen=True, slots=True)
class V2Key:
    """A key that Compose V1 refuses, with its line."""

    key: str
    line: int


@dataclass(frozen=True)
class ComposeFacts:
    """Everything known about a compose file. Usable when `errors` is empty; places: line and column of each service."""

    file: str
    services: Mapping[str, ComposeService]
    networks: tuple[Resource, ...] = ()
    volumes: tuple[Resource, ...] = ()
    version: str = ""
    v2_only: tuple[V2Key, ...] = ()
    problems: tuple[Problem, ...] = ()
    places: Mapping[KeyPath, tuple[int, int]] = field(default_factory=dict, repr=False)
    published: tuple[Published, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems for which the file must be refused."""
        return tuple(problem for problem in self.problems if problem.is_error)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is worth saying about a usable file: warnings and notes."""
        return tuple(problem for problem in self.problems if not problem.is_error)


def service_of(name: str, data: Mapping[str, Any]) -> ComposeService:
    """Return the facts of one service from its checked data."""
    needs = data.get("depends_on") or ()
    conditions = {n: (needs[n] or {}).get("condition", "") for n in needs} if isinstance(needs, dict) else {}
    deploy = data.get("deploy") or {}
    return ComposeService(
        name=name,
        image=data.get("image", ""),
        port_map=tuple(port for port in data.get("ports", ()) if port is not None),
        depends_on=tuple(needs),
        conditions={n: conditions.get(n) or "service_started" for n in needs},
        healthcheck=health_of(data["healthcheck"]) if "healthcheck" in data else None,
        restart=data.get("restart", ""),
        mounts=tuple(mount for mount in data.get("volumes", ()) if mount is not None),
        container_name=data.get("container_name", ""),
        network_mode=data.get("network_mode", ""),
        privileged=data.get("privileged") in (True, "true"),
        gpus=_gpus(data),
        gpu_drivers=tuple(dict.fromkeys(device["driver"] for device in _devices(data) if device.get("driver"))),
        networks=tuple(data.get("networks") or ()),
        replicas=_whole(data.get("scale", deploy.get("replicas", 1)), 1),
        profiles=tuple(data.get("profiles", ())),
        has_logging="logging" in data,
    )


def jobs_among(services: Iterable[ComposeService]) -> set[str]:
    """Return the names of services that have to complete: another one waits for their end."""
    return {name for service in services for name, how in service.conditions.items() if how == COMPLETED}


def health_of(data: Mapping[str, Any]) -> ComposeHealthCheck:
    """Return a health check in one form, whichever way it was written."""
    test = data.get("test", [])
    argv = ["CMD-SHELL", test] if isinstance(test, str) else list(test)
    off = data.get("disable") in (True, "true") or argv[:1] == ["NONE"]
    return ComposeHealthCheck(
        test=() if off else tuple(argv),
        interval_s=data.get("interval", 30.0) or 30.0,
        timeout_s=data.get("timeout", 30.0) or 30.0,
        retries=_whole(data.get("retries", 3), 3) or 3,
        start_period_s=data.get("start_period", 0.0),
    )


def resource_of(name: str, data: Mapping[str, Any] | None) -> Resource:
    """Return the facts of a network or volume."""
    data = data or {}
    external = data.get("external", False)
    given = external.get("name", "") if isinstance(external, dict) else ""
    is_external = external is not False
    return Resource(name, is_external, given or data.get("name", "") or (name if is_external else ""))


def _gpus(data: Mapping[str, Any]) -> int:
    wanted = data.get("gpus", ())
    if isinstance(wanted, int | str):
        return ALL_GPUS if wanted == "all" else _whole(wanted, 0)
    counts = [_device_count(device) for device in _devices(data)]
    return ALL_GPUS if ALL_GPUS in counts else sum(counts)


def _devices(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the devices that a service reserves, wherever it says so."""
    wanted = data.get("gpus", ())
    reservations = ((data.get("deploy") or {}).get("resources") or {}).get("reservations") or {}
    return [*(() if isinstance(wanted, int | str) else wanted), *reservations.get("devices", ())]


def _device_count(device: Mapping[str, Any]) -> int:
    if "gpu" not in device.get("capabilities", ("gpu",)):
        return 0
    if device.get("device_ids"):
        return len(device["device_ids"])
    count = device.get("count", "all")
    return ALL_GPUS if count == "all" else _whole(count, 0)


def _whole(value: Any, otherwise: int) -> int:
    text = str(value)
    return int(text) if not is_late(text) and text.lstrip("-").isdigit() else otherwise
