# SPDX-License-Identifier: MIT

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""`scenarios`, `scenario NAME` and `validate`: what there is to run, and whether it is well formed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell.cli import inputs, output
from testcell.cli.errors import usage
from testcell.cli.output import Part, Table
from testcell.cli.settings import FormatOption, InventoryOption, OutputOption, of
from testcell.exits import Exit
from testcell.project import Project

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import Problem
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.catalog import Catalog
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.matrix import Case
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import Scenario


def scenarios(
    ctx: typer.Context,
    inventory: InventoryOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """List all scenarios."""
    settings = of(ctx, form, target)
    catalog = inputs.scenarios(settings.project(), inventory or ())
    found = catalog.scenarios
    settings.emit([_facts(scenario) for scenario in found], lambda: [_table(found)])
    errors = [problem for problem in catalog.problems if problem.is_error]
    for problem in errors:
        output.note(problem.render())
    if errors:
        raise typer.Exit(Exit.INVALID_INPUT)


def scenario(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the scenario or of its folder.")],
    enable: Annotated[bool, typer.Option("--enable", help="Turn the scenario on, in its own file.")] = False,
    disable: Annotated[bool, typer.Option("--disable", help="Turn the scenario off, in its own file.")] = False,
    inventory: InventoryOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Show a scenario, or turn it on or off."""
    if enable and disable:
        usage(ctx, "--enable and --disable were both given.")
    settings = of(ctx, form, target)
    chosen = find(ctx, name, inputs.scenarios(settings.project(), inventory or ()))
    if enable or disable:
        changed = _switch(chosen, enable)
        document = {"name": chosen.name, "enabled": enable, "changed": changed, "file": str(chosen.metadata_file)}
        state = "enabled" if enable else "disabled"
        word = f"is now {state}" if changed else f"was {state} already"
        settings.emit(document, lambda: [f"{chosen.name} {word} in {chosen.metadata_file}"])
        return
    settings.emit(_details(chosen), lambda: _page(chosen))


def validate(
    ctx: typer.Context,
    inventory: InventoryOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Check all files; nothing is run.

    Every scenario, the configuration and the inventory, with all problems at once. No node is contacted.
    """
    settings = of(ctx, form, target)
    project = settings.project()
    checked, problems = _checked(project, inventory or ())
    errors = sum(problem.is_error for problem in problems)
    document = {"ok": not errors, "scenarios": checked, "problems": [problem.as_dict() for problem in problems]}
    verdict = f"{errors} error(s); correct them and run `testcell validate` again" if errors else "no error"
    lines = [*(problem.render() for problem in problems), f"{checked} scenario(s) checked: {verdict}"]
    settings.emit(document, lambda: lines)
    if errors:
        raise typer.Exit(Exit.INVALID_INPUT)


def find(ctx: typer.Context, name: str, catalog: Catalog) -> Scenario:
    """Return a scenario by name or folder.

    A broken one ends the command with its problems and exit code 3, an unknown name with near names and exit code 2.
    """
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import listing, nearest, show
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import lookup

    known = inputs.checked(lambda: catalog.usable([name]))
    chosen = lookup.find(name, known)
    if chosen is None:
        near = nearest(name, lookup.callable_names(known), cutoff=0.5)
        meant = f" Did you mean {near}?" if near else ""
        usage(ctx, f"unknown scenario {show(name)}.{meant} There are: {listing(lookup.names_of(known))}.")
    return chosen


def _facts(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "folder": scenario.directory.name,
        "enabled": scenario.enabled,
        "tags": list(scenario.tags),
        "cases": len(_cases(scenario)),
        "services": len(scenario.services),
        "estimated_duration_s": scenario.estimated_duration_s,
        "description": scenario.description,
    }


def _table(found: Sequence[Scenario]) -> Table:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration

    return Table(
        columns=("name", "folder", "enabled", "tags", "cases", "services", "takes", "description"),
        rows=[
            (
                s.name,
                s.directory.name,
                _yes(s.enabled),
                ", ".join(s.tags),
                str(len(_cases(s))),
                str(len(s.services)),
                duration(s.estimated_duration_s),
                s.description,
            )
            for s in found
        ],
        note="" if found else "no scenarios",
        right=frozenset({"cases", "services", "takes"}),
    )


def _details(scenario: Scenario) -> dict[str, Any]:
    return {
        **_facts(scenario),
        "file": str(scenario.metadata_file),
        "test": {
            "node": scenario.test.node,
            "script": scenario.test.script,
            "timeout_s": scenario.test.timeout_s,
            "collection_mode": scenario.test.collection_mode,
        },
        "services": [
            {
                "name": service.name,
                "node": service.node,
                "role": service.role,
                "image": service.image,
                "depends_on": list(service.depends_on),
                "ports": list(service.ports),
            }
            for service in scenario.services
        ],
        "cases": [{"case": case.id, "labels": dict(case.labels)} for case in _cases(scenario)],
        "warnings": [problem.as_dict() for problem in scenario.warnings],
    }


def _page(scenario: Scenario) -> list[Part]:
    columns = ("service", "node", "role", "image", "depends on", "ports")
    services = [
        (s.name, s.node, s.role, s.image, ", ".join(s.depends_on), ", ".join(map(str, s.ports)))
        for s in scenario.services
    ]
    test = scenario.test
    cases = [case.id for case in _cases(scenario) if case.id]
    return [
        f"{scenario.name}: {scenario.description}",
        f"file     {scenario.metadata_file}",
        f"enabled  {_yes(scenario.enabled)}",
        f"tags     {', '.join(scenario.tags) or '-'}",
        f"test     {test.script} on {test.node}, at most {test.timeout_s} s, collection mode {test.collection_mode}",
        f"cases    {', '.join(cases) or 'one'}",
        Table(columns, services),
        *(problem.render() for problem in scenario.warnings),
    ]


def _cases(scenario: Scenario) -> Sequence[Case]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import matrix

    return matrix.expand(scenario)


def _switch(scenario: Scenario, enabled: bool) -> bool:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import edit

    return inputs.checked(lambda: edit.set_enabled(scenario.metadata_file, enabled))


def _yes(state: bool) -> str:
    return "yes" if state else "no"


def _checked(project: Project, wanted: Sequence[str]) -> tuple[int, list[Problem]]:
    """Return how many scenarios there are and every problem in them, in the configuration and in the inventory."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import Problem
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inputs as domain

    from testcell import inventory as inventories

    try:
        found = inventories.read(project, wanted)
    except inventories.InventoryError as exc:
        found = inventories.Inventory((), (), refused=(Problem("inventory", message=str(exc)),))
    checked, problems = domain.validate(inputs.asked(project, found), project.root)
    return checked, list(problems)
