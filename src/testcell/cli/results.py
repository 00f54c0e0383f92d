# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`results`: the runs there are, one of them in detail, and the room that they take."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from testcell.cli import inputs, keeping, output, proving, verdict_page
from testcell.cli.errors import CliError, usage
from testcell.cli.output import Line, Part, Table
from testcell.cli.settings import (
    FormatOption,
    OutputOption,
    ResultsDirOption,
    Settings,
    StrictGroup,
    of,
    results_dir,
)
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.results import RunRow
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.run_settings import DiskLimits

SHOW = "show"


class ResultsGroup(StrictGroup):
    """The commands of `results`; without the name of one, what follows is for the default."""

    default: ClassVar[str] = SHOW

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with the command that they are meant for where it is not named."""
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else [self.default, *args])


def show(
    ctx: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="A run, or `latest`. [default: list all]")] = None,
    disk: Annotated[bool, typer.Option("--disk", help="Say what room the runs take, and what is left.")] = False,
    cleanup: Annotated[bool, typer.Option("--cleanup", help="Remove old runs, as `prune --days`.")] = False,
    days: Annotated[
        float | None,
        typer.Option(
            "--days", min=0, max=keeping.LONGEST_DAYS, help="With --cleanup: keep runs this young. [default: 7]"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --cleanup: only say what would go.")] = False,
    where: ResultsDirOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """List runs, show one, or remove old ones."""
    settings = of(ctx, form, target)
    folder = results_dir(settings, where)
    if cleanup and (run_id or disk):
        usage(ctx, "--cleanup goes by age and takes no run; give --days.")
    if not cleanup and (days is not None or dry_run):
        usage(ctx, "--days and --dry-run belong to --cleanup.")
    if disk and run_id:
        usage(ctx, "--disk is about all runs and takes none.")
    if cleanup:
        keeping.remove(settings, folder, dry_run=dry_run, days=7.0 if days is None else days)
    elif run_id:
        _show(settings, folder, run_id)
    else:
        _list(settings, folder, disk)


def _list(settings: Settings, folder: Path, disk: bool) -> None:
    rows = _rows(folder)
    note = f"{len(rows)} run(s) in {folder}" if rows else f"no runs in {folder}"
    found = [row.as_dict() for row in rows]
    if not disk:
        settings.emit(found, lambda: [table(rows, note)])
        return
    room = _room(settings, folder, rows)
    settings.emit({"runs": found, "disk": room}, lambda: [table(rows, note), *_said(room)])


def _show(settings: Settings, folder: Path, run_id: str) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader

    try:
        run_dir = reader.find_run(folder, run_id)
        summary = reader.load_summary(run_dir)
    except reader.ResultsError as exc:
        raise CliError(str(exc), Exit.USAGE) from None
    if summary is None:
        raise proving.without_summary(run_dir)
    document: Mapping[str, Any] = summary
    if _is_altered(run_dir):
        output.note(
            f"{run_dir / 'summary.json'} is not as it was when the run ended; next: testcell verify {run_dir.name}"
        )
    settings.emit(document, lambda: verdict_page.page(document, run_dir))


def _is_altered(run_dir: Path) -> bool:
    """Return whether a summary is not the one that the proof of its run names."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import sums

    try:
        listed = sums.parse((run_dir / sums.NAME).read_bytes())
        digest = hashlib.sha256((run_dir / "summary.json").read_bytes()).hexdigest()
    except FileNotFoundError:
        return False  # runs of earlier versions have no proof
    except (OSError, sums.SumsError):
        return True
    return listed.get("summary.json", digest) != digest


def _rows(folder: Path) -> tuple[RunRow, ...]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader

    try:
        return reader.list_runs(folder, time.time())
    except reader.ResultsError as exc:
        raise CliError(str(exc)) from None


def _room(settings: Settings, folder: Path, rows: Sequence[RunRow]) -> dict[str, Any]:
    """Return what room the runs take on their disk, in bytes, with what is worth a warning."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import disk

    seen, limits, used = disk.look(folder), _limits(settings), sum(row.bytes for row in rows)
    warnings = [*disk.low(folder, seen, limits), *disk.large(folder, used, seen, limits)]
    return {"path": str(folder), "results": used, "free": seen.free, "total": seen.total, "warnings": warnings}


def _limits(settings: Settings) -> DiskLimits:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import run_settings

    from testcell import inventory as inventories

    project = settings.project()
    try:
        found = inventories.read(project)
    except inventories.InventoryError:  # the settings of the file count all the same
        found = inventories.Inventory((), ())
    return run_settings.disk_limits(inputs.layers(project, found=found))


def _said(room: Mapping[str, Any]) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import size

    share = 100 * room["results"] / max(room["total"], 1)
    figures = f"{size(room['results'])} in runs, {share:.1f} % of the disk; {size(room['free'])} of {size(room['total'])} free"
    return [figures, *(Line(f"warning: {text}", "yellow") for text in room["warnings"])]


def table(rows: Sequence[RunRow], note: str) -> Table:
    """Return runs as a table, with a line below it."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration, size

    return Table(
        columns=("run", "verdict", "cases", "scenarios", "began", "time", "size", ""),
        rows=[
            (
                row.run_id,
                row.verdict or row.state,
                verdict_page.tally(row.counts),
                one_line(", ".join(row.scenarios)) or "-",
                one_line(row.started_at.replace("T", " ").replace("+00:00", " UTC")) or "-",
                duration(row.seconds),
                size(row.bytes),
                "pinned" if row.pinned else "",
            )
            for row in rows
        ],
        note=note,
        right=frozenset({"time", "size"}),
    )
