# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that need more than the metadata file: the inventory's nodes, the files beside it, the test parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..deploy import placement
from ..problems import Problem, describe, listing, nearest, show
from ._compose_facts import ComposeHealthCheck
from ._specs import Walk
from .known import Known
from .metadata_spec import METADATA, SCHEMA_VERSION
from .model import Label, Service
from .schema import Mapping as MappingSpec
from .script import wrong_script
from .services import wrong_node
from .setting import SCENARIO, Settings
from .strict_yaml import Document

_TEST_NODE = ("test_execution", "node")
_SCRIPT = ("test_execution", "script")
_STARTUP = ("service_health_check", "startup_timeout")
_EXPECTED = ("service_health_check", "expected")
_INTEGRITY = ("artifacts_collection", "remote_node", "integrity_check")
_UNPROVED = {
    "off": "nothing is proved of the files that come home",
    "size": "only the sizes of the files that come home are compared",
    False: "stands for 'size': only the sizes of the files that come home are compared; write 'off' to leave that out too",
}
_ENABLED = tuple(("artifacts_collection", side, "enabled") for side in ("local_node", "remote_node"))
_BASE_PATH = ("artifacts_collection", "local_node", "base_path")
_VERSION = ("schema_version",)


def newer_schema(document: Document) -> Problem | None:
    """Return the problem of a file that was written for a later Testcell; nothing else in it can be judged then."""
    node = document.node(_VERSION)
    if node is None or isinstance(node.value, bool) or not isinstance(node.value, int) or node.value <= SCHEMA_VERSION:
        return None
    message = f"schema version {node.value} is newer than {SCHEMA_VERSION}, the newest known here; update Testcell"
    return document.problem(_VERSION, message)


def node_problems(merged: Settings, data: Mapping[str, Any], known: Known, document: Document) -> Iterator[Problem]:
    """Yield what the inventory cannot satisfy: the test's node and the number of nodes."""
    setting = merged[_TEST_NODE]
    yield from wrong_node(setting.value, known, setting.problem(_TEST_NODE, ""))
    wanted, pool = data.get("resource_requirements", {}).get("min_nodes", 1), placement.pool(known.nodes)
    if wanted > len(pool):
        message = f"wants {wanted} nodes; the inventory has {len(pool)}: {listing(pool)}"
        yield document.problem(("resource_requirements", "min_nodes"), message, allowed=f"1..{len(pool)}")


def script_problems(merged: Settings, folder: Path) -> Iterator[Problem]:
    """Yield why the test script cannot be started."""
    setting = merged[_SCRIPT]
    wrong = wrong_script(folder, setting.value)
    if wrong:
        yield setting.problem(_SCRIPT, f"script {folder / setting.value} {wrong}")


def expectation_problems(merged: Settings, replicas: Mapping[str, int]) -> Iterator[Problem]:
    """Yield the roles that are expected more often than the scenario has them. replicas: role -> how many there are."""
    for path, setting in merged.items():
        if path[:2] == _EXPECTED and setting.value > replicas.get(str(path[2]), 0):
            there = replicas.get(str(path[2]), 0)
            message = f"role {path[2]!r} is expected {setting.value} times; the scenario has {there}"
            yield setting.problem(path, message, allowed=listing(sorted(role for role in replicas if role)))


def patience_problems(merged: Settings, checks: Mapping[str, ComposeHealthCheck]) -> Iterator[Problem]:
    """Yield a warning when the engine gives a service up before the time that the scenario allows it for loading."""
    setting = merged[_STARTUP]
    short = {name: check for name, check in checks.items() if check.enabled and check.patience_s < setting.value}
    if setting.layer == SCENARIO and short:
        said = listing([f"{name} after {check.patience_s:g} s" for name, check in short.items()])
        message = (
            f"the engine calls services unhealthy before this time is over: {said};"
            " give their healthcheck a start_period as long as loading takes"
        )
        yield setting.problem(_STARTUP, message, got=f"{setting.value} s", severity="warning")


def collection_notices(merged: Settings) -> Iterator[Problem]:
    """Yield a warning when somebody asks for unproved results, or for results that could not be judged."""
    setting = merged[_INTEGRITY]
    if setting.value in _UNPROVED:
        yield setting.problem(_INTEGRITY, _UNPROVED[setting.value], severity="warning")
    for path in _ENABLED:
        if merged[path].value is False:
            message = "changes nothing: without its results no case can be judged"
            yield merged[path].problem(path, message, severity="warning")
    if _BASE_PATH in merged:
        message = (
            "changes nothing: a folder that outlives its run may hold results of another; write to SCENARIO_RESULT_PATH"
        )
        yield merged[_BASE_PATH].problem(_BASE_PATH, message, severity="warning")


def benchmark_problems(
    data: Mapping[str, Any], services: Sequence[Service], declared: Collection[str], document: Document
) -> Iterator[Problem]:
    """Yield a service or port under test that the scenario does not have. declared: services of the compose files."""
    by_name = {service.name: service for service in services}
    name, port = data.get("service"), data.get("port")
    if name is not None and by_name and name not in by_name and name not in declared:
        near, allowed = nearest(name, by_name), listing(list(by_name))
        message = f"unknown service {show(name)}"
        yield document.problem(("benchmark", "service"), message, allowed=allowed, suggestion=near)
    if name in by_name and port is None and not by_name[name].ports:
        message = (
            f"service {show(name)} publishes no port, so nothing says where it is asked; give benchmark.port as well"
        )
        yield document.problem(("benchmark", "service"), message)
    if name in declared and name in by_name and port and not (by_name[name].ports or by_name[name].host_network):
        message = (
            f"service {show(name)} publishes no TCP port of its node, where it is asked at {port};"
            f' unless it has another way to that port, publish it: ports: ["{port}:{port}"]'
        )
        yield document.problem(("benchmark", "port"), message, severity="warning")
    ports = by_name[name].ports if name in by_name else [port for one in services for port in one.ports]
    if port is not None and ports and port not in ports:
        message = f"port is not published by {'service ' + show(name) if name else 'any service'}"
        allowed = listing(sorted(ports))
        yield document.problem(("benchmark", "port"), message, got=describe(port), allowed=allowed)


def label_problems(
    from_labels: Mapping[str, str], cells: Sequence[Mapping[str, Label]], spec: MappingSpec, document: Document
) -> list[Problem]:
    """Return what is wrong with test parameters that take their value from a label: the key, the label, its values."""
    problems = []
    labels = list(cells[0]) if cells else []
    keys = spec.keyed()
    for key, label in from_labels.items():
        path = ("benchmark", "from_labels", key)
        if key not in keys and spec.extra is None:
            allowed, near = listing(list(keys), most=40), nearest(key, keys)
            message = f"unknown test parameter {show(key)}"
            problems.append(document.problem(path, message, allowed=allowed, suggestion=near, at="key"))
        if label not in labels:
            allowed, near = listing(labels), nearest(label, labels)
            problems.append(document.problem(path, f"unknown label {show(label)}", allowed=allowed, suggestion=near))
        elif key in keys:
            walk = Walk(document, METADATA)
            for place in _places(label, document):
                walk.value(place, keys[key].spec)
            problems += walk.problems
    return problems


def _places(label: str, document: Document) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value that a label takes in the file."""
    values, extra = document.node(("matrix", label)), document.node(("matrix", "extra"))
    for index in range(len(values.entries) if values is not None else 0):
        yield ("matrix", label, index)
    for index in range(len(extra.entries) if extra is not None else 0):
        yield ("matrix", "extra", index, label)
