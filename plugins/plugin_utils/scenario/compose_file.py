# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks a scenario's compose file before any node sees it, and says what is in it.

    facts = check(Path("scenarios/001_baseline/docker-compose.yml"), environ={})
    facts.errors                              # problems with file, line, column and key; () when it can be used
    facts.warnings                            # what Testcell overrides, what may differ tomorrow
    facts.services["router"].ports            # (18080,)

`check` never raises for what is in the file: a file that cannot be read gives facts without services and the reason.
Compose itself still has the last word; this finds what it would find late, on a node, in another wording each version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..problems import InputError, KeyPath, describe, format_path, listing
from . import schema, strict_yaml
from ._compose_facts import (
    ALL_GPUS,
    ComposeFacts,
    ComposeHealthCheck,
    ComposeService,
    Published,
    Resource,
    V2Key,
    resource_of,
    service_of,
)
from ._compose_keys import (
    COMPOSE,
    V2_ONLY_DEPENDENCY,
    V2_ONLY_HEALTHCHECK,
    V2_ONLY_SERVICE,
    V2_ONLY_TOP,
    VERSIONS,
)
from ._compose_policy import (
    POLICY_KEYS,
    check_devices,
    check_image,
    check_logging,
    check_policy,
    check_restart,
    check_volumes,
)
from ._compose_references import check_dependencies, check_files, check_names
from ._compose_text import dotenv, fill_tree, is_late, newer_forms
from ._compose_words import Mount, PortRange
from ._findings import Findings
from .plain_secrets import compose_secrets
from .strict_yaml import Document

__all__ = [
    "ALL_GPUS",
    "POLICY_KEYS",
    "ComposeFacts",
    "ComposeHealthCheck",
    "ComposeService",
    "Mount",
    "PortRange",
    "Published",
    "Resource",
    "V2Key",
    "check",
]

_TEST_FORMS = ("CMD", "CMD-SHELL", "NONE")


def check(
    path: Path,
    *,
    environ: Mapping[str, str],
    allow: Collection[str] = frozenset(),
    probed: Collection[str] = frozenset(),
    root: Path | None = None,
) -> ComposeFacts:
    """Return what the file says with everything that is wrong with it.

    environ: variables that compose will see (TESTCELL_* count as set; the folder's .env is read too). allow: policy
    keys let through. probed: services whose readiness is asked otherwise. root: the scenario's folder, that of the file
    when left out. Ports that clash are found by `port_clashes`, which knows the nodes and the other files.
    """
    root = path.parent if root is None else root
    try:
        written = strict_yaml.read(path, root=root)
        variables = {**dotenv(path.parent), **environ}
    except InputError as exc:
        return ComposeFacts(str(path), {}, problems=exc.problems)
    found, filled = _fill(written, variables)
    checked = schema.check(filled, COMPOSE)
    data = checked.data | {key: checked.data.get(key, {}) for key in ("networks", "volumes", "configs", "secrets")}
    services = {name: service_of(name, body) for name, body in data.get("services", {}).items()}
    found.problems += [*checked.problems, *compose_secrets(written)]
    if not written.empty:
        _check_top(found, data)
        check_volumes(found, data["volumes"], frozenset(allow))
        _check_services(found, data, services, frozenset(allow))
        _check_references(found, data, services, probed)
        check_files(found, data, path.parent, root)
    return _facts(str(path), data, services, found)


def _fill(document: Document, environ: Mapping[str, str]) -> tuple[Findings, Document]:
    found = Findings(document)
    filled = None if document.root is None else fill_tree(document.root, environ, found.gap)
    return found, Document(document.file, filled, document.problems)


def _check_top(found: Findings, data: Mapping[str, Any]) -> None:
    version = data.get("version", "")
    if version and not is_late(version) and version not in VERSIONS:
        allowed = f"{listing(VERSIONS)}, or no version at all"
        found.bad(("version",), "unknown compose file version", got=describe(version), allowed=allowed)
    if "services" in data and not data["services"] and not _names(found):
        found.bad(("services",), "no service is defined", allowed="at least one")
    if "name" in data:
        found.note(("name",), "is not used: every run is a compose project of its own")


def _check_services(
    found: Findings, data: Mapping[str, Any], services: Mapping[str, ComposeService], allow: frozenset[str]
) -> None:
    for name, service in services.items():
        body = data["services"][name]
        check_image(found, service, body)
        check_policy(found, service, body, allow)
        check_restart(found, service, body)
        check_logging(found, service, body)
        check_devices(found, service, body)
        _check_test(found, ("services", name, "healthcheck"), body.get("healthcheck"))
    unlimited = [name for name, service in services.items() if not service.has_logging]
    if unlimited:
        found.note(("services",), f"no logging limit is set for {listing(unlimited)}; a default limit is added")


def _check_test(found: Findings, path: KeyPath, data: Mapping[str, Any] | None) -> None:
    if data is None or data.get("disable") in (True, "true"):
        return
    test = data.get("test")
    if test is None:
        if not found.document.has((*path, "test")):
            found.note(path, "has no test of its own, that of the image is used")
    elif isinstance(test, list) and (not test or test[0] not in _TEST_FORMS):
        found.bad((*path, "test"), "the first word of the list must be CMD, CMD-SHELL or NONE", got=describe(test))
    elif test == "" or (isinstance(test, list) and len(test) == 1 and test[0] != "NONE"):
        found.bad((*path, "test"), "has no command", got=describe(test))


def _check_references(
    found: Findings,
    data: Mapping[str, Any],
    services: Mapping[str, ComposeService],
    probed: Collection[str],
) -> None:
    if "include" not in data:
        check_dependencies(found, services, _names(found), probed)
        check_names(found, data)


def _names(found: Findings) -> list[str]:
    node = found.document.node(("services",))
    return list(node.items) if node is not None else []


def _facts(file: str, data: Mapping[str, Any], services: Mapping[str, ComposeService], found: Findings) -> ComposeFacts:
    return ComposeFacts(
        file=file,
        services=services,
        networks=tuple(resource_of(name, body) for name, body in data["networks"].items()),
        volumes=tuple(resource_of(name, body) for name, body in data["volumes"].items()),
        version=data.get("version", ""),
        v2_only=tuple(
            V2Key(found.document.problem(path, "").key, found.document.key_mark(path)[0]) for path in _v2(found, data)
        ),
        problems=found.all(),
        places={("services", name): found.document.key_mark(("services", name)) for name in services},
        published=tuple(_published(file, data, found)),
    )


def _published(file: str, data: Mapping[str, Any], found: Findings) -> Iterator[Published]:
    for name, body in data.get("services", {}).items():
        for index, entry in enumerate(body.get("ports", ())):
            if entry is not None and entry.first:
                path: KeyPath = ("services", name, "ports", index)
                yield Published(name, entry, file, *found.document.mark(path), format_path(path))


def _v2(found: Findings, data: Mapping[str, Any]) -> list[KeyPath]:
    paths: list[KeyPath] = [(key,) for key in data if key in V2_ONLY_TOP]
    for name, body in data.get("services", {}).items():
        at: KeyPath = ("services", name)
        paths += [(*at, key) for key in body if key in V2_ONLY_SERVICE]
        paths += [(*at, "healthcheck", key) for key in body.get("healthcheck", {}) if key in V2_ONLY_HEALTHCHECK]
        needs = body.get("depends_on")
        for needed, how in needs.items() if isinstance(needs, dict) else ():
            paths += [(*at, "depends_on", needed, key) for key in how or {} if key in V2_ONLY_DEPENDENCY]
    return paths if found.document.root is None else [*paths, *newer_forms(found.document.root)]
