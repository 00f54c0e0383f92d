# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a scenario's section `soak` says wrongly about its own services, and what is wrong with the chaos plans that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..problems import KeyPath, Problem, in_order, listing, nearest, show
from ..soak import chaos_plan
from .model import Service
from .setting import Setting, Settings

_PLAN = "chaos_plan"
_LISTS = ("reports", "metrics")


def soak_problems(merged: Settings, folder: Path, services: Sequence[Service] | None) -> tuple[Problem, ...]:
    """Return what is wrong. services: None where the compose files did not tell them."""
    found: list[Problem] = []
    for path, setting, values in _sections(merged):
        found += _plan_problems(path, setting, values, folder, services)
        found += _service_problems(path, setting, values, services)
        found += _twins(path, setting, values)
    return in_order(found)


def _sections(merged: Settings) -> Iterator[tuple[KeyPath, Setting, Mapping[str, Any]]]:
    """Yield path, place and values of each setting, those of a profile together."""
    for path, setting in merged.items():
        if path[:2] == ("soak", "profiles"):
            yield path, setting, setting.value
        elif path[0] == "soak":
            yield path[:-1], setting, {str(path[-1]): setting.value}


def _plan_problems(
    path: KeyPath, setting: Setting, values: Mapping[str, Any], folder: Path, services: Sequence[Service] | None
) -> Iterator[Problem]:
    name = values.get(_PLAN)
    if not isinstance(name, str):
        return
    if not (folder / name).exists():
        yield setting.problem((*path, _PLAN), f"file {folder / name} does not exist")
        return
    read = chaos_plan.read(folder / name, root=folder)
    yield from read.problems
    if read.plan is not None and services is not None:
        spots = {service.name: chaos_plan.Spot("", service.role) for service in services}
        yield from chaos_plan.target_problems(read.plan, spots)


def _service_problems(
    path: KeyPath, setting: Setting, values: Mapping[str, Any], services: Sequence[Service] | None
) -> Iterator[Problem]:
    known = [service.name for service in services or ()]
    for key in _LISTS:
        for index, entry in enumerate(values.get(key, ())):
            name = entry.get("service")
            if services is not None and name is not None and name not in known:
                place = (*path, key, index, "service")
                message = f"unknown service {show(name)}{_near(name, known)}"
                yield setting.problem(place, message, allowed=listing(known))


def _twins(path: KeyPath, setting: Setting, values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the services whose metrics are asked for twice; a node asks each of them once."""
    told: set[str] = set()
    for index, entry in enumerate(values.get("metrics", ())):
        name = entry.get("service", "")
        if name in told:
            place = (*path, "metrics", index, "service")
            yield setting.problem(place, f"service {show(name)} is given twice; put all its names into one entry")
        told.add(name)


def _near(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f", did you mean {near}?" if near else ""
