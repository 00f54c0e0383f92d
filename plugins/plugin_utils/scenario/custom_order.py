# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order that a person wrote down: `execution.custom_order`, checked against the scenarios that exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..problems import Problem, Severity, listing, nearest, show
from .lookup import callable_names, find, folders_of, names_of
from .model import Scenario


@dataclass(frozen=True)
class OrderEntry:
    """One entry with its place. name or directory may be "" when the other one is given."""

    name: str = ""
    directory: str = ""
    enabled: bool = True
    description: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def problem(
        self, message: str, *, got: str = "", allowed: str = "", suggestion: str = "", severity: Severity = "error"
    ) -> Problem:
        """Return a problem that stands at this entry."""
        where = (self.file, self.line, self.column, "execution.custom_order")
        return Problem(*where, message, got, allowed, suggestion, severity)


def in_order(order: Iterable[OrderEntry], known: Sequence[Scenario]) -> list[Scenario]:
    """Return the scenarios of the enabled entries; entries of missing scenarios are left out."""
    found = (scenario_of(entry, known) for entry in order if entry.enabled)
    return [scenario for scenario in found if scenario is not None]


def order_problems(order: Sequence[OrderEntry], known: Sequence[Scenario]) -> list[Problem]:
    """Return what is wrong with the order: an entry twice, of a missing folder, or with another folder's name.

    An enabled entry of a scenario that is disabled in its own file is a warning.
    """
    problems: list[Problem] = []
    first: dict[str, OrderEntry] = {}
    for entry in order:
        scenario = scenario_of(entry, known)
        if scenario is None:
            problems.append(_missing(entry, known))
        elif first.setdefault(scenario.directory.name, entry) is not entry:
            message = f"{show(entry.directory or entry.name)} is listed twice"
            problems.append(entry.problem(f"{message}; first at line {first[scenario.directory.name].line}"))
        else:
            problems += _mismatches(entry, scenario)
    return problems


def scenario_of(entry: OrderEntry, known: Sequence[Scenario]) -> Scenario | None:
    """Return the scenario that an entry means: by its folder when it names one, else by its name."""
    if entry.directory:
        return next((scenario for scenario in known if scenario.directory.name == entry.directory), None)
    return find(entry.name, known)


def _missing(entry: OrderEntry, known: Sequence[Scenario]) -> Problem:
    if entry.directory:
        folders, near = folders_of(known), nearest(entry.directory, folders_of(known))
        message = f"there is no scenario folder {show(entry.directory)}"
        return entry.problem(message, allowed=listing(folders), suggestion=near)
    near = nearest(entry.name, callable_names(known))
    return entry.problem(f"unknown scenario {show(entry.name)}", allowed=listing(names_of(known)), suggestion=near)


def _mismatches(entry: OrderEntry, scenario: Scenario) -> list[Problem]:
    problems = []
    if entry.name and entry.name not in (scenario.name, scenario.directory.name):
        message = f"folder {show(scenario.directory.name)} holds the scenario {show(scenario.name)}"
        problems.append(entry.problem(message, got=f"name {show(entry.name)}"))
    if entry.enabled and not scenario.enabled:
        message = f"scenario {show(scenario.name)} is disabled in {scenario.metadata_file}; it will not run"
        problems.append(entry.problem(message, severity="warning"))
    return problems
