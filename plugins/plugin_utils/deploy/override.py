# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The override file that Testcell lays over a scenario's compose files: labels, log limits, no restart by the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

LOG_LIMIT = {"driver": "json-file", "options": {"max-size": "50m", "max-file": "3"}}


@dataclass(frozen=True)
class Objects:
    """What the compose files declare. external networks and volumes are somebody else's and get no label."""

    services: tuple[str, ...]
    with_logging: frozenset[str]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    version: str | None


def objects_of(documents: Iterable[Mapping[str, Any]]) -> Objects:
    """Return what the parsed compose files declare together."""
    services: dict[str, bool] = {}
    networks: dict[str, None] = {"default": None}
    volumes: dict[str, None] = {}
    version = None
    for document in documents:
        version = document.get("version", version)
        for name, body in (document.get("services") or {}).items():
            services[name] = services.get(name, False) or "logging" in (body or {})
        networks.update(dict.fromkeys(_own(document.get("networks"))))
        volumes.update(dict.fromkeys(_own(document.get("volumes"))))
        for name in _external(document.get("networks")):
            networks.pop(name, None)
    logging = frozenset(name for name, present in services.items() if present)
    return Objects(tuple(services), logging, tuple(networks), tuple(volumes), None if version is None else str(version))


def labels(run_id: str, scenario: str, case: str, epoch: int) -> dict[str, str]:
    """Return the labels that mark every object of a case."""
    return {
        "testcell.run": run_id,
        "testcell.scenario": scenario,
        "testcell.case": case,
        "testcell.epoch": str(epoch),
    }


def project_name(run_id: str, scenario: str) -> str:
    """Return the compose project of a scenario in a run; compose wants lower case."""
    return f"testcell-{run_id}-{scenario}".lower()


def build(
    objects: Objects, marks: Mapping[str, str], more: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the content of the override file; it carries the base file's `version`, which V1 wants equal.

    more: service -> {environment: {name: value}, volumes: [...]} that its container needs besides, to be taken literally.
    """
    content: dict[str, Any] = {"version": objects.version} if objects.version else {}
    content["services"] = {
        name: {**_service(name, objects, marks), **_literal(more.get(name, {}))} for name in objects.services
    }
    content["networks"] = {name: {"labels": dict(marks)} for name in objects.networks}
    if objects.volumes:
        content["volumes"] = {name: {"labels": dict(marks)} for name in objects.volumes}
    return content


def _service(name: str, objects: Objects, marks: Mapping[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"labels": dict(marks), "restart": "no"}
    if name not in objects.with_logging:
        body["logging"] = LOG_LIMIT
    return body


def _literal(more: Mapping[str, Any]) -> dict[str, Any]:
    """Return additions in which Compose puts no variables."""
    found: dict[str, Any] = {}
    if more:
        found["environment"] = {name: value.replace("$", "$$") for name, value in more["environment"].items()}
        found["volumes"] = [volume.replace("$", "$$") for volume in more["volumes"]]
    return found


def _own(section: Mapping[str, Any] | None) -> list[str]:
    return [name for name, body in (section or {}).items() if not (body or {}).get("external")]


def _external(section: Mapping[str, Any] | None) -> list[str]:
    return [name for name, body in (section or {}).items() if (body or {}).get("external")]
