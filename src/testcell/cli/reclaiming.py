# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""The end of a run that was cut short: evidence comes home, the nodes are cleaned, and it gets a summary that says so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcell.cli import jobs, output
from testcell.cli.settings import Settings

if TYPE_CHECKING:
    from testcell.inventory import Inventory
    from testcell.runner import Outcome

CLEAN_WITHIN_S = 90
CLEAN_IN_A_HURRY_S = 30
OUTSIDE_OF_STEPS = ("open", "report")


def close(
    settings: Settings, found: Inventory, variables: Mapping[str, str], run_dir: Path, outcome: Outcome
) -> dict[str, Any] | None:
    """Collect from and clean the nodes of a run that did not do it, and return its summary; None when it never began.

    The nodes are cleaned for every run that left a plan, whatever ended it; a run that was asked to end twice gets
    less time for that, and nothing is collected. variables: those of the run, so that the nodes are found as the run
    found them.
    """
    from testcell import closing

    if not closing.began(run_dir):
        return None
    used = closing.nodes_of(run_dir)
    local = jobs.needs_local(used, found)
    work = jobs.Work(settings.project(), found, with_local=local, verbose=settings.verbose, grace_s=5.0)
    hurry = outcome.signals > 1 or collect(work, variables, run_dir) > 0
    dirty = _clean(work, variables, run_dir, used, CLEAN_IN_A_HURRY_S if hurry else CLEAN_WITHIN_S)
    if dirty:
        output.note(f"not proved clean: {', '.join(dirty)}; next: testcell cleanup {run_dir.name}")
    return closing.close(run_dir, outcome.signal, clean=not dirty, now=time.time(), cause=_cause(outcome))


def _cause(outcome: Outcome) -> Mapping[str, Any] | None:
    """Return the failure that ended a run outside of the steps of its cases, which go on after one; None for none."""
    found = [failed.failure for failed in outcome.failures if failed.failure.get("step") in OUTSIDE_OF_STEPS]
    return found[-1] if found else None


def collect(work: jobs.Work, variables: Mapping[str, str], run_dir: Path, *, spare: bool = False) -> int:
    """Bring home what the run has not collected; return how many signals came meanwhile, each of which ends it.

    It takes as long as it takes while something comes: the nodes are cleaned next, and what is not here by then is lost.
    spare: leave a test alone that a resumed run can go on with.
    """
    output.note(f"run {run_dir.name} was cut short: collecting from its nodes; interrupt once more to leave that out")
    asked = {**variables, "collect_run_dir": str(run_dir), "collect_spare": str(spare).lower()}
    outcome = work.do("collect", asked)
    for failed in outcome.failures:
        output.note(f"not collected: {failed.host}: {failed.message}")
    return outcome.signals


def _clean(work: jobs.Work, variables: Mapping[str, str], run_dir: Path, used: list[str], limit_s: int) -> list[str]:
    """Clean the nodes and return those that are not proved clean."""
    output.note(f"cleaning the nodes of run {run_dir.name}")
    answers, _ended = replace(work, timeout_s=limit_s).ask(
        "cleanup", "cleanup_out", {**variables, "cleanup_run": run_dir.name}
    )
    clean = {answer.get("name") for answer in answers or () if answer.get("ok") is True}
    return [name for name in used if name not in clean]
