# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""The end of a run that was cut short: its nodes are cleaned, and it gets a summary that says so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcell.cli import jobs, output
from testcell.cli.settings import Settings

if TYPE_CHECKING:
    from testcell.inventory import Inventory
    from testcell.runner import Outcome

CLEAN_WITHIN_S = 90
CLEAN_IN_A_HURRY_S = 30


def close(
    settings: Settings, found: Inventory, variables: Mapping[str, str], run_dir: Path, outcome: Outcome
) -> dict[str, Any] | None:
    """Clean the nodes of a run that ended without its own cleaning, and return its summary; None when it never began.

    The nodes are cleaned for every run that left a plan, whatever ended it; a run that was asked to end twice gets
    less time for that. variables: those of the run, so that the nodes are found as the run found them.
    """
    from testcell import closing

    if not closing.began(run_dir):
        return None
    output.note(f"cleaning the nodes after run {run_dir.name} was cut short")
    used = closing.nodes_of(run_dir)
    limit = CLEAN_IN_A_HURRY_S if outcome.signals > 1 else CLEAN_WITHIN_S
    answers, _ended = jobs.ask(
        settings.project(),
        found.sources,
        "cleanup",
        "cleanup_out",
        {**variables, "cleanup_run": run_dir.name},
        hosts=len(found.nodes),
        with_local=jobs.LOCAL in used and jobs.LOCAL not in found.names,
        grace_s=5.0,
        timeout_s=limit,
        verbose=settings.verbose,
    )
    clean = {answer.get("name") for answer in answers or () if answer.get("ok") is True}
    dirty = [name for name in used if name not in clean]
    if dirty:
        output.note(f"not proved clean: {', '.join(dirty)}; next: testcell cleanup {run_dir.name}")
    return closing.close(run_dir, outcome.signal, clean=not dirty, now=time.time())
