# SPDX-License-Identifier: MIT

"""`init`: a project of one's own to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testcell import starting
from testcell.cli.errors import CliError
from testcell.cli.settings import FormatOption, of
from testcell.exits import Exit


def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder; it is made.")] = Path(),
    form: FormatOption = None,
) -> None:
    """Make a project to start from.

    It gets a scenario, inventories and the configuration to adapt. Nothing is overwritten.
    """
    settings = of(ctx, form)
    try:
        done = starting.start(folder.absolute())
    except OSError as exc:
        raise CliError(f"{exc.filename or folder}: {exc.strerror}", Exit.INFRASTRUCTURE) from None
    document = {"folder": str(done.folder), "written": list(done.written), "kept": list(done.kept)}
    lines = [*(f"wrote {name}" for name in done.written), *(f"kept  {name}" for name in done.kept)]
    steps = (
        f"next: cd {folder}; name your nodes in inventories/nodes.ini; testcell run example -i inventories/nodes.ini"
    )
    settings.emit(document, lambda: [*lines, steps])
