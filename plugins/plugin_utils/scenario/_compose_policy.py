# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what a scenario's containers may do: what would break isolation, outlive the run, or make it unrepeatable.

Policy keys can be let through by name (`allow`); everything else here is a warning or a note about what Testcell does.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from ..problems import KeyPath, describe
from ._compose_facts import ComposeService
from ._compose_text import is_late
from ._compose_words import Mount, image_parts
from ._findings import Findings

POLICY_KEYS = ("container_name", "docker_socket", "network_mode", "pid", "privileged", "system_mount")

_SOCKET_RISK = "the engine's socket gives a container the whole node"
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:[0-9]{1,4})?")
_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock")
_SYSTEM = ("/", "/boot", "/dev", "/etc", "/home", "/proc", "/root", "/run", "/sys", "/usr", "/var", "/var/lib",
           "/var/lib/docker", "/var/run")  # fmt: skip
_GPU_DRIVERS = ("", "nvidia", "amd", "cdi")


def check_policy(found: Findings, service: ComposeService, data: Mapping[str, Any], allow: frozenset[str]) -> None:
    """Report what one service may not do, unless allow names it."""
    name = service.name
    if service.container_name and "container_name" not in allow:
        _refuse(
            found, data, name, "container_name", "a fixed container name breaks the isolation of runs; leave it out"
        )
    if service.privileged and "privileged" not in allow:
        why = "a privileged container can change the node; name the devices or cap_add"
        _refuse(found, data, name, "privileged", why)
    if "ALL" in [str(word).upper() for word in _words(data.get("cap_add"))] and "privileged" not in allow:
        path, allowed = ("services", name, "cap_add"), _by_allowing("privileged")
        found.bad(path, "not allowed by policy: all capabilities are as good as privileged", allowed=allowed, at="key")
    if data.get("use_api_socket") and "docker_socket" not in allow:
        path, allowed = ("services", name, "use_api_socket"), _by_allowing("docker_socket")
        found.bad(path, f"not allowed by policy: {_SOCKET_RISK}", allowed=allowed, at="key")
    if data.get("pid") == "host" and "pid" not in allow:
        _refuse(found, data, name, "pid", "the node's processes are not shared with containers")
    for index, mount in enumerate(data.get("volumes", ())):
        _check_mount(found, name, index, mount, allow)
    if service.network_mode == "host" and "network_mode" not in allow:
        ports = "; its ports: are ignored then" if service.port_map else ""
        meant = "; deployment.allow: [network_mode] says that it is meant"
        message = f"the host's network is used, ports of two scenarios or services may clash{ports}{meant}"
        found.warn(("services", name, "network_mode"), message, got=describe(service.network_mode))


def _refuse(found: Findings, data: Mapping[str, Any], name: str, key: str, why: str) -> None:
    got, allowed = describe(data[key]), _by_allowing(key)
    found.bad(("services", name, key), f"not allowed by policy: {why}", got=got, allowed=allowed, at="key")


def _by_allowing(key: str) -> str:
    return f"only with {key!r} in the scenario's list deployment.allow"


def _check_mount(found: Findings, name: str, index: int, mount: Mount | None, allow: frozenset[str]) -> None:
    if mount is not None and mount.kind == "bind":
        _check_source(found, ("services", name, "volumes", index), mount.source, allow)


def check_volumes(found: Findings, volumes: Mapping[str, Any], allow: frozenset[str]) -> None:
    """Report named volumes that are a bind mount in disguise of what may not be mounted."""
    for name, body in volumes.items():
        options = (body or {}).get("driver_opts") or {}
        if "bind" in str(options.get("o", "")).split(","):
            path = ("volumes", name, "driver_opts", "device")
            _check_source(found, path, str(options.get("device", "")), allow)


def _check_source(found: Findings, path: KeyPath, written: str, allow: frozenset[str]) -> None:
    if not written or is_late(written):
        return
    source = posixpath.normpath(written)
    if source.startswith("//"):
        source = source[1:]
    key = "docker_socket" if source.endswith(_SOCKETS) else "system_mount" if source in _SYSTEM else ""
    if key and key not in allow:
        what = _SOCKET_RISK if key == "docker_socket" else "a system folder of the node is not mounted whole"
        found.bad(path, f"not allowed by policy: {what}", got=describe(written), allowed=_by_allowing(key))


def _words(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def check_image(found: Findings, service: ComposeService, data: Mapping[str, Any]) -> None:
    """Report an image that is missing, malformed or may be another one tomorrow."""
    path = ("services", service.name, "image")
    if "image" not in data:
        if found.document.has(path) or "extends" in data or "provider" in data:
            return
        what = "build: alone is not enough, images are made before a run" if "build" in data else "an image is needed"
        found.bad(path[:2], f"required key 'image' is missing; {what}", at="key")
    elif not service.image:
        found.bad(path, "image is empty")
    elif not is_late(service.image):
        _check_image_name(found, path, service.image)


def _check_image_name(found: Findings, path: tuple[str, str, str], image: str) -> None:
    parts = image_parts(image)
    if parts is None:
        found.bad(path, "is not an image name", got=describe(image), allowed="[REGISTRY/]NAME[:TAG][@sha256:DIGEST]")
    elif not parts[1] and parts[0] in ("", "latest"):
        state = "has the tag latest" if parts[0] else "has no tag"
        message = f"image {state} and may be another one tomorrow; name a tag, for gates a digest"
        found.warn(path, message, got=describe(image))


def check_restart(found: Findings, service: ComposeService, data: Mapping[str, Any]) -> None:
    """Say that the engine will not restart containers by itself, which would hide the fault under test."""
    path = ("services", service.name, "restart")
    if service.restart and not is_late(service.restart) and not _RESTART.fullmatch(service.restart):
        allowed = '"no", always, unless-stopped, on-failure[:N]'
        found.bad(path, "is not a restart policy", got=describe(service.restart), allowed=allowed)
    elif service.restart not in ("", "no"):
        message = 'is overridden with "no": a restart by the engine would hide the fault under test'
        found.warn(path, message, got=describe(service.restart))
    if "restart_policy" in (data.get("deploy") or {}):
        found.warn(("services", service.name, "deploy", "restart_policy"), 'is ignored: restart is set to "no"')


def check_logging(found: Findings, service: ComposeService, data: Mapping[str, Any]) -> None:
    """Warn of a log that nothing limits; services without logging: get a default limit."""
    logging = data.get("logging")
    if (
        logging is not None
        and logging.get("driver", "json-file") in ("json-file", "local")
        and "max-size" not in logging.get("options", {})
    ):
        found.warn(("services", service.name, "logging"), "has no option max-size: the log can fill the node's disk")


def check_devices(found: Findings, service: ComposeService, data: Mapping[str, Any]) -> None:
    """Warn of GPU drivers that no node is known to have."""
    reservations = ((data.get("deploy") or {}).get("resources") or {}).get("reservations") or {}
    for index, device in enumerate(reservations.get("devices", ())):
        if device.get("driver", "") not in _GPU_DRIVERS:
            path = ("services", service.name, "deploy", "resources", "reservations", "devices", index, "driver")
            got = describe(device["driver"])
            found.warn(path, "unknown device driver", got=got, allowed=", ".join(_GPU_DRIVERS[1:]))
