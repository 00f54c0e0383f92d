# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is of a lab now, as the engine tells it; only objects with the lab's label are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from .docker_cli import Docker
from .model import INPUTS_LABEL, LABEL, LABEL_DIGEST, LABEL_PORT, Link


@dataclass(frozen=True)
class Container:
    """A container of the lab. address: the one it has on the lab's network, empty when it is off it."""

    name: str
    digest: str
    running: bool
    paused: bool
    address: str


@dataclass(frozen=True)
class Image:
    """What makes an image the same on every engine: the digests of its layers and the label of its inputs."""

    name: str
    layers: tuple[str, ...]
    inputs: str


@dataclass(frozen=True)
class Observed:
    """Everything of a lab that the engine has. link is None when there is no network."""

    containers: Mapping[str, Container]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    link: Link | None

    @property
    def empty(self) -> bool:
        """Return whether nothing is left."""
        return not (self.containers or self.volumes or self.networks)


def observe(docker: Docker, lab: str) -> Observed:
    """Return what the engine has with the label of the lab."""
    mark = f"label={LABEL}={lab}"
    containers = docker.inspect("container", docker("ps", "--all", "--quiet", "--filter", mark).split())
    networks = docker.inspect("network", docker("network", "ls", "--quiet", "--filter", mark).split())
    volumes = docker("volume", "ls", "--quiet", "--filter", mark).split()
    found = (_container(body, networks) for body in containers)
    return Observed(
        containers={container.name: container for container in found},
        volumes=tuple(sorted(volumes)),
        networks=tuple(sorted(str(network["Name"]) for network in networks)),
        link=_link(networks[0]) if networks else None,
    )


def used_networks(docker: Docker) -> tuple[IPv4Network, ...]:
    """Return the IPv4 networks of every Docker network of the engine, whoever made it."""
    bodies = docker.inspect("network", docker("network", "ls", "--quiet").split())
    subnets = (config.get("Subnet", "") for body in bodies for config in body["IPAM"]["Config"] or ())
    found = (ip_network(subnet, strict=False) for subnet in subnets if subnet)
    return tuple(network for network in found if isinstance(network, IPv4Network))


def images(bodies: Sequence[Mapping[str, Any]]) -> dict[str, Image]:
    """Return the images by each of their names. bodies: what `docker image inspect` prints."""
    return {name: _image(name, body) for body in bodies for name in body["RepoTags"] or ()}


def _container(body: Mapping[str, Any], networks: Sequence[Mapping[str, Any]]) -> Container:
    attached = body["NetworkSettings"]["Networks"] or {}
    addresses = [attached[network["Name"]]["IPAddress"] for network in networks if network["Name"] in attached]
    return Container(
        name=body["Name"].lstrip("/"),
        digest=(body["Config"]["Labels"] or {}).get(LABEL_DIGEST, ""),
        running=bool(body["State"]["Running"]),
        paused=bool(body["State"]["Paused"]),
        address=addresses[0] if addresses else "",
    )


def _link(body: Mapping[str, Any]) -> Link:
    return Link(IPv4Network(body["IPAM"]["Config"][0]["Subnet"]), int(body["Labels"].get(LABEL_PORT, 22)))


def _image(name: str, body: Mapping[str, Any]) -> Image:
    labels = body["Config"].get("Labels") or {}
    return Image(name, tuple(body["RootFS"]["Layers"]), labels.get(INPUTS_LABEL, ""))
