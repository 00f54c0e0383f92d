# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""`quarantine`: unsteady cases that are set aside, with owner, reason and end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from testcell.cli import upkeep, upkeep_screen
from testcell.cli.errors import CliError, usage
from testcell.cli.output import Table
from testcell.cli.settings import FormatOption, OutputOption, ResultsDirOption, of
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.facts import Case
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.survey import Survey


def show(
    ctx: typer.Context, where: ResultsDirOption = None, form: FormatOption = None, target: OutputOption = None
) -> None:
    """List the cases that are set aside, with owner, reason and end."""
    settings = of(ctx, form, target)
    with upkeep.desk(settings, where, None, without_nodes=True) as work:
        seen = work.look()
    held = [case for case in seen.facts.cases if case.quarantine and case.quarantine.holds(seen.facts.now)]
    document = [
        {"scenario": case.scenario, "case": case.name, **(upkeep_screen.quarantine_document(case) or {})}
        for case in held
    ]
    settings.emit(document, lambda: [_set_aside_table(held)])


def add(
    ctx: typer.Context,
    case: Annotated[str, typer.Argument(metavar="CASE", help="SCENARIO/CASE, or a scenario without a matrix.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    days: Annotated[float, typer.Option("--days", min=0.01, max=365, help="For how long.")] = 7.0,
    where: ResultsDirOption = None,
    form: FormatOption = None,
) -> None:
    """Set a case aside: it is counted, shown, and not run by maintenance until it ends."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rounds

    settings = of(ctx, form)
    for option, value in (("--owner", owner), ("--reason", reason)):
        if not value.strip():
            usage(
                ctx,
                f"Invalid value for '{option}': it is empty; name who answers for the case, and why it is set aside",
            )
    with upkeep.desk(settings, where, None, without_nodes=True) as work:
        found = _case(work.look(), case)
        rounds.set_aside(work.store, found, by=owner, reason=reason, days=days)
    settings.emit({"case": found.title, "days": days}, lambda: [f"{found.title} is set aside for {days:g} day(s)"])


def lift(
    ctx: typer.Context,
    case: Annotated[str, typer.Argument(metavar="CASE", help="SCENARIO/CASE, or a scenario without a matrix.")],
    where: ResultsDirOption = None,
    form: FormatOption = None,
) -> None:
    """End the quarantine of a case before its time."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rounds

    settings = of(ctx, form)
    with upkeep.desk(settings, where, None, without_nodes=True) as work:
        found = _case(work.look(), case)
        lifted = rounds.lift(work.store, found)
    word = "is no longer set aside" if lifted else "was not set aside"
    settings.emit({"case": found.title, "lifted": lifted}, lambda: [f"{found.title} {word}"])


def _case(seen: Survey, title: str) -> Case:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import nearest, show

    found = next((case for case in seen.facts.cases if case.title == title), None)
    if found is None:
        near = nearest(title, [case.title for case in seen.facts.cases], cutoff=0.5)
        raise CliError(f"there is no case {show(title)}", Exit.USAGE, hint=f"did you mean {near}?" if near else "")
    return found


def _set_aside_table(held: Sequence[Case]) -> Table:
    rows = [
        (case.title, case.quarantine.owner, upkeep_screen.moment(case.quarantine.since),
         upkeep_screen.moment(case.quarantine.until), case.quarantine.reason)
        for case in held if case.quarantine
    ]  # fmt: skip
    return Table(("case", "owner", "since", "until", "why"), rows, note=f"{len(rows)} case(s) set aside")
