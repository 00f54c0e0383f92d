# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""`nodes`: which nodes there are, who holds them, and which of them are kept from runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell.cli import extra, health
from testcell.cli.errors import usage
from testcell.cli.output import Line, Part, Table
from testcell.cli.settings import FormatOption, InventoryOption, OutputOption, of
from testcell.exits import Exit

if TYPE_CHECKING:
    from testcell.inventory import Inventory, Node

WITHIN_S = 5
Told = Mapping[str, Any]


def nodes(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Only what the inventory says; contact no node.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Ask each node how it is, as `health` does.")] = False,
    inventory: InventoryOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Say who holds which node, and which are kept from runs.

    All nodes are asked at the same time, and each has 5 s to answer. Nothing is changed on them.
    """
    settings = of(ctx, form, target)
    if offline and check:
        usage(ctx, "--offline and --check were both given.")
    found = health.inventory(settings, inventory)
    sources = list(found.sources)
    if offline:
        settings.emit({"sources": sources, "nodes": [node.as_dict() for node in found.nodes]}, lambda: [_list(found)])
        return
    question = health.Question(
        found, tuple(found.names), (), extra.as_variables(extra.parse(ctx, variables)), 0 if check else WITHIN_S
    )
    if check:
        health.once(settings, question)
        return
    answers = {answer["name"]: answer for answer in health.asked(settings, question)["nodes"]}
    told = [_told(node, answers[node.name]) for node in found.nodes if node.name in answers]
    settings.emit({"sources": sources, "nodes": told}, lambda: _page(found, told, answers))
    if not all(answer["reachable"] for answer in answers.values() if answer["state"] != "disabled"):
        raise typer.Exit(Exit.INFRASTRUCTURE)


def _told(node: Node, answer: Told) -> dict[str, Any]:
    """Return a node as the inventory has it, with who holds it and what keeps runs from it."""
    lease = answer["lease"]
    return {
        **node.as_dict(),
        "state": answer["state"],
        "reachable": answer["reachable"],
        "held": lease["held"] if lease else None,
        "holders": lease["holders"] if lease else [],
        "quarantine": answer["quarantine"],
        "leftovers": len(answer["leftovers"]) if answer["reachable"] else None,
        "problems": answer["problems"],
    }


def _page(found: Inventory, told: list[dict[str, Any]], answers: Mapping[str, Told]) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import words

    rows = [
        row for node, entry in zip(found.nodes, told, strict=False) for row in _rows(node, entry, answers[node.name])
    ]
    columns = ("node", "reached at", "state", "held by", "epoch", "expires in", "quarantine", "leftovers")
    silent = [answer for answer in answers.values() if not answer["reachable"]]
    lines = [Line(text, "red" if level == "error" else "yellow") for level, text in words.problems(silent)]
    table = Table(columns, rows, note=_note(len(found.nodes), found), right=frozenset(("epoch", "expires in")))
    return [table, "", *lines] if lines else [table]


def _rows(node: Node, told: Told, answer: Told) -> list[tuple[str, ...]]:
    """Return one row for each holder of a node, one for a node without any."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import judge, words
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration, shown

    held = [
        (
            one_line(f"run {one['run']} of {judge.short_owner(one['owner'])}"),
            shown(one["epoch"]),
            duration(one["expires_in_s"]),
        )
        for one in told["holders"]
    ]
    nobody = ("nobody" if told["held"] is False else "?" if told["held"] else words.ABSENT, "", "")
    before, after = (
        (node.name, _reached_at(node), str(told["state"])),
        (words.quarantine(answer), words.leftovers(answer)),
    )
    return [(*before, *who, *after) for who in held or [nobody]]


def _list(found: Inventory) -> Table:
    rows = [(n.name, _reached_at(n), n.connection, n.address, "yes" if n.enabled else "no") for n in found.nodes]
    return Table(
        ("node", "reached at", "connection", "address for others", "enabled"), rows, note=_note(len(rows), found)
    )


def _reached_at(node: Node) -> str:
    return f"{node.user}@{node.host}:{node.port}".lstrip("@") if node.connection != "local" else "this machine"


def _note(count: int, found: Inventory) -> str:
    return f"{count} node(s) from {', '.join(found.sources)}"
