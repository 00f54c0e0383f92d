# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes soaks of the cases of a run: one case for each topology, with its settings and the schedule of its faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from ..deploy import placement
from ..problems import InputError, Problem, listing
from ..scenario import matrix
from ..scenario.model import Scenario
from ..soak import chaos_plan, schedule, topologies
from ..soak import settings as soak_settings
from ..soak.chaos_plan import ChaosPlan, Spot
from ..soak.settings import SoakSettings
from .plan import CasePlan

# What the test may take beside the load: to start, to end its last requests, and to write its results.
MARGIN_S = 300
SECONDS = "TESTCELL_SOAK_SECONDS"
SEEDS = 2**31

T = TypeVar("T")


@dataclass(frozen=True)
class Soaks:
    """The soaks of a run. settings: scenario -> what counts for it, empty for an ordinary run; seed: for plans that give none."""

    settings: Mapping[str, SoakSettings] = field(default_factory=dict)
    seed: int = 0

    def expand(self, scenario: Scenario) -> tuple[matrix.Case, ...]:
        """Return the cases of a scenario, in a soak one for each topology."""
        found = self.settings.get(scenario.name)
        return matrix.expand(scenario) if found is None else topologies.cases(scenario, found.topologies)

    def place(self, scenario: Scenario, case: matrix.Case, nodes: Sequence[str]) -> dict[str, str]:
        """Return service -> node of a case. nodes: those of the inventory."""
        if scenario.name in self.settings:
            return topologies.place(scenario, nodes, case.labels[topologies.LABEL])
        return placement.place({service.name: service.node for service in scenario.services}, nodes)

    def dress(self, scenario: Scenario, case: CasePlan) -> CasePlan:
        """Return the plan of a case with all that a soak adds to it, or raise InputError with what its chaos plan says wrongly."""
        found = self.settings.get(scenario.name)
        return case if found is None else _dressed(scenario, case, found, self.seed)


NONE: Final = Soaks()


def of(scenarios: Sequence[Scenario], profile: str, now: float) -> Soaks:
    """Return the soaks of scenarios, none without a profile; raise InputError with all problems. now: the seed is made of it."""
    if not profile:
        return NONE
    found = each(scenarios, lambda scenario: soak_settings.effective(scenario, profile))
    names = [scenario.name for scenario in scenarios]
    return Soaks(dict(zip(names, found, strict=True)), int(now * 1000) % SEEDS)


def each(scenarios: Sequence[Scenario], make: Callable[[Scenario], T]) -> list[T]:
    """Return what is made of each scenario, or raise InputError with the problems of all of them."""
    made: list[T] = []
    problems: list[Problem] = []
    for scenario in scenarios:
        try:
            made.append(make(scenario))
        except InputError as exc:
            problems += exc.problems
    if problems:
        raise InputError(problems)
    return made


def results_folder(soaks: Soaks, project: Path) -> Path | None:
    """Return the folder that the soaks ask their results into, None where they ask for none; InputError for two of them."""
    asked = sorted({found.out_dir for found in soaks.settings.values()} - {""})
    if len(asked) > 1:
        message = "a run has one folder of results, and its scenarios name several; give one with -e out_dir"
        raise InputError([Problem("-e", key="soak.out_dir", message=message, got=listing(asked))])
    return project / asked[0] if asked else None


def _dressed(scenario: Scenario, case: CasePlan, found: SoakSettings, made_seed: int) -> CasePlan:
    topology = case.labels[topologies.LABEL]
    told = topologies.warning(scenario, topology, case.placement)
    warnings = [told.render()] if told else []
    soak: dict[str, Any] = {"topology": topology, "settings": asdict(found), "seed": None, "schedule": []}
    if topologies.has_chaos(topology):
        plan = _plan(scenario, found)
        soak["seed"] = made_seed if plan.seed is None else plan.seed
        soak["schedule"] = [asdict(one) for one in _schedule(plan, case, found.duration_secs, soak["seed"])]
        warnings += [_made_seed(plan, made_seed).render()] if plan.seed is None and plan.needs_seed else []
    test = replace(
        case.test,
        timeout_s=found.duration_secs + MARGIN_S,
        environment={**case.test.environment, SECONDS: str(found.duration_secs)},
    )
    return replace(case, soak=soak, test=test, warnings=(*case.warnings, *warnings))


def _plan(scenario: Scenario, found: SoakSettings) -> ChaosPlan:
    read = chaos_plan.read(scenario.directory / found.chaos_plan, root=scenario.directory)
    if read.plan is None:
        raise InputError(read.problems)
    settings = scenario.benchmark.config_file
    if not (scenario.directory / settings).is_file():
        message = f"pressure sends load as {settings} says, which is not there; write it, or take the event out"
        loads = [event for event in read.plan.events if event.kind.aims == "load"]
        if loads:
            raise InputError([read.plan.document.problem((*event.path, "kind"), message) for event in loads])
    return read.plan


def _schedule(plan: ChaosPlan, case: CasePlan, duration_s: float, seed: int) -> tuple[schedule.Injection, ...]:
    services = {service.name: Spot(service.node, service.role) for service in case.services if service.serves}
    return schedule.schedule(plan, duration_s, services, seed, test_node=case.test.node, nodes=case.nodes)


def _made_seed(plan: ChaosPlan, seed: int) -> Problem:
    message = (
        f"seed {seed} was made for what is left to chance; write `seed: {seed}` into the plan to have the same again"
    )
    return Problem(plan.document.file, key="seed", message=message, severity="note")
