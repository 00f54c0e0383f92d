# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""Following a run that another process controls, and going on with it where that process has died."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testcell import exits
from testcell.cli import extra, output, resume, verdict_page
from testcell.cli.errors import CliError
from testcell.cli.settings import Settings
from testcell.exits import Exit

LOOK_S = 0.5


def attach(settings: Settings, run_dir: Path, inventory: Sequence[str], given: Mapping[str, str]) -> int:
    """Show a run until it ends, with its verdict, and return its exit code. CliError where there is no such run."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan

    if not (run_dir / plan.NAME).is_file():
        raise CliError(f"{run_dir}: there is no plan of a run here; `testcell results` lists the runs", Exit.USAGE)
    summary = _summary(run_dir)
    if summary is None and (who := _controller(run_dir)):
        output.note(f"{who} controls the run {run_dir.name}; following it")
        summary = _followed(settings, run_dir)
    if summary is None:
        output.note(f"the controller of the run {run_dir.name} has died; going on with it")
        return resume.go_on(settings, run_dir, inventory, extra.as_variables(dict(given)))
    found = summary
    settings.emit({**found, "path": str(run_dir)}, lambda: verdict_page.page(found, run_dir))
    return exits.of_summary(found)


def _followed(settings: Settings, run_dir: Path) -> dict[str, Any] | None:
    """Show a run until it has its summary, which is returned; None where its controller dies before."""
    from testcell.live import Watcher

    redraw = output.is_terminal(sys.stderr) and not settings.verbose
    with Watcher(run_dir, redraw=redraw):
        while (summary := _summary(run_dir)) is None and _controller(run_dir):
            time.sleep(LOOK_S)
    return summary or _summary(run_dir)


def _summary(run_dir: Path) -> dict[str, Any] | None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results

    try:
        return results.load_summary(run_dir)
    except results.ResultsError as exc:
        raise CliError(str(exc), Exit.INFRASTRUCTURE) from None


def _controller(run_dir: Path) -> str:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import salvage

    return salvage.controller(run_dir)
