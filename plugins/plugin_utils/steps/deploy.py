# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The deploy step: every service starts as soon as all it depends on, on whatever node, is ready. No level barrier.

Each node runs this loop for its own services; what is ready or failed is told to the others by the board.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..deploy import graph, override
from ..run.plan import ServicePlan
from ..scenario import strict_yaml
from . import environment
from .cell import Cell, StepFailure
from .prep import compose_choice
from .upload import SCENARIO_FOLDER

LONG_POLL_S = 2.0
SHORT_POLL_S = 0.1


def run(cell: Cell) -> dict[str, Any]:
    """Create this node's containers, start each in its turn, and return when all of them are ready.

    Raise StepFailure with the first service that failed, or dependency_failed where a service elsewhere did.
    """
    mine = cell.case.services_on(cell.node)
    if not mine:
        return {"containers": 0, "ready_after_s": {}}
    created = _create(cell, mine)
    return {"containers": len(created["containers"]), "ready_after_s": _Loop(cell, mine).run()}


def _create(cell: Cell, mine: tuple[ServicePlan, ...]) -> dict[str, Any]:
    """Let Compose make the containers of this node without starting them."""
    ref, plan = cell.case.ref, cell.plan
    lease = cell.shared.read(f"lease.{cell.node}") or {}
    marks = override.labels(plan.run_id, ref.scenario, ref.case, lease.get("epoch", 0))
    documents = [strict_yaml.load(Path(cell.case.directory) / name).data for name in cell.case.compose_files]
    created = cell.client.call(
        "compose",
        project=override.project_name(plan.run_id, ref.scenario),
        dir_rel=SCENARIO_FOLDER,
        files=list(cell.case.compose_files),
        services=[service.name for service in mine],
        env=environment.for_compose(cell),
        override=override.build(override.objects_of(documents), marks),
        argv=compose_choice(cell.facts),
        pull="missing",
        timeout_s=cell.case.deployment_timeout_s,
    )
    cell.board.post(f"containers.{cell.node}", created)
    return created


class _Loop:
    """Start what may start, ask the node what became of it, tell the board; until all is ready or one failed."""

    def __init__(self, cell: Cell, mine: tuple[ServicePlan, ...]) -> None:
        self._cell = cell
        self._mine = {service.name: service for service in mine}
        self._needs = {service.name: service.depends_on for service in cell.case.services}
        self._started: dict[str, float] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._ready_after: dict[str, float] = {}
        self._deadline = cell.clock() + cell.case.startup_timeout_s

    def run(self) -> dict[str, float]:
        while not self._done():
            self._stop_on_failure_elsewhere()
            if self._cell.clock() > self._deadline:
                raise self._timed_out()
            self._start(self._startable())
            self._ask()
        return {name: self._ready_after[name] for name in self._mine}

    def _done(self) -> bool:
        return all(self._states.get(name, {}).get("state") == "ready" for name in self._mine)

    def _board_ready(self) -> frozenset[str]:
        return frozenset(n for n, note in self._cell.board.notes("service.").items() if note["state"] == "ready")

    def _startable(self) -> list[str]:
        own = {name: self._needs[name] for name in self._mine}
        return graph.startable(own, frozenset(self._started), self._board_ready())

    def _start(self, names: list[str]) -> None:
        if not names:
            return
        now = self._cell.clock()
        answer = self._cell.client.call("start", services=names)["started"]
        for name in names:
            self._started[name] = now
            if not answer[name]["ok"]:
                self._fail(name, answer[name]["error_kind"], answer[name]["error"], {})
            self._cell.event(f"{name} started", service=name, state="started")

    def _ask(self) -> None:
        """Long-poll the probes of what is started and not ready; short while others' services hold ours back."""
        pending = [name for name in self._started if self._states.get(name, {}).get("state") != "ready"]
        waiting_for_others = len(self._started) < len(self._mine)
        if not pending:
            self._cell.sleep(SHORT_POLL_S / 2)
            return
        answer = self._cell.client.call(
            "ready",
            checks=[{"service": name, **self._mine[name].check} for name in pending],
            known={name: self._states.get(name, {}).get("state", "starting") for name in pending},
            wait_s=SHORT_POLL_S if waiting_for_others else LONG_POLL_S,
        )
        for name, state in answer["states"].items():
            self._note(name, state)

    def _note(self, name: str, state: dict[str, Any]) -> None:
        self._states[name] = state
        if state["state"] == "failed":
            self._fail(name, state.get("error_kind") or "container_exited", state.get("detail") or "failed", state)
        if state["state"] == "ready":
            self._ready_after[name] = round(self._cell.clock() - self._started[name], 3)
            self._post(name, "ready", {})
            self._cell.event(f"{name} ready after {self._ready_after[name]:.1f} s", service=name, state="ready")

    def _post(self, name: str, state: str, extra: dict[str, Any]) -> None:
        service = self._mine[name]
        started = self._started.get(name)
        note = {
            "service": name,
            "node": service.node,
            "role": service.role,
            "state": state,
            "started_at": started,
            "t": self._cell.clock(),
        }
        self._cell.board.post(f"service.{name}", {**note, **extra})

    def _fail(self, name: str, kind: str, detail: str, state: dict[str, Any]) -> None:
        self._post(name, "failed", {"error_kind": kind, "exit_code": state.get("exit_code"), "oom": state.get("oom")})
        self._cell.event(f"{name} failed: {detail}", service=name, state="failed")
        raise StepFailure(
            kind,
            f"service {name} on {self._cell.node}: {detail}",
            service=name,
            evidence=tuple(state.get("log_tail") or ()),
        )

    def _stop_on_failure_elsewhere(self) -> None:
        failed = self._cell.failed
        if failed:
            names = frozenset(n for n, note in self._cell.board.notes("service.").items() if note["state"] == "failed")
            blame = graph.blocked_by(self._needs, names)
            held = [f"{name} waits for {blame[name]}" for name in self._mine if name in blame]
            cause = "; ".join(held) or f"the case failed on {failed.get('node') or 'another node'}"
            raise StepFailure("dependency_failed", f"{cause}: {failed['message']}")

    def _timed_out(self) -> StepFailure:
        late = [name for name in self._mine if self._states.get(name, {}).get("state") != "ready"]
        parts = [f"{name} ({self._why_late(name)})" for name in late]
        limit = self._cell.case.startup_timeout_s
        return StepFailure(
            "health_timeout", f"not ready on {self._cell.node} within {limit} s: {', '.join(parts)}", service=late[0]
        )

    def _why_late(self, name: str) -> str:
        if name not in self._started:
            missing = sorted(set(self._needs[name]) - self._board_ready())
            return f"waits for {', '.join(missing)}"
        return str(self._states.get(name, {}).get("detail") or "starting")
