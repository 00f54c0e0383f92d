# SPDX-License-Identifier: MIT


"""The application: its global options and its commands by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from testcell import __version__
from testcell.cli import (
    classify,
    cleanup,
    config,
    health,
    init,
    keeping,
    lab,
    memory,
    nodes,
    numbered,
    output,
    proving,
    quarantine,
    results,
    resume,
    run,
    scenarios,
    soak,
    status,
    upkeep,
)
from testcell.cli.settings import Format, LogLevel, Settings, State, StrictCommand, StrictGroup, configure_logging

EPILOG = "Exit codes: 0 pass, 1 a test failed, 2 usage, 3 invalid input, 4 no believable data, 5 infrastructure, " \
    "6 lease held, 7 nodes not clean, 130/143 signals."  # fmt: skip
MARKUP = "rich" if output.is_terminal(sys.stdout) else None

app = typer.Typer(
    name="testcell",
    help="The test cell for distributed inference engines: deploy, wait, measure, bring home, clean, judge.",
    epilog=EPILOG,
    cls=StrictGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,  # type: ignore[arg-type]  # the two values it takes
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        output.write(sys.stdout, f"testcell {__version__}\n")
        raise typer.Exit(0)


@app.callback()
def options(
    ctx: typer.Context,
    form: Annotated[Format, typer.Option("--format", help="How to write answers.")] = Format.table,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what Ansible does and keep its files.")
    ] = False,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", case_sensitive=False, help="What to log.")
    ] = LogLevel.warning,
    project: Annotated[
        Path | None,
        typer.Option("--project", "-C", metavar="DIR", help="The project. [default: from the current folder up]"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep the options for the command that follows."""
    configure_logging(log_level)
    ctx.ensure_object(State).settings = Settings(form=form.value, verbose=verbose, project_dir=project)


def _add(parent: typer.Typer, name: str, function: object, cls: type[StrictCommand] = StrictCommand) -> None:
    parent.command(name, cls=cls)(function)  # type: ignore[type-var]


def _group(name: str, help_text: str, cls: type[StrictGroup] = StrictGroup) -> typer.Typer:
    group = typer.Typer(cls=cls, help=help_text, no_args_is_help=True, rich_markup_mode=MARKUP)  # type: ignore[arg-type]
    app.add_typer(group, name=name)
    return group


_add(app, "init", init.init)
_add(app, "status", status.status)
_add(app, "scenarios", scenarios.scenarios)
_add(app, "scenario", scenarios.scenario)
_add(app, "nodes", nodes.nodes)
_add(app, "health", health.health, health.HealthCommand)
_add(app, "validate", scenarios.validate)
_config = _group("config", "Show settings and where they come from.")
_add(_config, "show", config.show)
_add(app, "run", run.run, numbered.WaitCommand)
_add(app, "soak", soak.soak, numbered.WaitCommand)
_results = _group(
    "results",
    "List runs, show one (RUN or `latest`), keep, archive or remove them. Without a command it is `results show`.",
    results.ResultsGroup,
)
_add(_results, results.SHOW, results.show)
_add(_results, "prune", keeping.prune)
_add(_results, "pin", keeping.pin)
_add(_results, "unpin", keeping.unpin)
_add(_results, "archive", keeping.archive)
_add(_results, "unpack", keeping.unpack)
_add(_results, "import", memory.import_runs)
_add(_results, "export", memory.export)
_add(_results, "db", memory.database)
_add(app, "incomplete", upkeep.incomplete)
_add(app, "maintain", upkeep.maintain)
_add(app, "retest", upkeep.retest)
_add(app, "monitor", upkeep.monitor)
_quarantine = _group("quarantine", "Cases that are set aside because they are unsteady.")
_add(_quarantine, "show", quarantine.show)
_add(_quarantine, "add", quarantine.add)
_add(_quarantine, "lift", quarantine.lift)
_add(app, "verify", proving.verify)
_add(app, "classify", classify.classify)
_add(app, "resume", resume.resume, numbered.WaitCommand)
_add(app, "cleanup", cleanup.cleanup)
_lab = _group("lab", "Make test nodes on this machine.")
_add(_lab, "up", lab.up)
_add(_lab, "down", lab.down)
_add(_lab, "status", lab.status)
