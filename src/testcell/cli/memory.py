# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`results import`, `export` and `db`: the results database, filled from runs on disk, as CSV, and looked at."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell.cli import inputs, output
from testcell.cli.errors import CliError
from testcell.cli.output import Line, Part, Table
from testcell.cli.settings import FormatOption, OutputOption, ResultsDirOption, Settings, of, results_dir
from testcell.exits import Exit, of_kind

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import Store
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.syncing import Synced


class Export(str, Enum):
    """In what form rows leave the database."""

    csv = "csv"


class What(str, Enum):
    """Which rows leave the database."""

    attempts = "attempts"
    metrics = "metrics"
    failures = "failures"
    cases = "cases"


@contextmanager
def opened(settings: Settings, where: Path | None) -> Iterator[Store]:
    """Give the results database of the project; what had to be put in order is said beside the answer.

    CliError when it cannot be used, also where that shows in the block.
    """
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import store as stores
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.errors import StoreError
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.results import ResultsError

    folder = results_dir(settings, where)
    try:
        with stores.open_store(url(settings), results_dir=folder, clock=time.time) as store:
            for note in store.notes:
                output.note(f"warning: {note}")
            yield store
    except StoreError as exc:
        raise CliError(f"{exc.kind}: {exc}", of_kind(exc.kind)) from None
    except ResultsError as exc:
        raise CliError(str(exc)) from None


def url(settings: Settings) -> str:
    """Return where the results database is: the variable, else the project's configuration; "" is beside the runs."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import places
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import run_settings

    from testcell import inventory as inventories

    layers = inputs.layers(settings.project(), found=inventories.Inventory((), ()))
    return run_settings.database_url(layers, os.environ.get(places.VARIABLE, ""))


def keep_up(settings: Settings, folder: Path) -> None:
    """Let the results database know of the runs in a folder, and of those that are gone; what it cannot is only told."""
    try:
        with opened(settings, folder) as store:
            store.sync()
    except CliError as exc:
        output.note(f"warning: {exc.message}")


def import_runs(
    ctx: typer.Context,
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Runs, folders of runs, or archives. [default: the results folder]"),
    ] = None,
    where: ResultsDirOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Take runs on disk into the results database; what is there already is left as it is."""
    settings = of(ctx, form, target)
    wanted = folders or [results_dir(settings, where)]
    missing = next((path for path in wanted if folders and not path.exists()), None)
    if missing is not None:
        raise CliError(f"{missing} is no folder and no archive", Exit.USAGE)
    with opened(settings, where) as store:
        found = store.take_in(path for path in wanted if not path.is_file())
        for path in wanted:
            found += _taken_in(store, path) if path.is_file() else type(found)()
        found = store.made_again.and_again(found)
    settings.emit(found.as_dict(), lambda: [
        *(Line(f"result_invalid: {problem.render()}", "yellow") for problem in found.problems),
        f"{found.added} run(s) taken into {store.place.shown}; {found.unchanged} were there already",
    ])  # fmt: skip
    if found.problems:
        raise typer.Exit(Exit.INVALID_INPUT)


def _taken_in(store: Store, archive: Path) -> Synced:
    """Take in a run from its archive, which stays as it is; CliError where that is no whole one."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import archive as packer

    with tempfile.TemporaryDirectory(prefix="testcell-import-") as folder:
        try:
            run_dir, _found = packer.unpack(archive, Path(folder), packer.MAX_BYTES)
        except packer.UnpackError as exc:
            first = exc.found.findings[0]
            why = f"{first.kind}: {first.path}: expected {first.expected}; found {first.found}"
            raise CliError(
                f"{archive} is no whole archive of a run: {why}", hint=f"testcell verify {archive}"
            ) from None
        return store.take_in_for_good(run_dir)


def export(
    ctx: typer.Context,
    form: Annotated[Export, typer.Option("--format", help="How to write the rows.")] = Export.csv,
    what: Annotated[What, typer.Option("--what", help="Which rows to write.")] = What.attempts,
    typed: Annotated[
        bool, typer.Option("--typed", help="Text quoted and otherwise as it is, exact times: for programs and Parquet.")
    ] = False,
    where: ResultsDirOption = None,
    target: OutputOption = None,
) -> None:
    """Write rows of the results database as CSV."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import export as exporter

    settings = of(ctx, target=target)
    with opened(settings, where) as store:
        store.sync()
        with store.read() as connection:
            pieces = exporter.lines(connection, what.value, typed=typed)
            if settings.target is not None:
                output.write_new(settings.target, pieces)
            else:
                output.write_pieces(pieces)


def database(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Look at every page of the file, however long it takes.")
    ] = False,
    where: ResultsDirOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Say where the results database is, what it holds, and whether it is whole."""
    settings = of(ctx, form, target)
    with opened(settings, where) as store:
        damage = store.check() if check else None
        found = store.made_again.and_again(store.sync())
        document = {
            "database": store.place.shown,
            "version": store.version(),
            "bytes": store.size(),
            "rows": store.counts(),
            "taken_up": found.added,
            "damage": damage,
        }
    settings.emit(document, lambda: _described(document))
    if document["damage"]:
        raise typer.Exit(Exit.INFRASTRUCTURE)


def _described(document: dict[str, Any]) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import size

    said = {None: "", "": "; every page is whole"}.get(
        document["damage"], f"; was damaged ({document['damage']}) and is made again"
    )
    room = f", {size(document['bytes'])}" if document["bytes"] is not None else ""
    counts = [(name, str(count)) for name, count in document["rows"].items()]
    return [
        f"{document['database']}: version {document['version']}{room}{said}",
        Table(("table", "rows"), counts, right=frozenset({"rows"})),
    ]
