# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the keys of a scenario come from that stand in no other layer: its own file, or nowhere at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..problems import KeyPath, format_path
from .model import BenchmarkSpec, Origin, Scenario
from .plain_secrets import displayed
from .setting import BUILT_IN, SCENARIO
from .settings import IN_DEPLOYMENT, IN_SCENARIO
from .strict_yaml import Document

_UNWRITTEN: dict[str, Any] = {
    "schema_version": Scenario.schema_version,
    "description": Scenario.description,
    "enabled": Scenario.enabled,
    "tags": [],
    "resource_requirements.min_nodes": Scenario.requirements.min_nodes,
    "benchmark.client": BenchmarkSpec.client,
    "benchmark.config_file": BenchmarkSpec.config_file,
}


def own_origins(document: Document, data: Mapping[str, Any]) -> list[Origin]:
    """Return the origin of every leaf key of checked metadata outside of the layered sections, in file order."""
    leaves = [(path, value) for path, value in _leaves(data, ()) if not _is_layered(path)]
    written = [_written(document, path, value) for path, value in leaves]
    keys = {origin.key for origin in written}
    return [*written, *(Origin(key, value, BUILT_IN) for key, value in _UNWRITTEN.items() if key not in keys)]


def _written(document: Document, path: KeyPath, value: Any) -> Origin:
    """Return the origin of a value as it stands in the file, sizes with their units."""
    node = document.node(path)
    shown = displayed(path, node.data() if node is not None else value)
    return Origin(format_path(path), shown, SCENARIO, document.file, document.key_mark(path)[0])


def _is_layered(path: KeyPath) -> bool:
    return path[0] in IN_SCENARIO or (path[0] == "deployment" and len(path) > 1 and path[1] in IN_DEPLOYMENT)


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the leaves of a value; a list without mappings is one leaf."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value
