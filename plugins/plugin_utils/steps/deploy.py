# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The deploy step: every service starts as soon as all it depends on, on whatever node, is ready. No level barrier.

Each node's worker does this for its own services and tells the board what became of them; the first of them also
decides for all what is started when (see lead.py).
"""

from __future__ import annotations

import select
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..deploy import bell, override
from ..deploy.lead import Lead
from ..node.deployment import Event, deployment
from ..node.errors import NodeError
from ..run.plan import CasePlan, ServicePlan
from ..scenario import strict_yaml
from . import clocks, engine_life, environment
from .cell import Cell, StepFailure
from .prep import compose_choice
from .upload import FOLDER, SCENARIO_FOLDER
from .waiting import RENEWALS

# The longest sleep: bells and links wake a worker at once, this is for a ring that was lost.
LOOK_S = 0.25
# Notes of the board: what was made on a node.
MADE = "containers."
EXPLAINED_WITHIN_S = 2.0
OF_AN_END = ("error_kind", "detail", "exit_code", "oom", "log_tail")


def run(cell: Cell) -> dict[str, Any]:
    """Create this node's containers, start each in its turn, and return when the services of all nodes are ready.

    Raise StepFailure with the first service that failed, or dependency_failed where a service elsewhere did.
    """
    mine = cell.case.services_on(cell.node)
    if not mine:
        return {"containers": 0, "ready_after_s": {}}
    try:
        created = _create(cell, mine)
        return {"containers": len(created["containers"]), "ready_after_s": _Worker(cell, mine).run()}
    except NodeError as exc:
        raise exc.on(cell.node) from None
    except StepFailure as exc:
        raise engine_life.blamed(cell, exc) from None


def _create(cell: Cell, mine: tuple[ServicePlan, ...]) -> dict[str, Any]:
    """Let Compose make the containers of this node without starting them."""
    ref, plan = cell.case.ref, cell.plan
    lease = cell.shared.read(f"lease.{cell.node}") or {}
    marks = override.labels(plan.run_id, ref.scenario, ref.case, lease.get("epoch", 0))
    documents = [strict_yaml.load(Path(cell.case.directory) / name).data for name in cell.case.compose_files]
    created = cell.client.hearing(lambda event: _tell_pull(cell, event)).call(
        "compose",
        project=override.project_name(plan.run_id, ref.scenario),
        dir_rel=SCENARIO_FOLDER,
        files=list(cell.case.compose_files),
        services=[service.name for service in mine],
        env=environment.for_compose(cell),
        override=override.build(override.objects_of(documents), marks, _preloads(cell)),
        images=known_images(cell.case, mine),
        compose=compose_choice(cell.facts),
        pull="missing",
        timeout_s=cell.case.deployment_timeout_s,
    )
    cell.board.post(f"{MADE}{cell.node}", created)
    return created


def _tell_pull(cell: Cell, event: Mapping[str, Any]) -> None:
    """Tell what the node pulls: it may take longer than all else together."""
    cell.event(f"{cell.node} pulls {', '.join(event['images'])} for {', '.join(event['services'])}")


def _preloads(cell: Cell) -> dict[str, dict[str, Any]]:
    """Return service -> what its container must load so that its clock can jump."""
    return clocks.preloads(cell, (cell.board.read(f"{FOLDER}{cell.node}") or {}).get("path", ""))


def known_images(case: CasePlan, services: Sequence[ServicePlan]) -> dict[str, str]:
    """Return service -> image as far as the plan can tell: another file may name another image, and so may a variable."""
    if len(case.compose_files) != 1:
        return {}
    return {service.name: service.image for service in services if service.image and "$" not in service.image}


class _Worker:
    """Obeys the orders for this node's services and tells the board what becomes of them, until all are ready."""

    def __init__(self, cell: Cell, mine: tuple[ServicePlan, ...]) -> None:
        self._cell = cell
        self._mine = {service.name: service for service in mine}
        self._others = [name for name in _workers(cell) if name != cell.node]
        self._bell = bell.Bell(cell.board.folder, cell.node)
        self._lead = (
            Lead(cell.case, cell.board, cell.plan.run_id, cell.clock, self._say)
            if _workers(cell)[0] == cell.node
            else None
        )
        self._deployment = deployment(
            cell.client,
            [{"service": name, **service.check} for name, service in self._mine.items()],
            {"max_health_checks": cell.case.limits["health_checks"], "limit_s": cell.case.health_check_timeout_s},
        )
        self._tries: dict[str, int] = {}
        self._notes: dict[str, dict[str, Any]] = {}
        # Until every node has made its containers, some of which may have to be pulled first.
        self._deadline = cell.clock() + cell.case.deployment_timeout_s + cell.case.startup_timeout_s
        self._all_made = False
        self._renew_at = 0.0

    def run(self) -> dict[str, float]:
        """Return service -> seconds from its start until it was ready."""
        try:
            while not self._over():
                news = self._take(self._deployment.events())
                self._obey()
                self._await_containers()
                self._stop_on_failure()
                self._renew()
                if not news:
                    self._sleep()
        finally:
            self._deployment.finish()
            self._bell.close()
        return {name: round(note["t"] - note["started_at"], 3) for name, note in self._notes.items()}

    def _over(self) -> bool:
        if self._lead and self._lead.look():
            self._ring()
        return self._cell.board.read("deployed") is not None

    def _await_containers(self) -> None:
        """Let the time for getting ready begin when the containers of all nodes are there."""
        if not self._all_made and not self._without_containers():
            self._all_made = True
            self._deadline = self._cell.clock() + self._cell.case.startup_timeout_s

    def _without_containers(self) -> list[str]:
        return [node for node in _workers(self._cell) if self._cell.board.read(f"{MADE}{node}") is None]

    def _obey(self) -> None:
        """Start what has been ordered since the last look; what ran before is started anew."""
        orders = self._cell.board.notes("order.")
        new = {n: o for n, o in orders.items() if n in self._mine and o["try"] > self._tries.get(n, 0)}
        if any(order["clean_first"] for order in new.values()):
            # The link is busy with this deployment, so this goes its own way.
            replace(self._cell.client, line=None).call("reap")
        again = [name for name in new if name in self._tries]
        self._tries.update({name: order["try"] for name, order in new.items()})
        now = self._cell.clock()
        for name, order in new.items():
            self._notes[name] = {"started_at": now, "runnable_at": order["runnable_at"]}
        self._deployment.order([name for name in new if name not in again], again)

    def _take(self, events: list[Event]) -> bool:
        """Note what has happened here; return whether there was anything, from which more may follow at once."""
        for event in events:
            name, state = event["service"], event["state"]
            known = self._notes[name].get("state")
            if state == "explained":
                if known == "failed":
                    self._explain(name, event)
            elif state == "waiting":
                if known == "running":
                    self._say(f"{name} is not ready after {event['waited_s']:.0f} s: {event['detail']}", {})
            elif known not in (state, "ready" if state == "running" else state):
                self._post(name, state, event)
                self._tell(name, state, event)
        if events:
            self._ring()
        return bool(events)

    def _post(self, name: str, state: str, event: Event) -> None:
        now, service = self._cell.clock(), self._mine[name]
        note = {**self._notes[name], "state": state, "t": now, "try": self._tries[name]}
        note |= {"service": name, "node": service.node, "role": service.role}
        if state == "running":
            note["running_at"] = now
        if state == "failed":
            note |= {key: event.get(key) for key in (*OF_AN_END, "holder")}
            note["explained"] = event.get("complete", True)
        self._put_up(name, note)

    def _explain(self, name: str, event: Event) -> None:
        """Add to a failure what the node learned of it after it had told it: the log's end, the limit of memory."""
        self._put_up(name, {**self._notes[name], "explained": True, **{key: event.get(key) for key in OF_AN_END}})

    def _put_up(self, name: str, note: dict[str, Any]) -> None:
        self._notes[name] = note
        self._cell.board.post(f"service.{name}", note)

    def _tell(self, name: str, state: str, event: Event) -> None:
        text = {"running": f"{name} started", "failed": f"{name} failed: {event.get('detail')}"}.get(state)
        if text is None:
            text = f"{name} ready after {self._cell.clock() - self._notes[name]['started_at']:.1f} s"
        self._say(text, {"service": name, "state": {"running": "started"}.get(state, state)})

    def _say(self, text: str, fields: dict[str, Any]) -> None:
        self._cell.event(text, **fields)

    def _stop_on_failure(self) -> None:
        given_up = self._cell.board.notes("given-up.")
        ours = [name for name in self._mine if name in given_up]
        if ours and not self._is_explained(ours[0]):
            return
        if ours:
            raise self._given_up(ours[0], given_up[ours[0]])
        if given_up:
            raise self._held_by(*next(iter(given_up.items())))
        if self._cell.failed:
            raise StepFailure("dependency_failed", f"the case failed elsewhere: {self._cell.failed['message']}")
        if self._cell.clock() > self._deadline:
            raise self._timed_out()

    def _is_explained(self, name: str) -> bool:
        """Return whether all that can be known of a failure is known; a death is explained a moment after it is told."""
        note = self._notes[name]
        return bool(note["explained"]) or self._cell.clock() > note["t"] + EXPLAINED_WITHIN_S

    def _given_up(self, name: str, end: dict[str, Any]) -> StepFailure:
        note = self._notes[name]
        tries = f" (try {note['try']}; {end['reason']})" if note["try"] > 1 else ""
        held = f"; {', '.join(end['held'])} cannot start" if end["held"] else ""
        return StepFailure(
            note["error_kind"] or "container_exited",
            f"service {name} on {self._cell.node}: {note['detail']}{_held(note.get('holder'))}{tries}{held}",
            service=name,
            evidence=tuple(note.get("log_tail") or ()),
        )

    def _held_by(self, culprit: str, end: dict[str, Any]) -> StepFailure:
        """Return the failure of a node whose services wait for one elsewhere that is not tried again."""
        held = [name for name in end["held"] if name in self._mine]
        what = f"{', '.join(held)} on {self._cell.node} cannot start" if held else f"{self._cell.node} stops here"
        return StepFailure("dependency_failed", f"{what}: {culprit} failed on {self._cell.case.placement[culprit]}")

    def _timed_out(self) -> StepFailure:
        if not self._all_made:
            late_nodes = ", ".join(self._without_containers())
            return StepFailure("dependency_failed", f"the containers on {late_nodes} were not made in time")
        states = self._deployment.finish()
        late = [name for name in self._mine if self._notes.get(name, {}).get("state") != "ready"]
        if not late:
            return StepFailure("dependency_failed", "services of other nodes are not ready in time")
        parts = [f"{name} ({self._why_late(name, states.get(name) or {})})" for name in late]
        limit = self._cell.case.startup_timeout_s
        return StepFailure(
            "health_timeout",
            f"not ready on {self._cell.node} within {limit} s: {', '.join(parts)}",
            service=late[0],
            evidence=tuple((states.get(late[0]) or {}).get("log_tail") or ()),
        )

    def _why_late(self, name: str, state: Mapping[str, Any]) -> str:
        if name in self._tries:
            return str(state.get("detail") or "starting")
        ready = {n for n, note in self._cell.board.notes("service.").items() if note["state"] == "ready"}
        missing = sorted(set(self._mine[name].depends_on) - ready)
        return f"waits for {', '.join(missing)}" if missing else "waits for its turn"

    def _renew(self) -> None:
        """Keep the lease while nothing else is asked of the node."""
        if self._cell.clock() >= self._renew_at:
            self._renew_at = self._cell.clock() + self._cell.plan.lease_ttl_s / RENEWALS
            self._deployment.renew()

    def _ring(self) -> None:
        bell.ring(self._cell.board.folder, self._others)

    def _sleep(self) -> None:
        """Wait for word from the node or from another worker."""
        waits = [LOOK_S, self._deadline - self._cell.clock()]
        if self._lead and self._lead.next_due_s() is not None:
            waits.append(self._lead.next_due_s() or 0.0)
        links = self._deployment.watched()
        # Without a link each look asks the node, which waits a little itself.
        wait_s = max(0.0, min(waits)) if links or not self._asking() else 0.0
        select.select([self._bell.fileno(), *(link.fileno() for link in links)], [], [], wait_s)
        self._bell.hush()

    def _asking(self) -> bool:
        return any(note.get("state") == "running" for note in self._notes.values())


def _workers(cell: Cell) -> list[str]:
    """Return the nodes that have services, in the order of the case; the first of them leads."""
    return [node for node in cell.case.nodes if cell.case.services_on(node)]


def _held(holder: dict[str, Any] | None) -> str:
    """Return who has the port that a service wanted, in words."""
    if not holder:
        return ""
    who = holder.get("container") or f"{holder.get('program') or 'a program'} (pid {holder.get('pid')})"
    return f"; port {holder.get('port')} is held by {who}; end it or choose another port"
