# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays the layers over each other: `-e` > scenario > global (inventory variables > defaults file) > built-in.

Each setting keeps its value together with the layer, file and line that it came from. Lists are replaced as a whole,
mappings with free keys (`env`, `expected`) are merged key by key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..problems import InputError, KeyPath, Problem, in_order, raise_if_errors
from . import schema, settings, trust, variables
from .contradictions import contradictions
from .model import Origin, Scenario
from .plain_secrets import suspicious
from .setting import BUILT_IN, GLOBAL, OVERRIDE, Setting, Settings, lay_over
from .strict_yaml import Document, read

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Layers:
    """All layers but the scenario's. base: built-in and global ones, merged; overrides: what beats the scenario."""

    base: Settings
    overrides: Settings
    warnings: tuple[Problem, ...] = ()

    def over(self, own: Settings) -> dict[KeyPath, Setting]:
        """Return all settings with a scenario's own ones in their place between the layers."""
        return lay_over(self.overrides, lay_over(own, self.base))

    def value(self, *path: str) -> Any:
        """Return one setting as it is without a scenario; None when no layer gives it."""
        found = self.overrides.get(path) or self.base.get(path)
        return found.value if found is not None else None


def load(
    defaults_file: Path | None,
    inventory_vars: Mapping[str, Any] = _NOTHING,
    overrides: Mapping[str, Any] = _NOTHING,
    *,
    inventory_origin: str = "inventory variables",
    overrides_origin: str = "-e",
    user: int | None = None,
) -> Layers:
    """Return the layers, or raise InputError with everything wrong in any of them; see `examine`."""
    found, problems = examine(
        defaults_file,
        inventory_vars,
        overrides,
        inventory_origin=inventory_origin,
        overrides_origin=overrides_origin,
        user=user,
    )
    raise_if_errors(problems)
    return found


def examine(
    defaults_file: Path | None,
    inventory_vars: Mapping[str, Any] = _NOTHING,
    overrides: Mapping[str, Any] = _NOTHING,
    *,
    inventory_origin: str = "inventory variables",
    overrides_origin: str = "-e",
    user: int | None = None,
) -> tuple[Layers, tuple[Problem, ...]]:
    """Return the layers with everything wrong in any of them; what is wrong is left to the layer below.

    Each message names its layer. inventory_vars: variables of which those that start with `testcell_` and a section's
    name count. overrides: extra variables; see `variables` for their names. user: the user id that the file must be
    trusted by (default: ours).
    """
    problems: list[Problem] = []
    base = built_in()
    if defaults_file is not None:
        from_file = _from_file(defaults_file, os.geteuid() if user is None else user, problems)
        base = lay_over(from_file, base)
    inventory = variables.document(inventory_vars, inventory_origin, short_names=False)
    base = lay_over(_checked(inventory, GLOBAL, problems), base)
    extra = variables.document(overrides, overrides_origin, short_names=True)
    above = _checked(extra, OVERRIDE, problems)
    problems += contradictions({**base, **above})
    found = in_order(problems)
    return Layers(base, above, tuple(problem for problem in found if not problem.is_error)), found


def built_in() -> dict[KeyPath, Setting]:
    """Return the settings of the lowest layer."""
    keys = settings.leaf_specs().items()
    return {path: Setting(key.default, BUILT_IN) for path, key in keys if key.default is not schema.MISSING}


def settings_of(
    document: Document, data: Mapping[str, Any], layer: str, prefix: KeyPath = ()
) -> dict[KeyPath, Setting]:
    """Return the settings that checked data holds, placed at their keys. prefix: where data stands in the document."""
    found: dict[KeyPath, Setting] = {}
    for path in settings.leaf_specs():
        value = _at(data, path)
        if value is schema.MISSING:
            continue
        pairs = {(*path, key): item for key, item in value.items()} if isinstance(value, dict) else {path: value}
        for place, item in pairs.items():
            found[place] = _setting_at(document, item, layer, prefix, place)
    return found


def _setting_at(document: Document, value: Any, layer: str, prefix: KeyPath, path: KeyPath) -> Setting:
    """Return a value with its place in the document; a list stands at its key and has the places of its items."""
    full, written = (*prefix, *path), (*prefix, *path) if prefix else ()
    if not isinstance(value, list):
        return Setting(value, layer, document.file, *document.mark(full), written=written)
    items = tuple(document.mark((*full, index)) for index in range(len(value)))
    return Setting(value, layer, document.file, *document.key_mark(full), items, written)


def nested(merged: Settings, section: str) -> dict[str, Any]:
    """Return the plain values of one section as nested mappings."""
    result: dict[str, Any] = {}
    for path, setting in merged.items():
        if path[0] == section:
            inner = result
            for part in path[1:-1]:
                inner = inner.setdefault(str(part), {})
            inner[str(path[-1])] = setting.value
    return result


def origins(scenario: Scenario) -> list[Origin]:
    """Return, for each leaf key of a scenario with all layers applied, the value and where it comes from."""
    return list(scenario.origins)


def origins_of(merged: Settings) -> list[Origin]:
    """Return the origin of each setting, sorted by section in the order of the schema."""
    rank = {section: place for place, section in enumerate(settings.SECTIONS)}
    ordered = sorted(merged.items(), key=lambda item: rank.get(str(item[0][0]), len(rank)))
    return [setting.origin(path) for path, setting in ordered]


def _from_file(path: Path, user: int, problems: list[Problem]) -> dict[KeyPath, Setting]:
    distrusted = trust.distrust(path, user=user)
    problems += [_of_layer(problem, GLOBAL) for problem in distrusted]
    if distrusted:
        return {}
    try:
        return _checked(read(path), GLOBAL, problems)
    except InputError as exc:
        problems += [_of_layer(problem, GLOBAL) for problem in exc.problems]
        return {}


def _checked(document: Document, layer: str, problems: list[Problem]) -> dict[KeyPath, Setting]:
    if document.empty:
        problems += [_of_layer(problem, layer) for problem in document.problems]
        return {}
    checked = schema.check(document, settings.GLOBAL, fill=False)
    found = [*checked.problems, *(suspicious(document, checked.data) if layer == GLOBAL else ())]
    problems += [_of_layer(problem, layer) for problem in found]
    return settings_of(document, checked.data, layer)


def _of_layer(problem: Problem, layer: str) -> Problem:
    unset = "; leave the key out to take the layer below" if problem.got.startswith("null") else ""
    return replace(problem, message=f"in the {layer} layer: {problem.message}{unset}")


def _at(data: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return schema.MISSING
        data = data[part]
    return data
