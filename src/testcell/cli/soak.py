# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""`soak`: scenarios for hours, with faults and gates; follow one that goes on; the nights side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from testcell.cli import attaching, execution, extra, inputs, night_screen, output, planning
from testcell.cli.errors import usage
from testcell.cli.settings import (
    WAIT,
    FormatOption,
    InventoryOption,
    WaitOption,
    of,
    results_dir,
)

# What does not change the plan: where the run is, and how long nodes are waited for that others hold.
TAKEN_BY_ATTACH = ("out_dir", WAIT)
TAKEN_BY_NIGHTS = ("out_dir",)


class Profile(str, Enum):
    """How long, how strict, and with which faults."""

    soak_smoke = "soak_smoke"
    soak_endurance = "soak_endurance"
    soak_release = "soak_release"


def soak(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Scenarios, in this order.")] = None,
    profile: Annotated[Profile, typer.Option(help="How long, how strict, and with which faults.")] = Profile.soak_smoke,
    duration_secs: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="How long each case is loaded.")
    ] = None,
    topologies: Annotated[str, typer.Option(metavar="NAME,...", help="Which of its topologies, in this order.")] = "",
    enable_chaos: Annotated[
        bool | None, typer.Option("--enable-chaos/--no-chaos", help="With or without the topologies that have faults.")
    ] = None,
    negative_control: Annotated[
        bool,
        typer.Option("--negative-control", help="Do all that the plan says but the injections: nothing may be felt."),
    ] = False,
    chaos_plan: Annotated[str, typer.Option(metavar="FILE", help="Another chaos plan of the scenario's folder.")] = "",
    max_stall_secs: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="Longest time without progress.")
    ] = None,
    max_lag_p95: Annotated[float | None, typer.Option(min=0, help="Largest lag behind the network, p95.")] = None,
    max_failure_ratio: Annotated[
        float | None, typer.Option(min=0, max=1, help="Largest share of failed checks.")
    ] = None,
    max_rss_slope: Annotated[str, typer.Option(metavar="SIZE", help="Largest growth of memory in an hour.")] = "",
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out-dir",
            "--results-dir",
            metavar="DIR",
            help="Where runs are kept. [default: what the scenario says, else results/ of the project]",
        ),
    ] = None,
    attach: Annotated[
        str, typer.Option(metavar="RUN", help="Follow a soak to its end; go on with it if its controller has died.")
    ] = "",
    nights: Annotated[
        bool, typer.Option("--nights", help="Show the soaks so far, of NAMEs or all, side by side.")
    ] = False,
    inventory: InventoryOption = None,
    limit: Annotated[
        str, typer.Option(metavar="NODES", help="Only these nodes: names, wildcards, !name, comma separated.")
    ] = "",
    wait: WaitOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and touch nothing.")] = False,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
) -> None:
    """Load scenarios for hours, make faults, and end with a verdict that gates decide.

    The nodes need no controller meanwhile: --attach RUN finds its way back to a soak, and `resume` finishes one.
    """
    from testcell import inventory as inventories

    settings, where = of(ctx, form), results_dir(of(ctx, form), out_dir)
    choices = {
        "duration_secs": duration_secs,
        "topologies": topologies,
        "enable_chaos": None if enable_chaos is None else str(enable_chaos).lower(),
        "negative_control": "true" if negative_control else None,
        "chaos_plan": chaos_plan,
        "max_stall_secs": max_stall_secs,
        "max_lag_p95": max_lag_p95,
        "max_failure_ratio": max_failure_ratio,
        "max_rss_slope": max_rss_slope,
        "out_dir": out_dir and where,
        WAIT: wait,
    }
    given = {name: str(value) for name, value in choices.items() if value not in (None, "")}
    if nights and attach:
        usage(ctx, "--nights and --attach were both given.")
    if nights:
        _only(ctx, "--nights", {"dry_run": dry_run, "limit": limit, **given}, TAKEN_BY_NIGHTS)
        night_screen.show(settings, where, names or ())
        return
    if attach:
        if names:
            usage(ctx, "a NAME and --attach were both given.")
        _only(ctx, "--attach", {"dry_run": dry_run, "limit": limit, **given}, TAKEN_BY_ATTACH)
        waits = {name: value for name, value in given.items() if name == WAIT}
        asked = {**extra.parse(ctx, variables), **waits}
        raise typer.Exit(attaching.attach(settings, where / attach, inventory or (), asked))
    found = inputs.inventory(lambda: inventories.read(settings.project(), inventory or ()))
    request = execution.Request(
        scenario=",".join(names or ()),
        soak_profile=profile.value,
        overrides={**extra.parse(ctx, variables), **given},
        excluded=tuple(inputs.inventory(lambda: found.outside(limit))) if limit else (),
        results_dir=where,
    )
    plan = planning.decide(ctx, settings, request, found, limit=limit, dry_run=dry_run)
    for warning in plan.warnings:
        output.note(f"warning: {warning}")
    if dry_run:
        planning.show(settings, plan)
        return
    nodes = len({name for case in plan.cases for name in case.nodes})
    # The scenario may name another folder than the usual one.
    request = replace(request, results_dir=Path(plan.results_dir))
    raise typer.Exit(execution.execute(settings, request, found, nodes=nodes))


def _only(ctx: typer.Context, word: str, given: Mapping[str, object], taken: Sequence[str]) -> None:
    """Refuse what has no meaning beside word, since no soak is planned. taken: what has."""
    why = "a soak goes on as it was planned" if word == "--attach" else "it only shows what there is"
    for name, value in given.items():
        if value and name not in taken:
            usage(ctx, f"{word} and --{name.replace('_', '-')} were both given; {why}.")
