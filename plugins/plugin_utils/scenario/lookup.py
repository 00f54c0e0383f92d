# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds scenarios by what people call them: the name in the metadata or the name of the folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .model import Scenario


def find(name: str, known: Sequence[Scenario]) -> Scenario | None:
    """Return the scenario of this name, else the one in the folder of this name, else None."""
    by_name = (scenario for scenario in known if scenario.name == name)
    by_folder = (scenario for scenario in known if scenario.directory.name == name)
    return next(by_name, None) or next(by_folder, None)


def is_one_of(scenario: Scenario, names: Iterable[str]) -> bool:
    """Tell whether the scenario or its folder is among names."""
    return not {scenario.name, scenario.directory.name}.isdisjoint(names)


def names_of(known: Iterable[Scenario]) -> list[str]:
    """Return the names in order."""
    return [scenario.name for scenario in known]


def folders_of(known: Iterable[Scenario]) -> list[str]:
    """Return the names of the folders in order."""
    return [scenario.directory.name for scenario in known]


def callable_names(known: Sequence[Scenario]) -> list[str]:
    """Return everything that `find` answers to."""
    return list(dict.fromkeys([*names_of(known), *folders_of(known)]))
