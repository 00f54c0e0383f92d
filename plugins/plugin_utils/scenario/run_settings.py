# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that concern a whole run rather than one scenario: pauses and retries, filters, order, disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .custom_order import OrderEntry
from .layers import Layers
from .selection import Request


@dataclass(frozen=True)
class InterScenario:
    """What happens between the scenarios of one run. retry_count: attempts beyond the first."""

    wait_between_scenarios_s: int
    continue_on_failure: bool
    retry_count: int


def inter_scenario(layers: Layers) -> InterScenario:
    """Return what happens between scenarios."""
    section = "inter_scenario"
    wait, go_on = layers.value(section, "wait_between_scenarios"), layers.value(section, "continue_on_failure")
    return InterScenario(wait, go_on, layers.value(section, "retry_count"))


@dataclass(frozen=True)
class DiskLimits:
    """When the disk of the results is worth a warning, in percent of its size: too little free, too much of ours."""

    warn_free_percent: int
    warn_share_percent: int


def disk_limits(layers: Layers) -> DiskLimits:
    """Return when the disk of the results is worth a warning."""
    return DiskLimits(layers.value("results", "warn_free_percent"), layers.value("results", "warn_share_percent"))


def database_url(layers: Layers, given: str) -> str:
    """Return where the results database is, "" for the file beside the runs; a password may be in it.

    given: what the environment says, which beats the file and the inventory, and is beaten by -e.
    """
    path = ("results", "database_url")
    return given if given and path not in layers.overrides else str(layers.value(*path))


def scenarios_root(layers: Layers) -> str:
    """Return the folder of the scenarios as it was written; a relative one starts at the project's root."""
    return str(layers.value("execution", "scenarios_root"))


def custom_order(layers: Layers) -> tuple[OrderEntry, ...]:
    """Return the entries of `execution.custom_order`, each with its place."""
    path = ("execution", "custom_order")
    setting = layers.overrides.get(path) or layers.base[path]
    places = setting.items or ((setting.line, setting.column),) * len(setting.value)
    return tuple(
        OrderEntry(
            name=entry.get("name", ""),
            directory=entry.get("directory", ""),
            enabled=entry.get("enabled", True),
            description=entry.get("description", ""),
            file=setting.file,
            line=line,
            column=column,
        )
        for entry, (line, column) in zip(setting.value, places, strict=True)
    )


def request(
    layers: Layers,
    *,
    names: Sequence[str] = (),
    everything: bool = False,
    tags: Sequence[str] = (),
    skip_tags: Sequence[str] = (),
    include_disabled: bool = False,
) -> Request:
    """Return what to run: what was asked for and, unless scenarios were named, the order and filters of the layers.

    The word `all` among names means everything. tags asked for replace `filters.include_tags`; skip_tags add up.
    """
    named = tuple(name for name in names if name != "all")
    plain = Request(
        named, everything or "all" in names, tuple(tags), tuple(skip_tags), include_disabled=include_disabled
    )
    if named or not (plain.all or tags or skip_tags):
        return plain
    return replace(
        plain,
        tags=plain.tags or tuple(layers.value("filters", "include_tags")),
        skip_tags=tuple(dict.fromkeys([*skip_tags, *layers.value("filters", "exclude_tags")])),
        mode=layers.value("execution", "execution_mode"),
        custom_order=custom_order(layers),
        only=tuple(layers.value("filters", "only_scenarios")),
        skip=tuple(layers.value("filters", "skip_scenarios")),
    )
