# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""A run from its first event to its exit code: the view, the end, and what is done when it was cut short."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcell import exits
from testcell.cli import extra, folders, output, reclaiming, verdict_page
from testcell.cli.errors import CliError
from testcell.cli.settings import Settings
from testcell.exits import Exit

if TYPE_CHECKING:
    from testcell.inventory import Inventory
    from testcell.runner import Outcome

# What ansible-playbook's own codes mean where no summary says more: text for a person, and our code.
ANSIBLE_CODES = {
    1: ("Ansible could not run the playbook", Exit.INFRASTRUCTURE),
    2: ("a step outside the cases failed", Exit.INFRASTRUCTURE),
    4: ("a node could not be reached, or the inventory could not be read", Exit.INFRASTRUCTURE),
    5: ("Ansible refused its command line", Exit.INFRASTRUCTURE),
    99: ("Ansible was interrupted", Exit.INTERRUPTED),
    127: (
        "ansible-playbook could not be started; install ansible-core in the environment of testcell",
        Exit.INFRASTRUCTURE,
    ),
    250: ("Ansible failed unexpectedly", Exit.INFRASTRUCTURE),
    254: ("Ansible was ended from outside", Exit.INFRASTRUCTURE),
}


@dataclass(frozen=True)
class Request:
    """What is to be run. cases: a comma list of those that are wanted, "" for all.

    soak_profile: makes soaks of them, "" for an ordinary run. excluded: nodes to leave out; overrides: settings that beat
    every layer.
    """

    scenario: str
    results_dir: Path
    tags: str = ""
    skip_tags: str = ""
    cases: str = ""
    soak_profile: str = ""
    excluded: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)

    def variables(self, run_id: str) -> dict[str, str]:
        """Return the variables of the playbook."""
        found = {
            "scenario": self.scenario,
            "scenario_tags": self.tags,
            "skip_tags_scenarios": self.skip_tags,
            "cases": self.cases,
            "soak_profile": self.soak_profile,
            "results_dir": str(self.results_dir),
            "testcell_run_id": run_id,
        }
        return {**{name: value for name, value in found.items() if value}, **extra.as_variables(dict(self.overrides))}


def execute(settings: Settings, request: Request, found: Inventory, *, nodes: int) -> int:
    """Run to the end and return the exit code; the verdict goes to standard output, progress to standard error."""
    folders.writable(request.results_dir)
    run_id = folders.free_run_id(request.results_dir, time.time())
    run_dir = request.results_dir / run_id
    output.note(f"run {run_id} in {run_dir}")
    return attend(settings, found, run_dir, request.variables(run_id), excluded=request.excluded, nodes=nodes)


def attend(
    settings: Settings,
    found: Inventory,
    run_dir: Path,
    variables: Mapping[str, str],
    *,
    excluded: tuple[str, ...] = (),
    nodes: int,
) -> int:
    """Run site.yml with these variables to the end of the run in run_dir, show its verdict and return the exit code."""
    outcome, summary = carry_out(settings, found, run_dir, variables, excluded=excluded, nodes=nodes)
    settings.emit({**summary, "path": str(run_dir)}, lambda: verdict_page.page(summary, run_dir))
    return code_of(outcome, summary)


def carry_out(
    settings: Settings,
    found: Inventory,
    run_dir: Path,
    variables: Mapping[str, str],
    *,
    excluded: tuple[str, ...] = (),
    nodes: int,
) -> tuple[Outcome, dict[str, Any]]:
    """Run site.yml with these variables to the end of the run in run_dir; return how that ended, and the summary.

    CliError where there is no summary.
    """
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results

    from testcell import runner
    from testcell.live import Watcher

    job = runner.Job(
        playbook="site.yml",
        project=settings.project(),
        inventory=found.sources,
        extravars=variables,
        excluded=excluded,
        hosts=nodes,
        keep=settings.verbose,
    )
    redraw = output.is_terminal(sys.stderr) and not settings.verbose
    with Watcher(run_dir, redraw=redraw):
        outcome = runner.run(job, say_all if settings.verbose else None)
    if outcome.kept:
        output.note(f"Ansible's files are kept in {outcome.kept}")
    try:
        summary = results.load_summary(run_dir)
    except results.ResultsError as exc:
        output.note(str(exc))
        summary = None
    if summary is None:
        summary = reclaiming.close(settings, found, variables, run_dir, outcome)
    if summary is None:
        raise explain(outcome)
    return outcome, summary


def code_of(outcome: Outcome, summary: Mapping[str, Any]) -> int:
    """Return the exit code of a run: by the signal that ended it, else by its summary."""
    return exits.of_signal(outcome.signal) if outcome.signal else exits.of_summary(summary)


def explain(outcome: Outcome) -> CliError:
    """Return the error for a job that left no summary: our own record of a failure first, Ansible's code last."""
    if outcome.signal:
        return CliError("the run was stopped before it began", exits.of_signal(outcome.signal))
    for failed in outcome.failures:
        if failed.problems:
            code = Exit.USAGE if failed.usage else Exit.INVALID_INPUT
            return CliError(failed.message, code, problems=[dict(p) for p in failed.problems])
    for failed in outcome.failures:
        kind = str(failed.failure.get("error_kind", ""))
        step = verdict_page.next_step(failed.failure, "RUN")
        where = f"{failed.host}: {failed.task}: " if failed.task else f"{failed.host}: "
        return CliError(where + failed.message, exits.of_kind(kind), hint=step)
    text, code = ANSIBLE_CODES.get(outcome.rc, (f"Ansible ended with code {outcome.rc}", Exit.INFRASTRUCTURE))
    said = [line for line in outcome.output if line.strip()][-10:]
    return CliError("\n".join([text, *(f"  | {line}" for line in said)]), code)


def say_all(event: Mapping[str, Any]) -> None:
    """Show what Ansible prints, as it comes, but the lines of the test script, which the view takes from its log."""
    from testcell.progress import is_script_line

    lines = [line for line in str(event.get("stdout") or "").splitlines() if not is_script_line(line)]
    if lines:
        output.note("\n".join(lines))
