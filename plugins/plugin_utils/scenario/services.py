# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins what the metadata says about services with what the compose files declare, and checks that both agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ..problems import KeyPath, Problem, describe, listing, nearest, show
from .known import Known
from .model import HealthCheck, Needs, Service
from .strict_yaml import Document

LOCAL = "local"
AUTO = "auto"
_SERVICES: KeyPath = ("deployment", "services")
_NEEDS = {"http": "port", "tcp": "port", "command": "argv", "log": "pattern"}
_USES = {
    "http": ("port", "path", "expect_status"), "tcp": ("port",), "command": ("argv",), "log": ("pattern",),
    "container": (),
}  # fmt: skip
_ALWAYS = ("kind", "timeout", "interval")


@dataclass(frozen=True)
class Declared:
    """A service as a compose file declares it; problem places come from its file."""

    name: str
    compose_file: str
    image: str = ""
    ports: tuple[int, ...] = ()
    depends_on: tuple[str, ...] = ()
    health_check: HealthCheck | None = None
    file: str = ""
    line: int = 0
    column: int = 0
    needs: Needs = field(default_factory=Needs)
    start_period_s: float = 0.0
    host_network: bool = False
    loopback_ports: tuple[int, ...] = ()


def join(
    entries: Sequence[Mapping[str, Any]] | None, declared: Sequence[Declared], document: Document
) -> tuple[tuple[Service, ...], list[Problem]]:
    """Return the services in file order and what is wrong with them. entries: checked data, None for all declared."""
    by_name: dict[str, list[Declared]] = {}
    for one in declared:
        by_name.setdefault(one.name, []).append(one)
    if entries is None:
        services = tuple(_joined({"name": name}, twins[0]) for name, twins in by_name.items())
        return services, [*_in_two_files(by_name, {}), *_cycles(services, (), document, declared)]
    problems = [*_health_check_problems(entries, document)]
    if declared:
        problems += [*_unlike(entries, by_name, document), *_unknown_dependencies(entries, by_name, document)]
        chosen = {entry["name"]: entry["compose_file"] for entry in entries if {"name", "compose_file"} <= entry.keys()}
        problems += _in_two_files(by_name, chosen)
    problems += _twins(entries, document)
    named = [entry for entry in entries if "name" in entry]
    services = tuple(_joined(entry, _of(entry, by_name)) for entry in named)
    return services, [*problems, *_cycles(services, entries, document, declared)]


def wrong_nodes(entries: Sequence[Mapping[str, Any]] | None, known: Known, document: Document) -> Iterator[Problem]:
    """Yield a problem for each service on a node that the inventory does not have, or that the run may not use."""
    for index, entry in enumerate(entries or ()):
        if "node" in entry:
            place = document.problem((*_SERVICES, index, "node"), "")
            yield from wrong_node(entry["node"], known, place)


def wrong_node(node: str, known: Known, place: Problem) -> Iterator[Problem]:
    """Yield a problem at place when node is neither one that the run may use nor a word for one."""
    allowed = [*known.nodes, *(word for word in (LOCAL, AUTO) if word not in (*known.nodes, *known.left_out))]
    if node in known.left_out:
        message = f"is left out of this run by {known.left_out[node]}"
        yield replace(place, message=message, got=describe(node), allowed=listing(allowed))
    elif node not in allowed:
        message, near = "is no node of the inventory", nearest(node, allowed)
        yield replace(place, message=message, got=describe(node), allowed=listing(allowed), suggestion=near)


def health_check(data: Mapping[str, Any] | None) -> HealthCheck | None:
    """Return the health check that checked data describes."""
    if data is None or "kind" not in data:
        return None
    plain = HealthCheck(data["kind"])
    return HealthCheck(
        kind=plain.kind,
        port=data.get("port"),
        path=data.get("path", plain.path),
        expect_status=data.get("expect_status", plain.expect_status),
        argv=tuple(data.get("argv", ())),
        pattern=data.get("pattern", plain.pattern),
        timeout_s=data.get("timeout", plain.timeout_s),
        interval_s=data.get("interval", plain.interval_s),
    )


def _joined(entry: Mapping[str, Any], declared: Declared | None) -> Service:
    base = declared or Declared(entry["name"], entry.get("compose_file", Service.compose_file))
    return Service(
        name=entry["name"],
        node=entry.get("node", Service.node),
        role=entry.get("role", Service.role),
        depends_on=tuple(entry.get("depends_on", base.depends_on)),
        compose_file=base.compose_file,
        health_check=health_check(entry.get("health_check")) or base.health_check,
        critical=entry.get("critical", Service.critical),
        image=base.image,
        ports=base.ports,
        loopback_ports=base.loopback_ports,
        needs=base.needs,
        start_period_s=base.start_period_s,
        host_network=base.host_network,
    )


def _of(entry: Mapping[str, Any], by_name: Mapping[str, list[Declared]]) -> Declared | None:
    twins = by_name.get(entry["name"], [])
    wanted = entry.get("compose_file")
    return next((one for one in twins if wanted in (None, one.compose_file)), None)


def _unlike(
    entries: Sequence[Mapping[str, Any]], by_name: Mapping[str, list[Declared]], document: Document
) -> Iterator[Problem]:
    """Yield services that only one side knows; each message shows both lists."""
    listed = [entry["name"] for entry in entries if "name" in entry]
    both = f"metadata: {listing(listed)}; compose: {listing(list(by_name))}"
    for index, entry in enumerate(entries):
        name = entry.get("name")
        if name is not None and name not in by_name:
            path = (*_SERVICES, index, "name")
            near = nearest(name, by_name)
            yield document.problem(path, f"service {show(name)} is in no compose file ({both})", suggestion=near)
        elif name is not None and _of(entry, by_name) is None:
            files = listing([one.compose_file for one in by_name[name]])
            path = (*_SERVICES, index, "compose_file")
            yield document.problem(path, f"service {show(name)} is not in this file", allowed=files)
    for name, twins in by_name.items():
        if name not in listed:
            one = twins[0]
            message = f"service is missing in deployment.services of the metadata ({both})"
            yield Problem(one.file, one.line, one.column, f"services.{name}", message)


def _unknown_dependencies(
    entries: Sequence[Mapping[str, Any]], by_name: Mapping[str, list[Declared]], document: Document
) -> Iterator[Problem]:
    for index, entry in enumerate(entries):
        for place, wanted in enumerate(entry.get("depends_on", ())):
            if wanted not in by_name:
                path = (*_SERVICES, index, "depends_on", place)
                allowed, near = listing(list(by_name)), nearest(wanted, by_name)
                yield document.problem(path, f"unknown service {show(wanted)}", allowed=allowed, suggestion=near)


def _twins(entries: Sequence[Mapping[str, Any]], document: Document) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        name = entry.get("name")
        if name is not None and first.setdefault(name, index) != index:
            line, _ = document.mark((*_SERVICES, first[name]))
            yield document.problem(
                (*_SERVICES, index, "name"), f"service {show(name)} is listed twice; first at line {line}"
            )


def _in_two_files(by_name: Mapping[str, list[Declared]], chosen: Mapping[str, str]) -> Iterator[Problem]:
    for name, twins in by_name.items():
        if len(twins) > 1 and name not in chosen:
            first, second = twins[:2]
            message = f"service is also in {first.file}:{first.line}; name one with compose_file in the metadata"
            yield Problem(second.file, second.line, second.column, f"services.{name}", message)


def _cycles(
    services: Sequence[Service], entries: Sequence[Mapping[str, Any]], document: Document, declared: Sequence[Declared]
) -> Iterator[Problem]:
    """Yield the ring of services that wait for each other, if there is one, at its first service.

    A ring that stands in a compose file as a whole is left to the reader of that file.
    """
    known = {service.name for service in services}
    needs = {service.name: [name for name in service.depends_on if name in known] for service in services}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as exc:
        cycle = list(reversed(exc.args[1][1:]))
        first = min(range(len(cycle)), key=lambda place: list(needs).index(cycle[place]))
        ring = [*cycle[first:], *cycle[:first], cycle[first]]
        written_here = {entry.get("name") for entry in entries if "depends_on" in entry}
        compose_files = {one.compose_file for one in declared if one.name in ring}
        if not written_here.isdisjoint(ring) or len(compose_files) > 1:
            yield _at_service(ring[0], f"services wait for each other: {' -> '.join(ring)}", document, declared)


def _at_service(name: str, message: str, document: Document, declared: Sequence[Declared]) -> Problem:
    """Return a problem at the `depends_on` of a service: in the metadata when it is given there, else in compose."""
    entries = document.node(_SERVICES)
    for index in range(len(entries.entries) if entries is not None else 0):
        node = document.node((*_SERVICES, index, "name"))
        if node is not None and node.value == name and document.has((*_SERVICES, index, "depends_on")):
            return document.problem((*_SERVICES, index, "depends_on"), message)
    place = next((one for one in declared if one.name == name), Declared(name, "", file=document.file))
    return Problem(place.file, place.line, place.column, f"services.{name}.depends_on", message)


def _health_check_problems(entries: Sequence[Mapping[str, Any]], document: Document) -> Iterator[Problem]:
    for index, entry in enumerate(entries):
        check, path = entry.get("health_check", {}), (*_SERVICES, index, "health_check")
        kind = check.get("kind")
        if kind is None:
            continue
        if kind in _NEEDS and not document.has((*path, _NEEDS[kind])):
            yield document.problem(path, f"kind {kind} needs the key {_NEEDS[kind]!r}", at="key")
        for key in check:
            if key not in (*_ALWAYS, *_USES[kind]):
                allowed = listing([*_ALWAYS, *_USES[kind]])
                yield document.problem((*path, key), f"has no meaning for kind {kind}", allowed=allowed, at="key")
