# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`lab up|down|status`: test nodes on this machine."""

from __future__ import annotations

import socket
from typing import Annotated, Any

import typer

from testcell import exits
from testcell.cli import execution, inputs
from testcell.cli.output import Table
from testcell.cli.settings import FormatOption, OutputOption, Settings, of
from testcell.exits import Exit
from testcell.project import Project

INVENTORY = "inventories/lab/hosts"
MAX_NODES = 20
KNOCK_TIMEOUT_S = 1.0


def up(
    ctx: typer.Context,
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=MAX_NODES, help="How many nodes.")] = 3,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Make the nodes, or as many as are missing, and write inventories/lab/hosts."""
    settings = of(ctx, form, target)
    lab = _change(settings, {"lab_state": "present", "lab_nodes": nodes})
    settings.emit(lab, lambda: [_table(lab), *_notes(lab), f"next: testcell run --all -i {INVENTORY}"])


def down(ctx: typer.Context, form: FormatOption = None, target: OutputOption = None) -> None:
    """Remove the nodes, their volumes and network, and the inventory; nothing is left."""
    settings = of(ctx, form, target)
    lab = _change(settings, {"lab_state": "absent"})
    settings.emit(lab, lambda: [*_notes(lab), "the lab is gone" if lab.get("actions") else "there was no lab"])


def status(ctx: typer.Context, form: FormatOption = None, target: OutputOption = None) -> None:
    """Say which lab nodes there are and whether their sshd answers."""
    from testcell import inventory as inventories

    settings = of(ctx, form, target)
    project = settings.project()
    if not (project.root / INVENTORY).exists():
        settings.emit({"up": False, "nodes": []}, lambda: ["there is no lab; next: testcell lab up"])
        return
    found = inputs.inventory(lambda: inventories.load(project, (str(project.root / INVENTORY),)))
    states = [{**node.as_dict(), "answers": _answers(node.host, node.port)} for node in found.nodes]
    rows = [(s["name"], f"{s['host']}:{s['port']}", "ok" if s["answers"] else "failed") for s in states]
    settings.emit({"up": True, "nodes": states}, lambda: [Table(("node", "sshd", "state"), rows)])
    if not all(state["answers"] for state in states):
        raise typer.Exit(Exit.INFRASTRUCTURE)


def _change(settings: Settings, variables: dict[str, Any]) -> dict[str, Any]:
    from testcell import runner

    project = settings.project()
    job = runner.Job(f"{runner.COLLECTION}.lab", project, _anywhere(project), variables)
    outcome = runner.run(job, execution.say_all if settings.verbose else None)
    if outcome.signal:
        raise typer.Exit(exits.of_signal(outcome.signal))
    lab = outcome.results.get("lab_nodes", {}).get("lab")
    if outcome.rc != 0 or not isinstance(lab, dict):
        raise execution.explain(outcome)
    return lab


def _anywhere(project: Project) -> tuple[str, ...]:
    """Return the project's own inventory, or none: the lab is made on the controller, which every inventory has."""
    return (str(project.inventory),) if project.inventory else ()


def _table(lab: dict[str, Any]) -> Table:
    nodes = lab.get("nodes") or []
    rows = [
        (str(n.get("name")), f"{n.get('host')}:{n.get('port')}", str(n.get("address")), str(n.get("compose")))
        for n in nodes
    ]
    return Table(("node", "ssh", "address", "compose"), rows, note=f"inventory {lab.get('inventory')}")


def _notes(lab: dict[str, Any]) -> list[str]:
    missing = lab.get("images_missing") or []
    return [f"no node has {', '.join(missing)}: make it with `make images`"] if missing else []


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=KNOCK_TIMEOUT_S) as connection:
            connection.settimeout(KNOCK_TIMEOUT_S)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
