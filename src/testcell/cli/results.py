# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`results`: the runs there are, one of them in detail, or the old ones removed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell.cli import verdict_page
from testcell.cli.errors import CliError, usage
from testcell.cli.output import Part, Table
from testcell.cli.settings import FormatOption, OutputOption, ResultsDirOption, Settings, of, results_dir
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.results import RunRow
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.retention import Cleaned

LONGEST_DAYS = 36_500


def results(
    ctx: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="A run, or `latest`. [default: list all]")] = None,
    cleanup: Annotated[bool, typer.Option("--cleanup", help="Remove old runs; only what is provably ours.")] = False,
    days: Annotated[
        float | None,
        typer.Option("--days", min=0, max=LONGEST_DAYS, help="With --cleanup: keep runs this young. [default: 7]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --cleanup: only say what would go.")] = False,
    where: ResultsDirOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """List runs, show one, or remove old ones."""
    settings = of(ctx, form, target)
    folder = results_dir(settings, where)
    if cleanup:
        if run_id:
            usage(ctx, "--cleanup goes by age and takes no run; give --days.")
        _clean(settings, folder, 7.0 if days is None else days, dry_run)
    elif days is not None or dry_run:
        usage(ctx, "--days and --dry-run belong to --cleanup.")
    elif run_id:
        _show(settings, folder, run_id)
    else:
        _list(settings, folder)


def _list(settings: Settings, folder: Path) -> None:
    rows = _rows(folder)
    note = f"{len(rows)} run(s) in {folder}" if rows else f"no runs in {folder}"
    settings.emit([row.as_dict() for row in rows], lambda: [_table(rows, note)])


def _show(settings: Settings, folder: Path, run_id: str) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader

    try:
        run_dir = reader.find_run(folder, run_id)
        summary = reader.load_summary(run_dir)
    except reader.ResultsError as exc:
        raise CliError(str(exc), Exit.USAGE) from None
    if summary is None:
        raise CliError(f"run {run_dir.name} has no summary: it is still running, or it was cut short", Exit.NO_DATA,
                       hint=f"testcell cleanup {run_dir.name}")  # fmt: skip
    document: Mapping[str, Any] = summary
    settings.emit(document, lambda: verdict_page.page(document, run_dir))


def _clean(settings: Settings, folder: Path, days: float, dry_run: bool) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import retention

    try:
        done = retention.cleanup(folder, days, time.time(), dry_run)
    except reader.ResultsError as exc:
        raise CliError(str(exc)) from None
    settings.emit(done.as_dict(), lambda: _cleaned(done, folder))
    if any(reason.startswith("cannot be removed") for _name, reason in done.refused):
        raise typer.Exit(Exit.INFRASTRUCTURE)


def _rows(folder: Path) -> tuple[RunRow, ...]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader

    try:
        return reader.list_runs(folder, time.time())
    except reader.ResultsError as exc:
        raise CliError(str(exc)) from None


def _cleaned(done: Cleaned, folder: Path) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import size

    word = "would be removed" if done.dry_run else "removed"
    lines: list[Part] = [_table(done.removed, "")] if done.removed else []
    lines += [f"left alone: {name}: {reason}" for name, reason in done.refused]
    return [*lines, f"{len(done.removed)} run(s) {word} from {folder}, {size(done.bytes)}; {len(done.kept)} kept"]


def _table(rows: tuple[RunRow, ...], note: str) -> Table:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration, size

    return Table(
        columns=("run", "verdict", "cases", "time", "size"),
        rows=[
            (
                row.run_id,
                row.verdict or row.state,
                verdict_page.tally(row.counts),
                duration(row.seconds),
                size(row.bytes),
            )
            for row in rows
        ],
        note=note,
        right=frozenset({"time", "size"}),
    )
