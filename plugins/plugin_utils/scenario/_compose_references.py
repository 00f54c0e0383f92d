# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what a compose file points to: other services, networks and volumes, files of the scenario."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..problems import KeyPath, describe, listing, nearest
from ._compose_facts import ComposeService, jobs_among
from ._compose_text import is_late
from ._findings import Findings

Services = Mapping[str, ComposeService]
_BUILT_IN_NETWORKS = ("default",)


def check_dependencies(found: Findings, services: Services, names: Sequence[str], probed: Collection[str]) -> None:
    """Report services that wait for what is not there, for themselves in a ring, or for what cannot say it is ready."""
    for service in services.values():
        for index, needed in enumerate(service.depends_on):
            path = _item(found, ("services", service.name, "depends_on"), needed, index)
            if needed == service.name:
                found.bad(path, "a service cannot wait for itself", got=describe(needed))
            elif needed not in names:
                near = nearest(needed, names)
                found.bad(path, "unknown service", got=describe(needed), allowed=listing(names), suggestion=near)
    ring = find_ring({name: service.depends_on for name, service in services.items()})
    if ring:
        path = ("services", ring[0], "depends_on")
        found.bad(path, f"services wait for each other in a ring: {' -> '.join([*ring, ring[0]])}", at="key")
    _check_awaited(found, services, probed)


def _item(found: Findings, path: KeyPath, name: str, index: int) -> KeyPath:
    return (*path, name) if found.document.has((*path, name)) else (*path, index)


def _check_awaited(found: Findings, services: Services, probed: Collection[str]) -> None:
    told = {*probed, *jobs_among(services.values())}  # the end of a job says that it is done
    for name, service in services.items():
        waiting = [s.name for s in services.values() if name in s.depends_on and s.name != name]
        checked = service.healthcheck is not None and service.healthcheck.enabled
        if waiting and not checked and name not in told:
            message = f"{listing(waiting)} waits for this service, but it has no healthcheck that says when it is ready"
            found.warn(("services", name), message)


def find_ring(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Return the services of one ring of dependencies in order, [] when there is none; a self-loop is no ring."""
    left = {name: [n for n in needed if n in needs and n != name] for name, needed in needs.items()}
    while free := {name for name, needed in left.items() if not needed}:
        left = {name: [n for n in needed if n not in free] for name, needed in left.items() if name not in free}
    if not left:
        return []
    trail = [next(iter(left))]
    while (following := left[trail[-1]][0]) not in trail:
        trail.append(following)
    return trail[trail.index(following) :]


def check_names(found: Findings, data: Mapping[str, Any]) -> None:
    """Report networks, volumes, configs and secrets that a service uses and nobody declares."""
    for name, body in data.get("services", {}).items():
        at: KeyPath = ("services", name)
        _check_declared(found, (*at, "networks"), body.get("networks") or (), [*data["networks"], *_BUILT_IN_NETWORKS])
        for index, mount in enumerate(body.get("volumes", ())):
            if mount is not None and mount.kind == "volume" and mount.source and not is_late(mount.source):
                _check_declared(found, (*at, "volumes"), {index: mount.source}, list(data["volumes"]))
        for kind in ("configs", "secrets"):
            used = [entry.get("source", "") if isinstance(entry, dict) else entry for entry in _list(body.get(kind))]
            _check_declared(found, (*at, kind), used, list(data[kind]))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_declared(found: Findings, path: KeyPath, used: Any, declared: Sequence[str]) -> None:
    entries = used.items() if isinstance(used, dict) and all(isinstance(k, int) for k in used) else enumerate(used)
    for index, name in entries:
        if isinstance(name, str) and name not in declared and not is_late(name):
            near = nearest(name, declared)
            where = _item(found, path, name, index)
            message = f"is not declared under {path[-1]} at the top level"
            found.bad(where, message, got=describe(name), allowed=listing(declared), suggestion=near)


def check_files(found: Findings, data: Mapping[str, Any], folder: Path, root: Path) -> None:
    """Report files that are missing or outside of the scenario's folder root, which alone is taken to the nodes."""
    for path, text, required in _files(data):
        wrong = "" if is_late(text) else wrong_file(text, folder, root, required=required)
        if wrong:
            found.bad(path, wrong, got=describe(text))


def _files(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, bool]]:
    for index, entry in enumerate(data.get("include", ())):
        paths = entry if isinstance(entry, str) else entry.get("path", ())
        yield from ((("include", index), text, True) for text in ([paths] if isinstance(paths, str) else paths))
    for kind in ("configs", "secrets"):
        for name, body in data[kind].items():
            if "file" in body:
                yield (kind, name, "file"), body["file"], True
    for name, body in data.get("services", {}).items():
        yield from _service_files(("services", name), body)


def _service_files(at: KeyPath, body: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, bool]]:
    extends = body.get("extends")
    if isinstance(extends, dict) and "file" in extends:
        yield (*at, "extends", "file"), extends["file"], True
    env_files = body.get("env_file", ())
    for index, entry in enumerate([env_files] if isinstance(env_files, str) else env_files):
        path = (*at, "env_file") if isinstance(env_files, str) else (*at, "env_file", index)
        if isinstance(entry, dict):
            yield path, entry.get("path", ""), entry.get("required", True)
        else:
            yield path, entry, True
    for index, mount in enumerate(body.get("volumes", ())):
        if mount is not None and mount.kind == "bind" and not mount.source.startswith("/"):
            yield (*at, "volumes", index), mount.source, True


def wrong_file(text: str, folder: Path, root: Path, *, required: bool = True) -> str:
    """Return why a path in a file of folder is not one below root, or ""."""
    if text.startswith("~"):
        return "the home folder of a node is not known here; write a path relative to the scenario or an absolute one"
    if text.startswith("/"):
        return "must be a path relative to the scenario's folder, only that is taken to the nodes"
    try:
        real = Path(os.path.realpath(folder / text))
    except (OSError, ValueError):
        return "is not a path"
    if not real.is_relative_to(root.resolve()):
        return "leads out of the scenario's folder, only that is taken to the nodes"
    return "" if real.exists() or not required else "does not exist in the scenario's folder"
