# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: reclaim_node
short_description: Remove what dead runs left on a node
description:
  - Takes the node's lease, removes containers, networks, volumes, processes and files of runs that are dead, found by label and
    proved by listing, and gives the lease back. A run that still holds the node is named and left alone.
version_added: 0.1.0
author: Testcell contributors
options:
  run:
    description: Only what this run left; C(all) means every dead run.
    type: str
    default: all
  lift:
    description: Let runs on the node again where it is quarantined, once nothing dead is left there.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Remove what dead runs left
  enginelab.testcell.reclaim_node:
    run: all
"""

RETURN = r"""
node:
  description: C(name), C(ok), C(removed) by type, C(runs), and C(errors).
  returned: always
  type: dict
"""

import time
from typing import Any

from ..plugin_utils.node.client import NodeClient
from ..plugin_utils.node.errors import NodeError
from ..plugin_utils.run import owner
from ..plugin_utils.run.inventory import is_enabled
from ..plugin_utils.steps import lease as lease_step
from ._node import NodeAction

LEASE_TTL_S = 120
SPEC = {"run": {"type": "str", "default": "all"}, "lift": {"type": "bool", "default": False}}


class ActionModule(NodeAction):
    """Reap dead runs under a lease of our own, or of a run whose controller is proved dead."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        variables = task_vars or {}
        name = str(variables["inventory_hostname"])
        if not is_enabled(variables):
            return {
                "changed": False,
                "skipped": True,
                "node": {"name": name, "ok": True, "removed": {}, "runs": [], "errors": []},
            }
        me = owner.of_process(owner.controller())
        client = self.client(variables, me, {"id": f"cleanup-{int(time.time())}-{owner.controller()}"})
        client.check = bool(self._task.check_mode)
        try:
            found = _reclaim(client, str(args["run"]))
            if args["lift"] and not found["errors"]:
                client.run = None  # the lease is given back
                client.call("quarantine", action="lift")
        except NodeError as exc:
            node = {"name": name, "ok": False, "error_kind": exc.kind, "removed": {}, "runs": [], "errors": [str(exc)]}
            return {"failed": True, "msg": str(exc), "node": node}
        errors = [error["error"] for error in found["errors"]]
        node = {"name": name, "ok": not errors, "removed": found["removed"], "runs": found["runs"], "errors": errors}
        return {"changed": bool(found["runs"]), "failed": bool(errors), "msg": "; ".join(errors), "node": node}


def _would_reclaim(client: NodeClient, run: str) -> dict[str, Any]:
    """Return the dead runs that a cleaning would remove; nothing is touched and no lease is taken."""
    facts = client.call("facts", paths=[], deep=False)
    living = {holder["run"] for holder in facts["lease"]["holders"]}
    dead = {item["run"] for item in facts["leftovers"] if item["run"] not in living and run in ("all", item["run"])}
    return {"removed": {}, "errors": [], "runs": sorted(dead)}


def _reclaim(client: NodeClient, run: str) -> dict[str, Any]:
    """Return what was removed of dead runs: first of those that hold the node still, then of all others."""
    if client.check:
        return _would_reclaim(client, run)
    finished = _finish_dead(client, run)
    if finished["errors"]:
        return finished
    try:
        return _together(finished, _reap(client, run))
    except NodeError as exc:
        if exc.kind != "lock_held" or run == "all" or not _is_without(client, run):
            raise
        return finished


def _finish_dead(client: NodeClient, run: str) -> dict[str, Any]:
    own_run, own_name = client.run, client.owner
    found: dict[str, Any] = {"removed": {}, "errors": [], "runs": []}
    for holder in client.call("lease", action="show")["holders"]:
        if run in ("all", holder["run"]) and lease_step.holder_is_dead(holder):
            found = _together(found, {**lease_step.finish(client, holder), "runs": [holder["run"]]})
            client.run, client.owner = own_run, own_name
    return found


def _reap(client: NodeClient, run: str) -> dict[str, Any]:
    """Reap under a lease of our own, beside runs that share the node."""
    lease = client.call("lease", action="acquire", ttl_s=LEASE_TTL_S, repair=True, shared=True)
    client.run = {**(client.run or {}), "epoch": lease["epoch"]}
    try:
        found = client.call("reap", runs=None if run == "all" else [run])
    finally:
        client.call("lease", action="release")
    return {"removed": found["removed"], "errors": found["errors"], "runs": sorted(found["reaped"])}


def _is_without(client: NodeClient, run: str) -> bool:
    """Return whether nothing of a run is on the node, so that it does not matter who holds it."""
    facts = client.call("facts", paths=[], deep=False)
    of_run = [item for item in (*facts["leftovers"], *facts["lease"]["holders"]) if item["run"] == run]
    return not of_run and not facts["leftovers_error"]


def _together(one: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    counts = {
        kind: one["removed"].get(kind, 0) + more["removed"].get(kind, 0) for kind in one["removed"] | more["removed"]
    }
    return {
        "removed": counts,
        "errors": [*one["errors"], *more["errors"]],
        "runs": sorted({*one["runs"], *more["runs"]}),
    }
