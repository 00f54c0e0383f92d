# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the ports, mounts, durations and images of a compose file: words of the schema language that compose has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..problems import KeyPath, describe
from . import schema
from ._compose_text import is_late
from ._nodes import Node
from ._specs import MISSING, Walk

PORT_FORM = "[[IP:]HOST:]CONTAINER[/tcp|udp] with ports 1..65535 or ranges of equal length, in quotes"
DURATION_FORM = "a duration with its unit such as 5s, 500ms, 1m30s"

_PORT = re.compile(
    r"(?:(?:(?P<ip>\[[0-9A-Fa-f:.]+\]|[0-9.]+):)?(?P<host>[0-9-]*):)?(?P<container>[0-9-]+)(?:/(?P<protocol>[a-z]+))?"
)
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|us|m|s))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|us|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)
_MOST_PORTS = 1000


@dataclass(frozen=True, slots=True)
class PortRange:
    """Published ports: first to last on the host (0: chosen by the engine) for as many in the container."""

    container: int
    first: int = 0
    last: int = 0
    host_ip: str = ""
    protocol: str = "tcp"

    @property
    def is_loopback(self) -> bool:
        """Tell whether only the host itself reaches them."""
        return self.host_ip.startswith("127.") or self.host_ip == "::1"

    def clashes(self, other: PortRange) -> bool:
        """Tell whether both want the same host port."""
        same_address = self.host_ip == other.host_ip or {"", "0.0.0.0"} & {self.host_ip, other.host_ip} != set()
        overlap = self.first <= other.last and other.first <= self.last
        return bool(self.first and other.first) and self.protocol == other.protocol and same_address and overlap


@dataclass(frozen=True, slots=True)
class Mount:
    """What a container sees at target. kind: bind, volume, tmpfs, ...; source "" when compose makes it up."""

    kind: str
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A port in short or long form; None stands for one that is wrong or only known at run time."""

    wanted: str = "a port"

    def takes(self, node: Node) -> bool:
        return True

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        found = self._checked(walk, path, node)
        return None if found is MISSING else found

    @staticmethod
    def _checked(walk: Walk, path: KeyPath, node: Node) -> Any:
        if node.kind == "mapping":
            return _long_port(walk, path, node)
        whole = isinstance(node.value, int) and not isinstance(node.value, bool)
        text: Any = str(node.value) if whole else schema.Str(256, rule=PORT_FORM).check(walk, path, node)
        if text is MISSING:
            return MISSING
        found = _short_port(text)
        if isinstance(found, str):
            return walk.bad(path, found, got=describe(text), allowed=PORT_FORM)
        return found


def _short_port(text: str) -> PortRange | str | None:
    """Return the port, None when it is not known yet, or what is wrong with it."""
    if is_late(text):
        return None
    match = _PORT.fullmatch(text)
    if match is None:
        return "is not a port"
    container, host = _ports(match["container"]), _ports(match["host"] or "0")
    if container is None or host is None or container[0] == 0:
        return "has a port out of range"
    if host[0] and host[1] - host[0] != container[1] - container[0] and container[0] != container[1]:
        return "maps ranges of different length"
    protocol = match["protocol"] or "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        return "has an unknown protocol"
    return PortRange(container[0], host[0], host[1], (match["ip"] or "").strip("[]"), protocol)


def _ports(text: str) -> tuple[int, int] | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return (first, last) if first <= last <= 65535 and last - first < _MOST_PORTS else None


_PORT_NUMBER = schema.OneOf(schema.Int(0, 65535), schema.Str(64))
_LONG_PORT = schema.Mapping(
    {
        "target": schema.Key(_PORT_NUMBER, required=True),
        "published": _PORT_NUMBER,
        "host_ip": schema.Str(),
        "protocol": schema.Choice("tcp", "udp", "sctp"),
        "mode": schema.Choice("host", "ingress"),
        "name": schema.Str(),
        "app_protocol": schema.Str(),
    },
    prefix="x-",
)


def _long_port(walk: Walk, path: KeyPath, node: Node) -> Any:
    data = _LONG_PORT.check(walk, path, node)
    target, published = str(data.get("target", "")), str(data.get("published", ""))
    if not target:
        return MISSING
    found = _short_port(f"{published}:{target}/{data.get('protocol', 'tcp')}")
    if isinstance(found, str):
        return walk.bad(path, found, got=f"published {published or 'none'}, target {target}", allowed="ports 1..65535")
    if found is None:
        return None
    return PortRange(found.container, found.first, found.last, data.get("host_ip", ""), found.protocol)


@dataclass(frozen=True, slots=True)
class DurationSpec:
    """A duration, returned in seconds."""

    wanted: str = "a duration"

    def takes(self, node: Node) -> bool:
        return node.kind == "scalar"

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return walk.mistyped(path, node, "a duration with its unit", DURATION_FORM, f"{node.text}s")
        text = schema.Str(64, rule=DURATION_FORM).check(walk, path, node)
        if text is MISSING or is_late(text):
            return MISSING
        if not _DURATION.fullmatch(text):
            return walk.bad(path, "is not a duration", got=describe(text), allowed=DURATION_FORM)
        return round(sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text)), 6)


_LONG_MOUNT = schema.Mapping(
    {
        "type": schema.Key(schema.Choice("bind", "volume", "tmpfs", "npipe", "cluster", "image"), required=True),
        "source": schema.Str(4096),
        "target": schema.Key(schema.Str(4096), required=True),
        "read_only": schema.Bool(),
        **dict.fromkeys(("consistency", "bind", "volume", "tmpfs", "image"), schema.Free()),
    },
    prefix="x-",
)


@dataclass(frozen=True, slots=True)
class MountSpec:
    """A volume of a service, short or long; None stands for a wrong one."""

    wanted: str = "a mount"

    def takes(self, node: Node) -> bool:
        return True

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        found = self._checked(walk, path, node)
        return None if found is MISSING else found

    @staticmethod
    def _checked(walk: Walk, path: KeyPath, node: Node) -> Any:
        if node.kind == "mapping":
            data = _LONG_MOUNT.check(walk, path, node)
            if "type" not in data or "target" not in data:
                return MISSING
            return Mount(data["type"], data.get("source", ""), data["target"], data.get("read_only", False))
        text = schema.Str(4096).check(walk, path, node)
        return MISSING if text is MISSING else _short_mount(walk, path, text)


def _short_mount(walk: Walk, path: KeyPath, text: str) -> Any:
    parts = re.split(r":(?![^{]*\})", text)
    if len(parts) > 3 or not all(parts):
        return walk.bad(path, "is not a mount", got=describe(text), allowed="[SOURCE:]TARGET[:ro|rw|...]")
    if len(parts) == 1:
        return Mount("volume", "", text)
    kind = "bind" if parts[0][0] in "./~" or is_late(parts[0]) else "volume"
    return Mount(kind, parts[0], parts[1], "ro" in (parts[2].split(",") if len(parts) > 2 else ()))


def image_parts(image: str) -> tuple[str, bool] | None:
    """Return the tag ("" when there is none) and whether a digest is given, or None for what is no image name."""
    match = _IMAGE.fullmatch(image) if len(image) <= 512 else None
    return (match["tag"] or "", match["digest"] is not None) if match else None
