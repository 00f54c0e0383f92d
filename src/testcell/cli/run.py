# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`run`: scenarios from plan to verdict, or only the plan."""

from __future__ import annotations

import os
import time
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell.cli import execution, extra, inputs, output
from testcell.cli.errors import CliError, usage
from testcell.cli.settings import (
    LONGEST_S,
    WAIT,
    FormatOption,
    InventoryOption,
    ResultsDirOption,
    Settings,
    WaitOption,
    of,
    results_dir,
)
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.plan import RunPlan

    from testcell.inventory import Inventory


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
    plan = _plan(ctx, settings, request, found, limit, dry_run)
    for warning in plan.warnings:
        output.note(f"warning: {warning}")
    if dry_run:
        _show_plan(settings, plan)
        return
    code = execution.execute(settings, request, found, nodes=len({n for case in plan.cases for n in case.nodes}))
    raise typer.Exit(code)


def _plan(
    ctx: typer.Context, settings: Settings, request: execution.Request, found: Inventory, limit: str, dry_run: bool
) -> RunPlan:
    """Return the plan, made here as the playbook makes it, so that wrong input is named before Ansible starts."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import placement
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory import Scope

    kept = frozenset(name for name in (*found.names, placement.LOCAL) if name not in request.excluded)
    asked = inputs.asked(
        settings.project(),
        found,
        request.overrides,
        reach=not dry_run,
        scenario=request.scenario,
        tags=request.tags,
        skip_tags=request.skip_tags,
        cases=request.cases,
        results_dir=str(request.results_dir),
        scope=Scope(limit, kept) if limit else None,
        forks=len(found.nodes) + 1,
    )
    try:
        return inputs.checked(lambda: opening.decide(asked, settings.project().root, time.time(), _owner()))
    except CliError as exc:
        if exc.code == Exit.USAGE and settings.form == "table":
            usage(ctx, exc.message)
        raise


def _show_plan(settings: Settings, plan: RunPlan) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import view

    data: dict[str, Any] = view.as_data(plan)
    settings.emit(data, lambda: [view.as_text(plan)])


def _owner() -> str:
    return f"{os.environ.get('USER') or os.getuid()}@{os.uname().nodename}:{os.getpid()}"
