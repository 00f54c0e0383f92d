# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All scenarios of a project: found, loaded, and checked against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..problems import InputError, Problem, in_order, listing, nearest, raise_if_errors, show
from .custom_order import order_problems
from .files import looks_like_scenario, metadata_file
from .known import Known
from .layers import Layers
from .lookup import callable_names, find
from .metadata import Examined, examine
from .model import Scenario
from .run_settings import custom_order


@dataclass(frozen=True)
class ScenarioRef:
    """A scenario folder that has not been read. metadata: the file that should describe it, which may be missing."""

    name: str
    path: Path
    metadata: Path


@dataclass(frozen=True)
class Catalog:
    """Everything found below a root. problems: of all files, errors and warnings.

    broken: the errors of each folder that cannot be run, also under the name in its file. unreadable: one name for each of
    these folders, the one in its file where there is one. nameless: the folders whose name cannot be read.
    """

    refs: tuple[ScenarioRef, ...]
    scenarios: tuple[Scenario, ...]
    problems: tuple[Problem, ...]
    broken: Mapping[str, tuple[Problem, ...]]
    nameless: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def usable(self, names: Iterable[str]) -> tuple[Scenario, ...]:
        """Return the scenarios that are right, or raise InputError if one of names is broken.

        Names that nobody has are left to `selection.select`, unless one of the folders whose name cannot be read may
        be meant. broken is keyed by folder; a broken scenario is also known by the name in its file.
        """
        wanted = tuple(names)
        problems = [problem for name in wanted for problem in self.broken.get(name, ())]
        unknown = [name for name in wanted if name not in self.broken and find(name, self.scenarios) is None]
        if unknown and self.nameless:
            problems += [self._perhaps_nameless(name) for name in unknown]
            problems += [problem for folder in self.nameless for problem in self.broken[folder]]
        if problems:
            raise InputError(problems)
        return self.scenarios

    def _perhaps_nameless(self, name: str) -> Problem:
        folders = listing([show(folder) for folder in self.nameless])
        message = (
            f"no scenario that can be read is called {show(name)}; the name of the one in {folders} cannot be read"
        )
        near = nearest(name, callable_names(self.scenarios), cutoff=0.5)
        return Problem("command line", key="scenario", message=message, suggestion=near)


def discover(root: Path) -> tuple[ScenarioRef, ...]:
    """Return the scenario folders below root, sorted by name. Raise InputError when root is no folder to read.

    A folder counts when it holds any file of a scenario, so that one whose metadata is missing is reported, not
    passed over; hidden folders and those that start with `_` do not count.
    """
    try:
        folders = sorted((path for path in root.iterdir() if path.is_dir()), key=lambda path: path.name)
    except OSError as exc:
        why = "does not exist" if isinstance(exc, FileNotFoundError) else f"cannot be read: {exc.strerror}"
        raise InputError([Problem(str(root), message=f"the folder of the scenarios {why}")]) from None
    return tuple(
        ScenarioRef(folder.name, folder, metadata_file(folder)[0]) for folder in folders if looks_like_scenario(folder)
    )


def read(
    root: Path,
    layers: Layers,
    *,
    known: Known | None = None,
    environ: Mapping[str, str] | None = None,
) -> Catalog:
    """Return all scenarios below root with every problem in them and between them; raises only for root itself."""
    refs = discover(root)
    looks = [examine(ref.path, layers=layers, known=known, environ=environ) for ref in refs]
    clashes = _clashes(looks)
    broken: dict[str, tuple[Problem, ...]] = {}
    for look in looks:
        errors = [*look.problems, *clashes.get(look.folder.name, ())]
        if look.scenario is None or look.folder.name in clashes:
            broken[look.folder.name] = in_order(errors)
    for look in looks:
        if look.folder.name in broken and look.name:
            broken.setdefault(look.name, broken[look.folder.name])
    scenarios = [look.scenario for look in looks if look.scenario is not None and look.folder.name not in clashes]
    between = [problem for problems in clashes.values() for problem in problems]
    return Catalog(
        refs=refs,
        scenarios=tuple(scenarios),
        problems=in_order([*layers.warnings, *(p for look in looks for p in look.problems), *between]),
        broken=broken,
        nameless=tuple(look.folder.name for look in looks if look.scenario is None and not look.name),
        unreadable=tuple(look.name or look.folder.name for look in looks if look.folder.name in broken),
    )


def load_all(
    root: Path,
    layers: Layers,
    *,
    known: Known | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Scenario, ...]:
    """Return all scenarios below root, or raise InputError with the problems of all of them."""
    catalog = read(root, layers, known=known, environ=environ)
    raise_if_errors(catalog.problems)
    return catalog.scenarios


def validate(
    root: Path,
    layers: Layers,
    known: Known | None = None,
    environ: Mapping[str, str] | None = None,
    beyond: Callable[[Scenario], Iterable[Problem]] = lambda scenario: (),
) -> list[Problem]:
    """Return every problem of the tree, errors, warnings and notes: the files, the clashes, the configured order.

    beyond: what is wrong with a scenario whose files are right.
    """
    try:
        catalog = read(root, layers, known=known, environ=environ)
    except InputError as exc:
        return list(exc.problems)
    order = [] if catalog.broken else order_problems(custom_order(layers), catalog.scenarios)
    order += [] if catalog.broken else _filter_problems(layers, catalog.scenarios)
    found = [problem for scenario in catalog.scenarios for problem in beyond(scenario)]
    return list(in_order([*catalog.problems, *order, *found]))


def _clashes(looks: Sequence[Examined]) -> dict[str, list[Problem]]:
    """Return, by folder, the names that two folders share; names that differ only by case are shared, too."""
    owners: dict[str, list[Examined]] = {}
    for look in looks:
        if look.name:
            owners.setdefault(look.name.casefold(), []).append(look)
    clashes: dict[str, list[Problem]] = {}
    for twins in (twins for twins in owners.values() if len(twins) > 1):
        for look in twins:
            others = [other for other in twins if other is not look]
            clashes[look.folder.name] = [_clash(look, others)]
    return clashes


def _clash(look: Examined, others: Sequence[Examined]) -> Problem:
    places = listing([f"{file}:{line}" for file, line, _ in (other.name_place for other in others)])
    same = all(other.name == look.name for other in others)
    what = "is also the name in" if same else f"differs only by case from {show(others[0].name)} in"
    return Problem(*look.name_place, "name", f"the name {show(look.name)} {what} {places}; names are used once")


def _filter_problems(layers: Layers, scenarios: Sequence[Scenario]) -> list[Problem]:
    """Return a warning for each filter with names or tags that no scenario has."""
    problems = []
    tags = sorted({tag for scenario in scenarios for tag in scenario.tags})
    for key in ("include_tags", "exclude_tags"):
        path = ("filters", key)
        setting = layers.overrides.get(path) or layers.base[path]
        if unknown := [tag for tag in setting.value if tag not in tags]:
            message = f"no scenario has the tag {listing([show(tag) for tag in unknown])}"
            problems.append(setting.problem(path, message, allowed=listing(tags), severity="warning"))
    for key in ("only_scenarios", "skip_scenarios"):
        path = ("filters", key)
        setting = layers.overrides.get(path) or layers.base[path]
        unknown = [name for name in setting.value if find(name, scenarios) is None]
        if unknown:
            message = f"no scenario is called {listing([show(name) for name in unknown])}"
            problems.append(setting.problem(path, message, severity="warning"))
    return problems
