# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""The runs of maintenance: as `run` would make them, without a page for each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcell.cli import execution, extra, folders, output, resume
from testcell.cli.errors import CliError
from testcell.cli.settings import Settings
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.decisions import Decision
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.rounds import UpkeepRun

    from testcell.inventory import Inventory
    from testcell.upkeep import Ended


@dataclass(frozen=True)
class Runs:
    """Runs cases on the nodes of an inventory. overrides: settings that beat every layer."""

    settings: Settings
    found: Inventory
    results: Path
    overrides: Mapping[str, str]

    def name(self) -> UpkeepRun:
        """Return the run that begins next."""
        from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.rounds import UpkeepRun
        from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

        folders.writable(self.results)
        run_id = folders.free_run_id(self.results, time.time())
        return UpkeepRun(f"{run_id}@{owner.here().host}", run_id, self.results / run_id)

    def run(self, run: UpkeepRun, batch: Sequence[Decision]) -> Ended:
        """Run a batch to its end; what keeps it from beginning is told and no reason to end the round."""
        request = execution.Request(
            scenario=",".join(dict.fromkeys(one.case.scenario for one in batch)),
            cases=",".join(one.case.title for one in batch),
            results_dir=self.results,
            excluded=batch[0].avoid,
            overrides=self.overrides,
        )
        for one in batch:
            output.note(f"{one.action}: {one.case.title}: {one.reason}")
        output.note(f"run {run.run_id} in {run.path}")
        return self._carried_out(run, request.variables(run.run_id), request.excluded, len(self.found.nodes))

    def go_on(self, run: UpkeepRun) -> Ended | None:
        """Go on with a run that was cut short; CliError with code 6 while it is not proved dead."""
        from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results
        from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import resuming

        from testcell import exits
        from testcell.upkeep import Ended

        if not run.path.is_dir():
            return None
        summary = results.load_summary(run.path)
        if summary is not None:
            return Ended(run.run_id, str(summary.get("verdict", "")), exits.of_summary(summary))
        if said := resuming.held(run.path):
            hint = "wait until it has ended, or end that process; the next round goes on with the run"
            raise CliError(f"{run.path}: {said}", Exit.LEASE_HELD, hint=hint)
        if resuming.refusal(run.path):
            return None
        output.note(f"run {run.run_id} of an interrupted round goes on")
        asked, nodes = resume.prepared(self.settings, self.found, run.path, extra.as_variables(dict(self.overrides)))
        return self._carried_out(run, asked, (), nodes)

    def _carried_out(
        self, run: UpkeepRun, variables: Mapping[str, str], excluded: tuple[str, ...], nodes: int
    ) -> Ended:
        from testcell.upkeep import Ended

        try:
            outcome, summary = execution.carry_out(
                self.settings, self.found, run.path, variables, excluded=excluded, nodes=nodes
            )
        except CliError as exc:
            output.note(exc.message)
            return Ended(run.run_id, "", int(exc.code), exc.message)
        output.note(f"run {run.run_id}: {summary['verdict']}, {tally(summary)}")
        return Ended(run.run_id, str(summary["verdict"]), execution.code_of(outcome, summary))


def tally(summary: Mapping[str, Any]) -> str:
    """Return how many cases of a run ended in each verdict."""
    counts = summary.get("counts") or {}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "no case"
