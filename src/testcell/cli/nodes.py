# SPDX-License-Identifier: MIT

"""`nodes`: which nodes there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from testcell.cli import extra, health
from testcell.cli.output import Table
from testcell.cli.settings import FormatOption, InventoryOption, OutputOption, of

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
    found = health.inventory(settings, inventory)
    if check:
        health.once(
            settings, health.Question(found, tuple(found.names), (), extra.as_variables(extra.parse(ctx, variables)))
        )
        return
    document = {"sources": list(found.sources), "nodes": [node.as_dict() for node in found.nodes]}
    settings.emit(document, lambda: [_list(found)])


def _list(found: Inventory) -> Table:
    rows = [
        (n.name, f"{n.user}@{n.host}:{n.port}".lstrip("@") if n.connection != "local" else "this machine",
         n.connection, n.address, "yes" if n.enabled else "no")
        for n in found.nodes
    ]  # fmt: skip
    note = f"{len(rows)} node(s) from {', '.join(found.sources)}"
    return Table(("node", "reached at", "connection", "address for others", "enabled"), rows, note=note)
