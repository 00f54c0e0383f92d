# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`results prune`, `pin`, `unpin`, `archive` and `unpack`: which runs stay, where, and in what form."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell.cli import memory, proving
from testcell.cli.errors import CliError, usage
from testcell.cli.output import Part
from testcell.cli.settings import FormatOption, OutputOption, ResultsDirOption, Settings, of, results_dir
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.retention import Cleaned

LONGEST_DAYS = 36_500
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run, or `latest`.")]


def prune(
    ctx: typer.Context,
    days: Annotated[
        float | None, typer.Option("--days", min=0, max=LONGEST_DAYS, help="Remove runs that ended longer ago.")
    ] = None,
    keep: Annotated[int | None, typer.Option("--keep", min=0, help="Remove all but this many, the newest.")] = None,
    max_size: Annotated[
        str, typer.Option("--max-size", metavar="SIZE", help="Remove the oldest until the rest is no larger: 20GiB.")
    ] = "",
    failed_days: Annotated[
        float | None,
        typer.Option("--failed-days", min=0, max=LONGEST_DAYS, help="How long runs that did not pass stay instead."),
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also runs that were cut short and could go on.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    where: ResultsDirOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Remove old runs; only what is provably ours, and never one that is live, the latest or pinned."""
    if [days is not None, keep is not None, bool(max_size)].count(True) != 1:
        usage(ctx, "give one of --days, --keep and --max-size.")
    max_bytes = _bytes(ctx, max_size)
    settings = of(ctx, form, target)
    limits: dict[str, Any] = {"days": days, "keep": keep, "max_bytes": max_bytes, "failed_days": failed_days}
    remove(settings, results_dir(settings, where), dry_run=dry_run, unfinished=unfinished, **limits)


def remove(settings: Settings, folder: Path, *, dry_run: bool, unfinished: bool = False, **limits: Any) -> None:
    """Remove runs and say which. limits: the fields of `retention.Policy`; unfinished: also those that could go on."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import retention

    if not dry_run:
        memory.keep_up(settings, folder)
    try:
        done = retention.prune(
            folder,
            retention.Policy(**limits),
            time.time(),
            resumable=lambda run_dir: _resumable(run_dir, unfinished),
            dry_run=dry_run,
        )
    except reader.ResultsError as exc:
        raise CliError(str(exc)) from None
    if done.removed and not dry_run:
        memory.keep_up(settings, folder)
    settings.emit(done.as_dict(), lambda: _removed(done, folder))
    if any(reason.startswith("cannot be removed") for _name, reason in done.refused):
        raise typer.Exit(Exit.INFRASTRUCTURE)


def pin(ctx: typer.Context, run_id: RunArgument, where: ResultsDirOption = None, form: FormatOption = None) -> None:
    """Keep a run from being removed."""
    _pin(of(ctx, form), run_id, where, wanted=True)


def unpin(ctx: typer.Context, run_id: RunArgument, where: ResultsDirOption = None, form: FormatOption = None) -> None:
    """Let a run be removed again."""
    _pin(of(ctx, form), run_id, where, wanted=False)


def archive(
    ctx: typer.Context,
    run_id: RunArgument,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="The new file. [default: RUN.tar.gz beside the runs]")
    ] = None,
    gone: Annotated[
        bool, typer.Option("--remove", help="Remove the run once the file is proved and on the disk.")
    ] = False,
    where: ResultsDirOption = None,
    form: FormatOption = None,
) -> None:
    """Pack a run into one file, proved by reading it back."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import archive as packer
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import sums
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import retention

    settings = of(ctx, form)
    folder = results_dir(settings, where)
    run_dir = proving.finished(folder, run_id)
    if not (run_dir / sums.NAME).is_file():
        raise CliError(f"run {run_dir.name} has no {sums.NAME}: an archive of it could not be proved", Exit.NO_DATA)
    why = retention.why_kept(run_dir) if gone else ""
    if why:
        raise CliError(f"run {run_dir.name} is not removed: {why}", Exit.USAGE)
    target = to or folder / f"{run_dir.name}{packer.SUFFIX}"
    if target.exists() or target.is_symlink():
        usage(ctx, f"Invalid value for '--to': {target} exists; name a new file.")
    found = packer.pack(run_dir, target)
    if found.findings:
        proving.tell(settings, found)
        raise CliError(f"run {run_dir.name} is not as its proof says, and was not packed", Exit.INFRASTRUCTURE)
    if gone:
        memory.keep_up(settings, folder)
        problem = retention.take_out(folder, run_dir, time.time())
        if problem:
            raise CliError(f"{target} is made and proved; run {run_dir.name} {problem}")
        memory.keep_up(settings, folder)
    size = target.stat().st_size
    document = {"run_id": run_dir.name, "file": str(target), "bytes": size, "removed": gone, **_proved(found)}
    settings.emit(document, lambda: [f"{target}: {found.files} files, {size} bytes, read back and proved",
                                     *([f"removed {run_dir}"] if gone else [])])  # fmt: skip


def unpack(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive of a run.")],
    max_size: Annotated[
        str, typer.Option("--max-size", metavar="SIZE", help="Refuse an archive of more. [default: 100GiB]")
    ] = "",
    where: ResultsDirOption = None,
    form: FormatOption = None,
) -> None:
    """Bring a run back from an archive, whole and proved or not at all."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import archive as packer

    settings = of(ctx, form)
    folder = results_dir(settings, where)
    if not file.is_file():
        usage(ctx, f"{file} is no file.")
    try:
        run_dir, found = packer.unpack(file, folder, _bytes(ctx, max_size) or packer.MAX_BYTES)
    except packer.UnpackError as exc:
        proving.tell(settings, exc.found)
        raise typer.Exit(Exit.INFRASTRUCTURE) from None
    except FileExistsError as exc:
        raise CliError(f"{exc.filename} is there already, and is left as it is", Exit.USAGE) from None
    document = {"run_id": run_dir.name, "path": str(run_dir), **_proved(found)}
    settings.emit(document, lambda: [f"{run_dir}: {found.files} files, {found.bytes} bytes, proved"])


def _bytes(ctx: typer.Context, max_size: str) -> int | None:
    """Return the number of bytes of --max-size, None where it was not given."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import sizes

    found = sizes.parse_size(max_size) if max_size else None
    if max_size and found is None:
        usage(ctx, f"Invalid value for '--max-size': {max_size!r}; allowed: {sizes.ALLOWED}")
    return found


def _proved(found: Any) -> dict[str, Any]:
    return {key: value for key, value in found.as_dict().items() if key in ("files", "proof", "notes")}


def _pin(settings: Settings, run_id: str, where: Path | None, *, wanted: bool) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader

    run_dir = proving.found(results_dir(settings, where), run_id)
    changed = (reader.pin if wanted else reader.unpin)(run_dir)
    word = "pinned: it is never removed" if wanted else "not pinned: it may be removed"
    document = {"run_id": run_dir.name, "pinned": wanted, "changed": changed}
    settings.emit(document, lambda: [f"run {run_dir.name} is {word}"])


def _resumable(run_dir: Path, unfinished: bool) -> str:
    """Return why a run without a summary is kept, "" when it may go."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import resuming

    if resuming.refusal(run_dir):
        return ""
    if said := resuming.held(run_dir):
        return said
    return "" if unfinished else f"it can go on: testcell resume {run_dir.name}; --unfinished gives it up"


def _removed(done: Cleaned, folder: Path) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import size

    from testcell.cli.results import table

    word = "would be removed" if done.dry_run else "removed"
    lines: list[Part] = [table(done.removed, "")] if done.removed else []
    lines += [f"left alone: {name}: {reason}" for name, reason in done.refused]
    return [*lines, f"{len(done.removed)} run(s) {word} from {folder}, {size(done.bytes)}; {len(done.kept)} kept"]
