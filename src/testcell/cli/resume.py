# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""`resume`: go on with a run whose controller has died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testcell.cli import execution, extra, inputs, jobs, reclaiming
from testcell.cli.errors import CliError
from testcell.cli.settings import (
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
    from testcell.inventory import Inventory


def resume(
    ctx: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run that goes on.")],
    inventory: InventoryOption = None,
    wait: WaitOption = None,
    where: ResultsDirOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
) -> None:
    """Go on with a run whose controller has died.

    Finished cases are not run again. The case that it was in goes on where its test had begun, if that still runs or has
    ended by itself; else what can be had of it comes home and lies beside, and it is run anew. Then follows the rest.
    """
    given = extra.as_variables(extra.parse(ctx, variables))
    settings = of(ctx, form)
    run_dir = results_dir(settings, where) / run_id
    waits = {} if wait is None else {WAIT: str(wait)}
    raise typer.Exit(go_on(settings, run_dir, inventory or (), {**given, **waits}))


def go_on(settings: Settings, run_dir: Path, inventory: Sequence[str], given: Mapping[str, str]) -> int:
    """Go on with a run to its end, show its verdict and return the exit code; CliError where it cannot go on."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import resuming

    from testcell import inventory as inventories

    for why, code in ((resuming.refusal, Exit.INVALID_INPUT), (resuming.held, Exit.LEASE_HELD)):
        if said := why(run_dir):
            raise CliError(f"{run_dir}: {said}", code)
    found = inputs.inventory(lambda: inventories.load(settings.project(), inventory))
    absent = resuming.missing(plan.load(run_dir), found.names)
    if absent:
        raise CliError(f"{run_dir}: {inputs.not_there(absent)}", Exit.INVALID_INPUT)
    asked, nodes = prepared(settings, found, run_dir, given)
    return execution.attend(settings, found, run_dir, asked, nodes=nodes)


def prepared(
    settings: Settings, found: Inventory, run_dir: Path, given: Mapping[str, str]
) -> tuple[dict[str, str], int]:
    """Bring home what can be had of the case that a dead run was in; return the variables to go on with, and its nodes' number."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import resuming, salvage

    from testcell import closing

    used = closing.nodes_of(run_dir)
    asked = {**given, "results_dir": str(run_dir.parent)}
    if salvage.open_case(run_dir) is not None:
        local = jobs.needs_local(used, found)
        work = jobs.Work(settings.project(), found, with_local=local, verbose=settings.verbose)
        reclaiming.collect(work, asked, run_dir, spare=True)
    return {**asked, resuming.KEY: run_dir.name}, len(used)
