# SPDX-License-Identifier: MIT

"""The options that every command understands, before or after its name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from testcell import project
from testcell.cli import output
from testcell.cli.errors import CliError, usage
from testcell.exits import Exit


class Format(str, Enum):
    """How an answer is written."""

    table = "table"
    json = "json"
    yaml = "yaml"


class LogLevel(str, Enum):
    """How much is logged to standard error."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


FormatOption = Annotated[Format | None, typer.Option("--format", help="How to write the answer. [default: table]")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="Write the answer to this new file.")
]
InventoryOption = Annotated[
    list[str] | None,
    typer.Option("--inventory", "-i", metavar="PATH", help="Inventory file or folder, or nodes.yml; may be repeated."),
]
ResultsDirOption = Annotated[
    Path | None,
    typer.Option("--results-dir", metavar="DIR", help="Where runs are kept. [default: results/ of the project]"),
]
WAIT = "testcell_wait_s"
LONGEST_S = 604_800
WaitOption = Annotated[
    int | None,
    typer.Option(
        "--wait",
        min=0,
        max=LONGEST_S,
        metavar="[SECONDS]",
        help="Wait for nodes that other runs hold, an hour at most by default.",
    ),
]


@dataclass(frozen=True)
class Settings:
    """What was said before the command, with the command's own --format laid over it."""

    form: str = "table"
    verbose: bool = False
    project_dir: Path | None = None
    target: Path | None = None

    def project(self) -> project.Project:
        """Return the project to work on; CliError with exit code 2 when there is none."""
        try:
            return project.find(self.project_dir)
        except project.ProjectError as exc:
            raise CliError(str(exc), Exit.USAGE) from None

    def emit(self, document: Any, human: output.Human) -> None:
        """Write the answer of the command in the wanted form."""
        output.emit(document, human, form=self.form, target=self.target)


@dataclass
class State:
    """What the process remembers of its command line, also for an error that ends the command."""

    settings: Settings = field(default_factory=Settings)


def of(ctx: typer.Context, form: Format | None = None, target: Path | None = None) -> Settings:
    """Return the settings of a command; its own options beat those before its name."""
    state: State = ctx.ensure_object(State)
    if target is not None:
        problem = output.refuse_target(target)
        if problem:
            usage(ctx, f"Invalid value for '--output': {problem}")
    found = replace(state.settings, target=target, form=form.value if form else state.settings.form)
    state.settings = found
    return found


def results_dir(settings: Settings, wanted: Path | None) -> Path:
    """Return the results folder as an absolute path: the one wanted, else the project's."""
    return (wanted or settings.project().results_dir).absolute()


def configure_logging(level: LogLevel) -> None:
    """Send log records of this level and above to standard error."""
    logging.basicConfig(level=level.value.upper(), format="%(levelname)s %(name)s: %(message)s", force=True)


class StrictCommand(TyperCommand):
    """A command that refuses an option given twice instead of silently taking the last."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _refuse_twice(self, ctx, args)
        return super().parse_args(ctx, args)


class StrictGroup(TyperGroup):
    """A group that refuses an option given twice, and names near options as commands do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _refuse_twice(self, ctx, args)
        return super().parse_args(ctx, args)


def _refuse_twice(command: Any, ctx: Any, args: Sequence[str]) -> None:
    if ctx.resilient_parsing:
        return
    _values, _rest, order = command.make_parser(ctx).parse_args(args=list(args))
    seen = set()
    for parameter in order:
        single = parameter.param_type_name == "option" and not parameter.multiple and not parameter.is_flag
        if single and parameter.name in seen:
            ctx.fail(f"Option '{parameter.opts[0]}' was given twice.")
        seen.add(parameter.name)
