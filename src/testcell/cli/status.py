# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`status`: the project, its tools, the engine here, nodes, scenarios and the last run, on one screen."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from testcell import __version__, engine
from testcell.cli import inputs
from testcell.cli.errors import CliError, usage
from testcell.cli.output import Part, Table
from testcell.cli.settings import (
    FormatOption,
    InventoryOption,
    OutputOption,
    ResultsDirOption,
    Settings,
    of,
    results_dir,
)
from testcell.project import Project

PACKAGES = ("ansible-core", "ansible-runner")


def status(
    ctx: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="LABEL,...", help="Group cases by these labels. [default: model]")
    ] = "",
    where: ResultsDirOption = None,
    inventory: InventoryOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Say what is here, how complete the results are, and what is wrong with them; no node is contacted."""
    settings = of(ctx, form, target)
    project = settings.project()
    document = {
        "project": str(project.root),
        "versions": {"testcell": __version__, "python": platform.python_version(), **_versions()},
        "engine": engine.ask().as_dict(),
        "nodes": _part(lambda: _nodes(project, inventory or ())),
        "scenarios": _part(lambda: _scenarios(project)),
        "last_run": _part(lambda: _last_run(settings, where)),
    }
    tables: list[Part] = []
    labels = tuple(word.strip() for word in by.split(",") if word.strip())
    document["maintenance"] = _part(lambda: _maintenance(ctx, settings, where, inventory, labels, tables))
    settings.emit(document, lambda: [_page(document), *tables])


def _page(document: dict[str, Any]) -> Table:
    shown = {name: value for name, value in document.items() if name != "maintenance"}
    told = {
        name: value for name, value in document["maintenance"].items() if name not in ("groups", "missed", "notices")
    }
    if told.get("last_round"):
        told["last_round"] = _round(told["last_round"])
    return Table(("what", "state"), [(k, _words(v)) for k, v in {**shown, "maintenance": told}.items()])


def _maintenance(
    ctx: typer.Context,
    settings: Settings,
    where: Path | None,
    wanted: Sequence[str] | None,
    labels: Sequence[str],
    tables: list[Part],
) -> dict[str, Any]:
    """Return how complete the results are and what maintenance did last; the tables for people are added to tables."""
    from testcell.cli import upkeep, upkeep_screen

    if not results_dir(settings, where).is_dir():
        return {"state": "no results yet"}
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rounds, survey

    with upkeep.desk(settings, where, wanted, without_nodes=True) as work:
        seen, last = work.look(), rounds.last(work.store)
    if seen.facts.cases:
        _check_labels(ctx, labels, seen.labels())
        tables += ["", upkeep_screen.groups(seen, labels), *upkeep_screen.missed(seen.missed())]
        tables += upkeep_screen.notices(seen.notices)
    return {
        "configuration": work.config.file or "built-in",
        "last_round": None if last is None else rounds.as_it_is(work.store, last).as_dict(),
        "decisions": dict(Counter(decision.action for decision in seen.decisions).most_common()),
        "next_step": _next_step([decision.action for decision in seen.decisions]),
        "missed": [dict(group.labels) for group in seen.missed()],
        "notices": list(seen.notices),
        "groups": survey.as_document(seen, labels),
    }


def _check_labels(ctx: typer.Context, labels: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a label that no case has: all cases would be one group without a name."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import nearest

    for label in labels:
        if label not in known:
            near = nearest(label, known, cutoff=0.5)
            meant = f" (did you mean {near!r}?)" if near else ""
            usage(ctx, f"Invalid value for '--by': no case has the label {label!r}{meant}; known: {', '.join(known)}")


def _round(last: dict[str, Any]) -> str:
    """Return the newest round in words: when, how it ended, and where its report is."""
    from testcell.cli import upkeep_screen

    report = f", report {last['report']}" if last["report"] else ""
    return f"{last['sort']} at {upkeep_screen.moment(last['started_at'])} UTC, {last['state']}{report}"


def _next_step(actions: Sequence[str]) -> str:
    """Return the command that a person would call next, "" where there is nothing to do."""
    if any(action in ("rerun", "rerun_elsewhere", "quarantine") for action in actions):
        return "testcell maintain"
    return "testcell incomplete" if actions else ""


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _part(load: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return one part of the answer; what is wrong with it is said in its place and the rest is still shown."""
    try:
        return load()
    except CliError as exc:
        return {"error": exc.message.splitlines()[0], "problems": len(exc.problems)}


def _nodes(project: Project, wanted: Sequence[str]) -> dict[str, Any]:
    from testcell import inventory as inventories

    found = inputs.inventory(lambda: inventories.load(project, wanted))
    return {"inventory": ", ".join(found.sources), "enabled": len(found.names), "names": found.names}


def _scenarios(project: Project) -> dict[str, Any]:
    found = inputs.scenarios(project)
    enabled = sum(scenario.enabled for scenario in found.scenarios)
    return {"enabled": enabled, "all": len(found.refs), "broken": len(found.refs) - len(found.scenarios)}


def _last_run(settings: Settings, where: Any) -> dict[str, Any]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader

    folder = results_dir(settings, where)
    try:
        runs = [path for path in reader.run_folders(folder) if reader.names_itself(path)]
        if not runs:
            return {"run_id": None, "verdict": "none yet"}
        row = reader.read_run(runs[-1], time.time())
    except reader.ResultsError as exc:
        raise CliError(str(exc)) from None
    return {"run_id": row.run_id, "verdict": row.verdict or row.state, "report": str(row.path / "report.html")}


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(item)}" for name, item in value.items() if item not in (None, [], "", {}))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
