# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`status`: the project, its tools, the engine here, nodes, scenarios and the last run, on one screen."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import typer

from testcell import __version__, engine
from testcell.cli import inputs
from testcell.cli.errors import CliError
from testcell.cli.output import Table
from testcell.cli.settings import FormatOption, OutputOption, ResultsDirOption, Settings, of, results_dir
from testcell.project import Project

PACKAGES = ("ansible-core", "ansible-runner")


def status(
    ctx: typer.Context, where: ResultsDirOption = None, form: FormatOption = None, target: OutputOption = None
) -> None:
    """Say what is here; no node is contacted."""
    settings = of(ctx, form, target)
    project = settings.project()
    document = {
        "project": str(project.root),
        "versions": {"testcell": __version__, "python": platform.python_version(), **_versions()},
        "engine": engine.ask().as_dict(),
        "nodes": _part(lambda: _nodes(project)),
        "scenarios": _part(lambda: _scenarios(project)),
        "last_run": _part(lambda: _last_run(settings, where)),
    }
    settings.emit(document, lambda: [Table(("what", "state"), [(k, _words(v)) for k, v in document.items()])])


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


def _nodes(project: Project) -> dict[str, Any]:
    from testcell import inventory as inventories

    found = inputs.inventory(lambda: inventories.load(project))
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
        return ", ".join(f"{name} {_words(item)}" for name, item in value.items() if item not in (None, [], ""))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
