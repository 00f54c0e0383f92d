# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""Scenarios and configuration for commands: loaded in this process, without Ansible and without any node."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from testcell.cli import output
from testcell.cli.errors import CliError
from testcell.exits import Exit
from testcell.project import Project

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.asked import Asked
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.catalog import Catalog
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.layers import Layers

    from testcell.inventory import Inventory

T = TypeVar("T")


def checked(load: Callable[[], T]) -> T:
    """Return what load returns; wrong input becomes a CliError with every problem: exit code 3, wrong usage 2."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError

    try:
        return load()
    except InputError as exc:
        code = Exit.USAGE if exc.usage else Exit.INVALID_INPUT
        raise CliError(str(exc), code, problems=[problem.as_dict() for problem in exc.problems]) from None


def not_there(absent: Sequence[str]) -> str:
    """Return that an inventory lacks nodes of a run, and what to do."""
    return f"the inventory does not have {', '.join(absent)}; give the one that the run had, with -i"


def inventory(load: Callable[[], T]) -> T:
    """Return what load makes of an inventory; one that cannot be read, or is wrong, is a CliError with exit code 3."""
    from testcell.inventory import InventoryError

    try:
        return checked(load)
    except InventoryError as exc:
        raise CliError(str(exc), Exit.INVALID_INPUT) from None


def asked(
    project: Project, found: Inventory, overrides: Mapping[str, Any] | None = None, *, reach: bool = True, **more: Any
) -> Asked:
    """Return what a command asks of the domain: nodes and settings. reach: whether ssh would get in is checked too."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import access, run_variables
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.asked import Asked
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory_files import VARIABLES

    settings = overrides or {}
    kept = {name: value for name, value in found.variables.items() if name not in settings}
    fields, wrong = run_variables.read(kept, VARIABLES)
    given, wrongly_given = run_variables.read(settings)
    return Asked(
        **{"scenario": "", **fields, **given, **more},
        hosts=found.hosts,
        sources=found.sources,
        variables=found.variables,
        overrides=settings,
        access=access.access_of(os.environ, project.root) if reach else None,
        refused=found.refused,
        wrong=(*wrong, *wrongly_given),
    )


def layers(project: Project, overrides: Mapping[str, Any] | None = None, found: Inventory | None = None) -> Layers:
    """Return the configuration layers of a project below and above its scenarios, with the settings of an inventory."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import raise_if_errors
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory_files import placed
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers as reader

    variables, sources = (found.variables, found.sources) if found else ({}, ())
    stack, problems = reader.examine(project.defaults_file, variables, overrides or {})
    checked(lambda: raise_if_errors(placed(problems, sources)))
    return stack


def scenarios_root(project: Project, found: Layers) -> Path:
    """Return the folder of the project's scenarios."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import run_settings

    return project.root / run_settings.scenarios_root(found)


def catalog(project: Project, found: Layers, environ: Mapping[str, str] | None = None) -> Catalog:
    """Return every scenario of a project, the broken ones with their problems. environ: for their compose files."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import catalog as reader

    return checked(lambda: reader.read(scenarios_root(project, found), found, environ=environ))


def scenarios(project: Project, wanted: Sequence[str] = ()) -> Catalog:
    """Return every scenario as a run on the wanted inventories, or on the project's own, would read it.

    Scenarios can be read without an inventory too: one of the project's own that cannot be read is named and left out.
    """
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import raise_if_errors
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory_files import placed

    from testcell import inventory as inventories

    try:
        found = inventories.read(project, wanted)
    except inventories.InventoryError as exc:
        if wanted:
            raise CliError(str(exc), Exit.INVALID_INPUT) from None
        output.note(f"read without the variables of an inventory: {exc}")
        found = inventories.Inventory((), ())
    settings = asked(project, found, reach=False)
    checked(lambda: raise_if_errors(placed(settings.wrong, found.sources)))
    return catalog(project, layers(project, found=found), settings.environment)
