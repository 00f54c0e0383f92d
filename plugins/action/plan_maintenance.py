# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_maintenance
short_description: Decide which cases are run again
description:
  - Takes new runs into the results database, looks at every case that has not simply passed, and decides what can be helped.
  - Returns the most important reruns that can share a run. Nothing is run here, but what is to be run is written down, since
    it counts against the budgets.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.input_check
  - enginelab.testcell.input_check.project
options:
  results_dir:
    description: The folder of the runs; empty means results/ of the project.
    type: str
    default: ""
  auto_maintain:
    description: Only cases that failed or got no answer.
    type: bool
    default: false
  incremental_retest:
    description: Only cases that are missing.
    type: bool
    default: false
  completion_threshold:
    description: Completion asked for, 0 to 1; without it as configured.
    type: float
  models:
    description: Only these models, as a comma list; empty means all.
    type: str
    default: ""
  dry_run:
    description: Only say what would be run.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Decide which cases are run again
  enginelab.testcell.plan_maintenance:
    auto_maintain: true
  register: maintenance
"""

RETURN = r"""
maintenance:
  description:
    - C(scenario), C(cases), C(avoid_nodes) and C(run_id) as site.yml takes them, empty where nothing is to be run.
    - C(decisions) about each case, C(groups) by model, and C(missed), the groups that miss a threshold,
      and C(notices), what a person should look at besides.
  returned: success
  type: dict
problems:
  description: What is wrong.
  returned: failure
  type: list
  elements: dict
"""

import os
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ..plugin_utils.memory.decisions import Decision
from ..plugin_utils.memory.errors import StoreError
from ..plugin_utils.memory.places import VARIABLE
from ..plugin_utils.problems import InputError, refusal
from ..plugin_utils.run import inputs, opening
from ..plugin_utils.scenario import run_settings
from ._inventory import asked_of, plain, variables_of

# A plain checkout runs scenarios without these libraries, and must not only say so by a traceback.
MISSING = ""
try:
    from ..plugin_utils.memory import batches, rounds, survey, upkeep_config
    from ..plugin_utils.memory.store import open_store
except ImportError as exc:
    MISSING = f"maintenance needs the Python package {exc.name}; install what meta/execution-environment.yml names"

SPEC: dict[str, dict[str, Any]] = {
    "project_dir": {"type": "str", "default": ""},
    "results_dir": {"type": "str", "default": ""},
    "auto_maintain": {"type": "bool", "default": False},
    "incremental_retest": {"type": "bool", "default": False},
    "completion_threshold": {"type": "float"},
    "models": {"type": "str", "default": ""},
    "dry_run": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Return what maintenance would run next, and why."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(MISSING)
        _, args = self.validate_argument_spec(SPEC)
        try:
            return {"changed": False, "maintenance": self._decided(plain(args), task_vars or {})}
        except InputError as exc:
            problems = [problem.as_dict() for problem in exc.problems]
            return {"failed": True, "msg": refusal(exc.problems), "problems": problems}
        except StoreError as exc:
            raise AnsibleActionFail(f"{exc.kind}: {exc}") from None

    def _decided(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        extra = plain(load_extra_vars(self._loader))
        asked = opening.Asked(
            scenario="",
            variables=variables_of(task_vars, extra),
            overrides=extra,
            **asked_of(task_vars, self._loader, reach=False, extra=extra),
        )
        project = opening.project_dir(args["project_dir"], Path.cwd(), Path(__file__))
        read = inputs.read(asked, project)
        catalog = inputs.with_errors(read.errors, lambda: inputs.scenarios(read, asked))
        config = upkeep_config.load(upkeep_config.find(project))
        config = survey.with_threshold(config, args["completion_threshold"])
        results = Path(args["results_dir"]).absolute() if args["results_dir"] else project / "results"
        url = run_settings.database_url(read.layers, os.environ.get(VARIABLE, ""))
        nodes = [node.name for node in read.inventory.nodes]
        with open_store(url, results_dir=results, clock=time.time) as store:
            seen = survey.survey(store, config, catalog.scenarios, catalog.unreadable, nodes)
            scope = survey.scope(args["auto_maintain"], args["incremental_retest"], (args["models"],))
            seen.check(scope)
            wanted = survey.decisions_of(seen, scope)
            batch = batches.first(wanted, config.auto_retest.batch_size) if config.auto_retest.enabled else []
            dry = args["dry_run"] or self._task.check_mode
            run_id = rounds.note_run(store, batch) if batch and not dry else ""
        for note in store.notes:
            self._display.warning(note)
        return self._said(seen, wanted, batch, run_id)

    def _said(self, seen: survey.Survey, wanted: list[Decision], batch: list[Decision], run_id: str) -> dict[str, Any]:
        for one in wanted:
            self._display.display(f"{one.action}: {one.case.title}: {one.reason}")
        for line in seen.notices:
            self._display.display(line)
        return {
            "run_id": run_id,
            "scenario": ",".join(dict.fromkeys(one.case.scenario for one in batch)),
            "cases": ",".join(one.case.title for one in batch),
            "avoid_nodes": ",".join(batch[0].avoid) if batch else "",
            "decisions": [one.as_dict() for one in wanted],
            "groups": survey.as_document(seen),
            "missed": [dict(group.labels) for group in seen.missed()],
            "notices": list(seen.notices),
        }
