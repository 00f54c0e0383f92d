# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a run reads before it is decided: layers and inventory, with all that is wrong with them at once."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..problems import InputError, Problem, describe, in_order, show
from ..scenario import catalog, layers, run_settings
from ..scenario.catalog import Catalog
from ..scenario.known import Known
from ..scenario.layers import Layers
from ..scenario.model import Scenario
from ..scenario.variables import SOAK_PROFILE
from ..soak.settings import profile_problem
from . import inventory, inventory_files, reach
from .access import access_problems
from .asked import Asked
from .folder import RUN_ID
from .inventory import CONTROLLER, INVENTORY, Found

DEFAULTS_FILE = Path("config") / "defaults.yaml"
RULES_FILE = Path("config") / "classify_rules.yml"
LEASE_TTL_S = range(30, 86_401)
WAIT_S = range(604_801)

T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """What was read. known: what scenarios may name, None while the inventory is wrong; problems: warnings as well.

    rules: the project's file of rules for failures, "" where it has none.
    """

    layers: Layers
    inventory: Found
    known: Known | None
    root: Path
    problems: tuple[Problem, ...]
    rules: str = ""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Return the problems for which nothing can be run."""
        return tuple(problem for problem in self.problems if problem.is_error)


def read(asked: Asked, project: Path) -> Inputs:
    """Return layers and inventory with what is wrong in them and in the settings of the run; the scenarios are not read."""
    defaults = project / DEFAULTS_FILE
    overrides = {**asked.overrides, SOAK_PROFILE: asked.soak_profile}
    stack, wrong = layers.examine(defaults if defaults.exists() else None, asked.variables, overrides)
    found = inventory.examine(asked.hosts, asked.scope, words(asked.avoid_nodes))
    bad = _inventory_problems(asked, found)
    rules = project / RULES_FILE if (project / RULES_FILE).exists() else None
    problems = [*wrong, *bad, *run_problems(asked), *_access_problems(asked, found), *_rule_problems(rules)]
    return Inputs(
        layers=stack,
        inventory=found,
        known=None if any(problem.is_error for problem in bad) else found.known,
        root=project / run_settings.scenarios_root(stack),
        problems=inventory_files.placed(problems, asked.sources),
        rules=str(rules.absolute()) if rules else "",
    )


def _rule_problems(file: Path | None) -> tuple[Problem, ...]:
    """Return what is wrong with the project's rules for failures."""
    if file is None:
        return ()
    # Few projects have rules of their own, and the room of rules takes time to load.
    rules = importlib.import_module("..classify.rules", __package__)
    try:
        rules.load([file])
    except InputError as exc:
        return tuple(exc.problems)
    return ()


def scenarios(inputs: Inputs, asked: Asked) -> Catalog:
    """Return the scenarios, or raise InputError when their folder cannot be read."""
    return catalog.read(inputs.root, inputs.layers, known=inputs.known, environ=dict(asked.environment))


def validate(asked: Asked, project: Path) -> tuple[int, tuple[Problem, ...]]:
    """Return how many scenarios there are and every problem of all files, errors and warnings."""
    inputs = read(asked, project)
    try:
        count = len(catalog.discover(inputs.root))
    except InputError:
        count = 0  # validate tells why

    def beyond(scenario: Scenario) -> list[Problem]:
        return reach.problems(scenario, inputs.inventory.nodes) if inputs.known else []

    found = catalog.validate(inputs.root, inputs.layers, inputs.known, dict(asked.environment), beyond)
    return count, in_order([*inputs.problems, *found, *_upkeep_problems(project)])


def _upkeep_problems(project: Path) -> tuple[Problem, ...]:
    """Return what is wrong with the configuration of maintenance, which no run reads."""
    upkeep_config = importlib.import_module("..memory.upkeep_config", __package__)
    try:
        upkeep_config.load(upkeep_config.find(project))
    except InputError as exc:
        return tuple(exc.problems)
    return ()


def with_errors(errors: tuple[Problem, ...], choose: Callable[[], T]) -> T:
    """Return what choose returns, or raise InputError with the errors and those that choose raises, all at once."""
    try:
        found = choose()
    except InputError as exc:
        raise InputError([*errors, *exc.problems], usage=exc.usage and not errors) from None
    if errors:
        raise InputError(errors)
    return found


def run_problems(asked: Asked) -> list[Problem]:
    """Return what is wrong with the numbers and names that a run is given."""
    problems = [*asked.wrong]
    if asked.run_id and not RUN_ID.fullmatch(asked.run_id):
        problems.append(wrong("run_id", "is no run id", asked.run_id, "YYYYMMDD_HHMMSS or YYYYMMDD_HHMMSS_N"))
    if asked.lease_ttl_s not in LEASE_TTL_S:
        allowed = f"{LEASE_TTL_S[0]}..{LEASE_TTL_S[-1]} seconds"
        problems.append(wrong("lease_ttl_s", "is out of range", asked.lease_ttl_s, allowed))
    if asked.wait_s not in WAIT_S:
        problems.append(wrong("wait_s", "is out of range", asked.wait_s, wait_allowed()))
    if asked.min_free_bytes < 0:
        problems.append(wrong("min_free_bytes", "is negative", asked.min_free_bytes, "0 or more"))
    unknown = profile_problem(asked.soak_profile) if asked.soak_profile else None
    problems += [unknown] if unknown else []
    return problems


def words(text: str) -> tuple[str, ...]:
    """Return the words of a comma list."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def wait_allowed() -> str:
    """Return in words for how long a run may wait for nodes."""
    return f"{WAIT_S[0]}..{WAIT_S[-1]} seconds"


def wrong(name: str, message: str, value: object, allowed: str) -> Problem:
    """Return what is wrong with a variable of the run. name: without its prefix."""
    return Problem("-e", key=f"testcell_{name}", message=message, got=describe(value), allowed=allowed)


def _inventory_problems(asked: Asked, found: Found) -> list[Problem]:
    if asked.refused:
        return list(asked.refused)
    problems = [*found.problems, *inventory_files.distrusted(asked.sources, os.geteuid())]
    problems += inventory_files.plain_secrets(asked.sources)
    missing = [source for source in asked.sources if "," not in source and not Path(source).exists()]
    problems += [Problem(source, message="the inventory does not exist") for source in missing]
    if asked.sources and not asked.hosts and not missing:
        message = "holds no host; name nodes in it, or the controller as: localhost ansible_connection=local"
        problems.append(Problem(", ".join(asked.sources), message=message))
    named = [name for name in asked.hosts if name != CONTROLLER]
    if named and all(name in found.left_out for name in named):
        reasons = "; ".join(f"{show(name)} by {found.left_out[name]}" for name in named)
        problems.append(Problem(INVENTORY, message=f"no node is left, all are left out: {reasons}"))
    return problems


def _access_problems(asked: Asked, found: Found) -> list[Problem]:
    """Return why ssh would not reach the nodes in use; hosts whose variables are wrong anyway are passed over."""
    if asked.access is None:
        return []
    used = {node.name for node in found.nodes}
    return list(access_problems({name: facts for name, facts in asked.hosts.items() if name in used}, asked.access))
