# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`nodes` and `health`: which nodes there are, and how they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell import exits
from testcell.cli import execution, extra, inputs, jobs, output
from testcell.cli.output import Table
from testcell.cli.settings import FormatOption, InventoryOption, OutputOption, Settings, of
from testcell.exits import Exit

if TYPE_CHECKING:
    from testcell.inventory import Inventory


def nodes(
    ctx: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Ask each node how it is, as `health` does.")] = False,
    inventory: InventoryOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """List the nodes of the inventory.

    None is contacted without --check.
    """
    settings = of(ctx, form, target)
    found = _inventory(settings, inventory)
    if check:
        _check(settings, found, extra.parse(ctx, variables))
        return
    document = {"sources": list(found.sources), "nodes": [node.as_dict() for node in found.nodes]}
    settings.emit(document, lambda: [_list(found)])


def health(
    ctx: typer.Context,
    inventory: InventoryOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Ask each node how it is.

    Engine, Compose, disks, clock, GPUs, lease, and what dead runs have left there.
    """
    settings = of(ctx, form, target)
    _check(settings, _inventory(settings, inventory), extra.parse(ctx, variables))


def _inventory(settings: Settings, wanted: Sequence[str] | None) -> Inventory:
    from testcell import inventory as inventories

    found = inputs.inventory(lambda: inventories.load(settings.project(), wanted or ()))
    for warning in found.warnings:
        output.note(warning)
    return found


def _check(settings: Settings, found: Inventory, given: dict[str, str]) -> None:
    work = jobs.Work(settings.project(), found, verbose=settings.verbose)
    answers, outcome = work.ask("health", "health_out", extra.as_variables(given))
    if outcome.signal:
        raise typer.Exit(exits.of_signal(outcome.signal))
    if answers is None:
        raise execution.explain(outcome)
    answers = [*answers, *map(_unheard, jobs.silent(answers, found.names))]
    settings.emit(answers, lambda: [_health(answers), *_problems(answers)])
    if any(answer.get("ok") is not True for answer in answers):
        raise typer.Exit(Exit.INFRASTRUCTURE)


def _unheard(name: str) -> dict[str, Any]:
    problem = {"level": "error", "what": "node_unreachable", "detail": "gave no answer"}
    return {"name": name, "ok": False, "problems": [problem], "facts": None}


def _list(found: Inventory) -> Table:
    rows = [
        (n.name, f"{n.user}@{n.host}:{n.port}".lstrip("@") if n.connection != "local" else "this machine",
         n.connection, n.address, "yes" if n.enabled else "no")
        for n in found.nodes
    ]  # fmt: skip
    note = f"{len(rows)} node(s) from {', '.join(found.sources)}"
    return Table(("node", "reached at", "connection", "address for others", "enabled"), rows, note=note)


def _health(answers: Sequence[Mapping[str, Any]]) -> Table:
    columns = ("node", "state", "engine", "compose", "free disk", "clock", "GPUs", "lease")
    return Table(columns, [_row(answer) for answer in answers], note="" if answers else "no nodes")


def _row(answer: Mapping[str, Any]) -> tuple[str, ...]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import mapping, rows, size

    facts = mapping(answer.get("facts"))
    engine, lease = mapping(facts.get("engine")), mapping(facts.get("lease"))
    free = [disk["free_bytes"] for disk in rows(facts.get("disks")) if "free_bytes" in disk]
    offset = facts.get("clock_offset_s")
    return (
        str(answer.get("name")),
        "ok" if answer.get("ok") is True else "failed",
        str(engine.get("version") or "-"),
        ", ".join(str(c.get("version") or c.get("kind")) for c in rows(facts.get("compose"))) or "-",
        size(min(free)) if free else "-",
        f"{offset:+.1f} s" if isinstance(offset, (int, float)) else "-",
        str(len(rows(facts.get("gpus")))) if facts else "-",
        (str(lease.get("run")) if lease.get("held") else "free") if facts else "-",
    )


def _problems(answers: Sequence[Mapping[str, Any]]) -> list[str]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import rows

    return [
        one_line(f"{answer.get('name')}: {p.get('level')}: {p.get('what')}: {p.get('detail')}")
        for answer in answers
        for p in rows(answer.get("problems"))
    ]
