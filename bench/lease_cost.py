# SPDX-License-Identifier: MIT
"""What it costs to take three nodes, look at them before and after, and prove them clean: JSON lines, by the journals of runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace

import rig
from overhead import SCENARIO
from rig import ROOT, Project, Ran, line

ROUNDS = 7
TARGET_S = 1.0
# prep: the node's facts held against the case, then the snapshot, which has no entry of its own in the journal.
STEPS = ("lease", "prep", "verify")
FIRST, SECOND = (replace(SCENARIO, name=name) for name in ("first", "second"))


def both(project: Project) -> Ran:
    """Run both scenarios in one run."""
    given = {
        "testcell_project_dir": project.folder,
        "scenario": f"{FIRST.name},{SECOND.name}",
        "results_dir": project.folder / "results",
    }
    seconds = rig.playbook(ROOT / "site.yml", project.folder, {name: str(value) for name, value in given.items()})
    return Ran(seconds, project.runs[-1])


def step_s(ran: Ran, scenario: str, step: str) -> float:
    """Return how long a step of a scenario took, from its begin on the first node to its end on the last."""
    entries = [entry for entry in ran.journal() if (entry.get("scenario"), entry["step"]) == (scenario, step)]
    begins = [entry["t"] for entry in entries if entry["phase"] == "begin"]
    return float(max(entry["t"] for entry in entries if entry["phase"] == "end") - min(begins))


def figures(project: Project) -> Iterator[dict[str, object]]:
    """Yield the seconds of the steps together, and of each, as medians over runs."""
    for scenario in (FIRST, SECOND):
        project.write(scenario)
    both(project)  # the first run of a version brings its program to the nodes
    runs = [both(project) for _ in range(ROUNDS)]

    def median_s(scenario: str, *steps: str) -> float:
        return statistics.median(sum(step_s(ran, scenario, step) for step in steps) for ran in runs)

    whole = median_s(SECOND.name, *STEPS)
    unit = "s for lease, facts, snapshot and verify, from a step's begin on the first node to its end on the last"
    yield line("C5", whole, unit, "the target", TARGET_S, **rig.at_most(whole, TARGET_S), rounds=ROUNDS)
    told = {"target": None, "holds": None, "rounds": ROUNDS}
    for step in STEPS:
        yield line(f"C5-{step}", median_s(SECOND.name, step), "s", "all of them", whole, **told)
    unit = "s in a run's first scenario, whose lease step also connects to the nodes"
    yield line("C5-first", median_s(FIRST.name, *STEPS), unit, "the second one", whole, **told)


def main() -> int:
    """Print one line a figure; return 1 when the target does not hold."""
    with rig.lab(), rig.project() as project:
        return rig.show(figures(project))


if __name__ == "__main__":
    raise SystemExit(main())
