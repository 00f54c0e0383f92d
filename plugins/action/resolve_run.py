# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: resolve_run
short_description: Resolve scenarios to a plan and open the run
description:
  - Loads the scenarios strictly, lays the configuration layers over each other, selects, expands matrices, places services on the
    nodes of the inventory, and writes plan.json into a new run folder.
  - Joins the controller to the inventory where a scenario uses it as a node and the inventory does not know it.
  - With C(dry_run) or in check mode the plan is shown and nothing is written.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.input_check
  - enginelab.testcell.input_check.project
options:
  results_dir:
    description: Where the run's folder is made; empty means results/ of the project.
    type: str
    default: ""
  scenario:
    description: A scenario's name, a comma list, or C(all).
    type: str
    default: ""
  tags:
    description: Only scenarios with one of these tags, as a comma list.
    type: str
    default: ""
  skip_tags:
    description: No scenario with one of these tags, as a comma list.
    type: str
    default: ""
  cases:
    description: Only these of their cases, each C(SCENARIO/CASE), C(CASE) or C(LABEL=VALUE), as a comma list; empty means all.
    type: str
    default: ""
  avoid_nodes:
    description: Nodes to leave out, as a comma list.
    type: str
    default: ""
  soak_profile:
    description: Make soaks of the cases - C(soak_smoke), C(soak_endurance) or C(soak_release); empty means an ordinary run.
    type: str
    default: ""
  dry_run:
    description: Show the plan and touch nothing.
    type: bool
    default: false
  run_id:
    description: The run's id, YYYYMMDD_HHMMSS with an optional suffix; empty means made from the time.
    type: str
    default: ""
  resume:
    description: The id of a run whose controller has died; what is left of it is run, and nothing is decided anew.
    type: str
    default: ""
  lease_ttl_s:
    description: How long a node stays taken after the last sign of life, in seconds.
    type: int
    default: 180
  wait_s:
    description: How long a case waits for nodes that other runs hold, in seconds; 0 is not at all.
    type: int
    default: 0
  min_free_bytes:
    description: Free space in bytes that each node must have.
    type: int
    default: 1073741824
  environment:
    description: Variables for compose files and test scripts.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Resolve the scenarios and decide the plan
  enginelab.testcell.resolve_run:
    scenario: 001_baseline
  register: plan
"""

RETURN = r"""
run_dir:
  description: The run's results folder; empty after a dry run.
  returned: success
  type: str
cases:
  description:
    - C(index) and C(title) of each attempt, C(run_dir), and C(install), whether a node of it is to get what it lacks.
    - C(resumable), whether it may go on where a controller that died has left it.
    - Empty after a dry run.
  returned: success
  type: list
  elements: dict
nodes:
  description: The nodes that the run uses, with C(connection) and C(python) for the controller.
  returned: success
  type: list
  elements: dict
plan:
  description: The plan as data.
  returned: success
  type: dict
problems:
  description: What is wrong.
  returned: failure
  type: list
  elements: dict
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ..plugin_utils.memory.places import VARIABLE
from ..plugin_utils.node.line import dial
from ..plugin_utils.problems import InputError, Problem, refusal
from ..plugin_utils.run import install_variables, opening, owner, plan, view
from ..plugin_utils.steps import resuming
from ..plugin_utils.steps.cell import run_board
from . import _dialling
from ._inventory import asked_of, hosts, plain, variables_of
from ._keeping import keeping

SPEC: dict[str, dict[str, Any]] = {
    **{
        name: {"type": "str", "default": ""}
        for name in (
            "project_dir",
            "results_dir",
            "scenario",
            "tags",
            "skip_tags",
            "cases",
            "avoid_nodes",
            "soak_profile",
            "run_id",
            "resume",
        )
    },
    "dry_run": {"type": "bool", "default": False},
    "lease_ttl_s": {"type": "int", "default": 180},
    "wait_s": {"type": "int", "default": 0},
    "min_free_bytes": {"type": "int", "default": 1 << 30},
    "environment": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    """Turn what was asked for into a plan, or name everything that is wrong with it."""

    _supports_check_mode = True
    _requires_connection = False

    @keeping("resolve")
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        try:
            given = plain(args)
            decide = self._resumed if given["resume"] else self._resolve
            return decide(given, plain(load_extra_vars(self._loader)), task_vars or {})
        except InputError as exc:
            problems = [problem.as_dict() for problem in exc.problems]
            return {"failed": True, "msg": refusal(exc.problems), "problems": problems, "usage": exc.usage}

    def _resumed(self, args: dict[str, Any], extra: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what is left of a run whose controller has died; its plan is decided already."""
        asked = ("scenario", "tags", "skip_tags", "cases", "avoid_nodes", "soak_profile", "dry_run")
        given = [name for name in asked if args[name]]
        if given or self._task.check_mode:
            message = f"a run goes on as it was decided; leave out {', '.join(given) or 'check mode'}"
            raise InputError([Problem("-e", key=resuming.KEY, message=message)])
        project = opening.project_dir(args["project_dir"], Path.cwd(), Path(__file__))
        results = Path(args["results_dir"]).absolute() if args["results_dir"] else project / "results"
        known = hosts(task_vars, extra)
        me = owner.of_process(owner.controller())
        going = resuming.reopen(results / args["resume"], me, time.time(), known, args["wait_s"])
        left = list(resuming.unfinished(going))
        self._display.display(f"run {going.run_id} goes on: {len(left)} of {len(going.cases)} attempt(s) are left")
        return self._opened(going, left, extra, known, task_vars)

    def _resolve(self, args: dict[str, Any], extra: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        asked = opening.Asked(
            **{key: args[key] for key in SPEC if key not in ("dry_run", "resume")},
            **asked_of(task_vars, self._loader, reach=not args["dry_run"], extra=extra),
            database_url=os.environ.get(VARIABLE, ""),
            wrong=tuple(install_variables.problems(extra, "-e")),
            variables=variables_of(task_vars, extra),
            overrides=extra,
            forks=int(context.CLIARGS.get("forks") or 5),
        )
        project = opening.project_dir(asked.project_dir, Path.cwd(), Path(__file__))
        decided = opening.decide(asked, project, time.time(), owner.of_process(owner.controller()))
        if args["dry_run"] or self._task.check_mode:
            self._display.display(view.as_text(decided))
            return {"changed": False, "run_dir": "", "cases": [], "nodes": [], "plan": view.as_data(decided)}
        for warning in decided.warnings:
            self._display.warning(warning)
        opened = opening.begin(decided)
        self._display.display(
            f"run {opened.run_id}: {len(opened.cases)} attempt(s) at most; results in {opened.run_dir}"
        )
        for line in view.seeds(opened):
            self._display.display(line)
        return self._opened(opened, opened.cases, extra, asked.hosts, task_vars)

    def _opened(
        self,
        opened: plan.RunPlan,
        cases: Sequence[plan.CasePlan],
        extra: dict[str, Any],
        known: Mapping[str, Any],
        task_vars: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the result for a run that is open. cases: those that are to be run."""
        told = [
            {
                "index": case.index,
                "title": case.ref.title,
                "run_dir": str(opened.run_dir),
                "resumable": resuming.is_resumable(opened, case),
                "install": any(install_variables.wanted(extra, known.get(node, {})) for node in case.may_use),
            }
            for case in cases
        ]
        # What is installed first may change what a login may do.
        first = [node for case in cases[:1] if not told[0]["install"] for node in case.nodes if node in known]
        ways = _dialling.commands(self, first, task_vars["hostvars"], opened.owner)
        dial(run_board(opened.boards), ways, owner.pid_of(opened.owner))
        nodes = opening.hosts_of(opened, known, sys.executable)
        return {
            "changed": True,
            "run_dir": str(opened.run_dir),
            "cases": told,
            "nodes": nodes,
            "plan": view.as_data(opened),
            **_joining(nodes),
        }


def _joining(nodes: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return what makes Ansible take the controller into its inventory where that does not know it, as add_host says it."""
    for node in nodes:
        if "connection" in node:
            variables = {"ansible_connection": node["connection"], "ansible_python_interpreter": node["python"]}
            return {"add_host": {"host_name": node["name"], "groups": [], "host_vars": variables}}
    return {}
