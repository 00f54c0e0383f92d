# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`config show`: the settings of a scenario with all layers applied, and where each comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell.cli import extra, inputs
from testcell.cli.output import Table
from testcell.cli.scenarios import find
from testcell.cli.settings import FormatOption, InventoryOption, OutputOption, of
from testcell.project import Project

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import Origin, Scenario


def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the scenario or of its folder.")],
    origin: Annotated[bool, typer.Option("--origin", help="Name the layer, file and line of each value.")] = False,
    inventory: InventoryOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Show each setting of a scenario with the value that counts; with --origin also those that it hides."""
    from testcell import inventory as inventories

    settings = of(ctx, form, target)
    project = settings.project()
    nodes = inputs.inventory(lambda: inventories.read(project, inventory or ()))
    asked = inputs.asked(project, nodes, extra.parse(ctx, variables), reach=False)
    found = inputs.layers(project, asked.overrides, nodes)
    origins = _with_profile(find(ctx, name, inputs.catalog(project, found, asked.environment)), asked.overrides)
    if origin:
        document: Any = [_entry(item, project) for item in origins]
        rows = [row for item in origins for row in _rows(item, project)]
        settings.emit(document, lambda: [Table(("key", "value", "layer", "from"), rows)])
    else:
        document = {item.key: item.value for item in origins}
        settings.emit(document, lambda: [Table(("key", "value"), [_row(item, project)[:2] for item in origins])])


def _with_profile(scenario: Scenario, variables: Mapping[str, Any]) -> tuple[Origin, ...]:
    """Return the origins of a scenario's settings; with -e soak_profile those of a soak are what counts in that profile."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.variables import SOAK_PROFILE
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import settings as soak_settings

    profile = variables.get(SOAK_PROFILE)
    if not profile:
        return scenario.origins

    def effective() -> list[Origin]:
        wrong = soak_settings.profile_problem(profile)
        if wrong:
            raise InputError([wrong])
        return soak_settings.origins(scenario, profile)

    others = [item for item in scenario.origins if not item.key.startswith("soak.")]
    return (*others, *inputs.checked(effective))


def _entry(item: Origin, project: Project) -> dict[str, Any]:
    return {
        "key": item.key, "value": item.value, "layer": item.layer,
        "file": _near(item.file, project) or None, "line": item.line or None,
        "shadows": [_entry(hidden, project) for hidden in item.shadows],
    }  # fmt: skip


def _rows(item: Origin, project: Project) -> list[tuple[str, ...]]:
    """Return the row of a setting, and one for each value of a layer below that it hides."""
    hidden = [("  instead of", *_row(one, project)[1:]) for one in item.shadows]
    return [_row(item, project), *hidden]


def _row(item: Origin, project: Project) -> tuple[str, ...]:
    place = f"{_near(item.file, project)}:{item.line}" if item.line else _near(item.file, project)
    return item.key, json.dumps(item.value, ensure_ascii=False, default=str), item.layer, place or "-"


def _near(file: str, project: Project) -> str:
    return file.removeprefix(f"{project.root}/")
