# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`run`: scenarios from plan to verdict, or only the plan."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from testcell.cli import execution, extra, inputs, output, planning
from testcell.cli.errors import usage
from testcell.cli.settings import (
    LONGEST_S,
    WAIT,
    FormatOption,
    InventoryOption,
    ResultsDirOption,
    WaitOption,
    of,
    results_dir,
)


class Mode(str, Enum):
    """What is brought home."""

    basic = "basic"
    standard = "standard"
    comprehensive = "comprehensive"


def run(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Scenarios, in this order.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All enabled scenarios.")] = False,
    tags: Annotated[str, typer.Option(metavar="TAG,...", help="Only scenarios with one of these tags.")] = "",
    skip_tags: Annotated[str, typer.Option(metavar="TAG,...", help="No scenario with one of these tags.")] = "",
    cases: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="CASE", help="Only this case: SCENARIO/CASE, CASE or LABEL=VALUE; repeatable."),
    ] = None,
    inventory: InventoryOption = None,
    limit: Annotated[
        str, typer.Option(metavar="NODES", help="Only these nodes: names, wildcards, !name, comma separated.")
    ] = "",
    node: Annotated[str, typer.Option(metavar="NAME", help="Where the test script runs: local, auto or a node.")] = "",
    timeout: Annotated[
        int | None, typer.Option(min=1, max=LONGEST_S, metavar="SECONDS", help="Time limit of the test script.")
    ] = None,
    collection_mode: Annotated[Mode | None, typer.Option(help="What to bring home.")] = None,
    go_on: Annotated[
        bool | None,
        typer.Option(
            "--continue-on-failure/--stop-on-failure", help="Whether to go on after a case that did not pass."
        ),
    ] = None,
    wait: WaitOption = None,
    where: ResultsDirOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and touch nothing.")] = False,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
) -> None:
    """Run scenarios and end with a verdict."""
    from testcell import inventory as inventories

    settings = of(ctx, form)
    if names and everything:
        usage(ctx, "names and --all were both given.")
    choices = {
        "test_execution.node": node,
        "test_execution.timeout": "" if timeout is None else str(timeout),
        "collection_mode": collection_mode.value if collection_mode else "",
        "continue_on_failure": "" if go_on is None else str(go_on).lower(),
        WAIT: "" if wait is None else str(wait),
    }
    overrides = {**extra.parse(ctx, variables), **{name: value for name, value in choices.items() if value}}
    found = inputs.inventory(lambda: inventories.read(settings.project(), inventory or ()))
    request = execution.Request(
        scenario="all" if everything else ",".join(names or ()),
        tags=tags,
        skip_tags=skip_tags,
        cases=",".join(cases or ()),
        overrides=overrides,
        excluded=tuple(inputs.inventory(lambda: found.outside(limit))) if limit else (),
        results_dir=results_dir(settings, where),
    )
    plan = planning.decide(ctx, settings, request, found, limit=limit, dry_run=dry_run)
    for warning in plan.warnings:
        output.note(f"warning: {warning}")
    if dry_run:
        planning.show(settings, plan)
        return
    code = execution.execute(settings, request, found, nodes=len({n for case in plan.cases for n in case.nodes}))
    raise typer.Exit(code)
