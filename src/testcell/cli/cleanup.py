# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`cleanup`: remove from the nodes what a run that was cut short has left there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from testcell import exits
from testcell.cli import execution, extra, inputs, jobs
from testcell.cli.errors import CliError, usage
from testcell.cli.output import Table
from testcell.cli.settings import FormatOption, InventoryOption, OutputOption, ResultsDirOption, of, results_dir
from testcell.exits import Exit


def cleanup(
    ctx: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="The run whose leavings go.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The leavings of every run that is dead.")] = False,
    lift: Annotated[
        bool, typer.Option("--lift", help="Let runs on quarantined nodes again once they are clean.")
    ] = False,
    inventory: InventoryOption = None,
    where: ResultsDirOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Clean the nodes after dead runs.

    What a run has left is found by label and lease, never by a wildcard. A run that is alive is left alone.
    """
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import RUN_ID

    from testcell import closing
    from testcell import inventory as inventories

    if bool(run_id) == everything:
        usage(ctx, "give one run, or --all.")
    if run_id and not RUN_ID.fullmatch(run_id):
        usage(ctx, f"{run_id!r} is no run id; they look like 20260102_030405.")
    given = extra.as_variables(extra.parse(ctx, variables))
    settings = of(ctx, form, target)
    project = settings.project()
    found = inputs.inventory(lambda: inventories.load(project, inventory or ()))
    folder = results_dir(settings, where)
    used = closing.nodes_of(folder / run_id) if run_id else []
    absent = [name for name in used if name not in (*found.names, jobs.LOCAL)]
    if absent and absent == used:
        raise CliError(f"run {run_id}: {inputs.not_there(absent)}", Exit.INVALID_INPUT)
    work = jobs.Work(project, found, with_local=jobs.needs_local(used, found), verbose=settings.verbose)
    answers, outcome = work.ask(
        "cleanup",
        "cleanup_out",
        {**given, "cleanup_run": run_id or "all", "cleanup_lift": lift, "results_dir": str(folder)},
    )
    if answers is None:
        raise execution.explain(outcome)
    answers += [
        {"name": name, "ok": False, "removed": {}, "runs": [], "errors": ["gave no answer"]}
        for name in jobs.silent(answers, found.names)
    ]
    answers += [
        {"name": name, "ok": False, "removed": {}, "runs": [run_id], "errors": [inputs.not_there([name])]}
        for name in absent
    ]
    settings.emit(answers, lambda: [_table(answers)])
    if outcome.signal:
        raise typer.Exit(exits.of_signal(outcome.signal))
    if any(answer.get("ok") is not True for answer in answers):
        held = any(answer.get("error_kind") == "lock_held" for answer in answers)
        raise typer.Exit(Exit.LEASE_HELD if held else Exit.NOT_CLEAN)


def _table(answers: Sequence[Mapping[str, Any]]) -> Table:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.cleaning import removed

    rows = [
        (
            str(answer.get("name")),
            "ok" if answer.get("ok") is True else "failed",
            ", ".join(answer.get("runs") or ()) or "-",
            removed(answer.get("removed")),
            "; ".join(map(str, answer.get("errors") or ())),
        )
        for answer in answers
    ]
    return Table(("node", "state", "runs", "removed", "errors"), rows, note="" if rows else "no nodes")
