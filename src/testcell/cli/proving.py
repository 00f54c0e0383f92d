# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`verify`: prove a run, or an archive of one, again; nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testcell.cli.errors import CliError
from testcell.cli.output import Line, Part
from testcell.cli.settings import Format, FormatOption, OutputOption, ResultsDirOption, Settings, of, results_dir
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.verify import Verified


def verify(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, `latest`, the path of its folder, or an archive.")],
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    where: ResultsDirOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Prove that a run is as it was when it ended: every file is there and whole, and there is none besides."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import archive
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import verify as prover

    settings = of(ctx, Format.json if as_json else form, target)
    path = Path(run)
    if path.is_file():
        seen = archive.check(path)
    elif path.is_dir():
        seen = prover.folder(_ended(path.resolve()))
    else:
        seen = prover.folder(finished(results_dir(settings, where), run))
    tell(settings, seen)
    if seen.findings:
        raise typer.Exit(Exit.INFRASTRUCTURE)


def tell(settings: Settings, seen: Verified) -> None:
    """Say what a look at a run has shown, one line a finding."""
    settings.emit(seen.as_dict(), lambda: _lines(seen))


def found(folder: Path, run_id: str) -> Path:
    """Return the folder of a run by its id or `latest`; CliError names what there is."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader

    try:
        return reader.find_run(folder, run_id)
    except reader.ResultsError as exc:
        raise CliError(str(exc), Exit.USAGE) from None


def finished(folder: Path, run_id: str) -> Path:
    """Return the folder of a run that has ended; CliError for one that still runs or was cut short."""
    return _ended(found(folder, run_id))


def _ended(run_dir: Path) -> Path:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import sums
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan

    if (run_dir / "summary.json").is_file() or (run_dir / sums.NAME).is_file():
        return run_dir
    if (run_dir / plan.NAME).is_file():
        raise without_summary(run_dir)
    raise CliError(f"{run_dir} is no folder of a run", Exit.USAGE)


def without_summary(run_dir: Path) -> CliError:
    """Return what is to be said of a run that has no summary: it goes on, or it was cut short."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results as reader

    run = run_dir.name
    lives = reader.is_alive(run_dir)
    if lives:
        return CliError(f"run {run} has no summary yet: it still runs", Exit.NO_DATA)
    why = "it was cut short" if lives is False else "it still runs, or it was cut short"
    return CliError(f"run {run} has no summary: {why}", Exit.NO_DATA,
                    hint=f"testcell resume {run} goes on with it, testcell cleanup {run} only cleans its nodes")  # fmt: skip


def _lines(seen: Verified) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line

    lines: list[Part] = [
        Line(
            one_line(
                f"{each.kind}: {_shown(each.path)}: expected {each.expected}; found {each.found}; next: {each.next}"
            ),
            "red",
        )
        for each in seen.findings
    ]
    lines += [f"note: {one_line(text)}" for text in seen.notes]
    what = f"{seen.files} files, {seen.bytes} bytes"
    if seen.findings:
        return [
            *lines,
            Line(
                f"run {seen.run_id or '?'} is NOT as it was: {len(seen.findings)} finding(s); {what} proved", "bold red"
            ),
        ]
    if not seen.proof:
        return [*lines, f"what came home of run {seen.run_id} is as it was: {what}"]
    return [*lines, f"run {seen.run_id} is as it was: {what}, each one proved", f"proof    sha256:{seen.proof}"]


def _shown(path: str) -> str:
    """Return a path as it is, or quoted with all that cannot be seen spelled out, so that no two look alike."""
    return path if path.isprintable() and path == " ".join(path.split()) else repr(path)
