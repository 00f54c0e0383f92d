# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a soak does on one node beside the test: samples, and faults where the plan has some for it (decision 019)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..deploy.bell import ring
from ..node.errors import NodeError
from ..problems import listing
from ..soak import fault_log, schedule
from ..soak.kinds_table import KINDS
from . import clocks, environment
from .cell import Cell, StepFailure
from .unit import BEGUN, UNIT

# The folder of a case on its nodes, and that of its results.
FOLDER = "soak"
# Notes of the case: the node's units were begun; what they have left.
STARTED, ENDED = "soak-started.", "soak-ended."
# A fault that needs nothing of the node but the load client, which comes with the case's files.
PRESSURE = "pressure"
# The folder of the scenario in that of the case on a node.
SCENARIO = "scenario"
# Among what is felt: all services of the node.
WHOLE_NODE = ""
# How often the node is asked what became of the faults, to show it.
SHOWN_EVERY_S = 5.0
# How long the load waits for nodes that do not sample yet, and how often it looks; what is lacking then, the gates tell.
OTHERS_S, OTHERS_POLL_S = 30.0, 0.05


def home(case_dir: Path, node: str) -> Path:
    """Return where what a node has measured lies on the controller."""
    return case_dir / FOLDER / "nodes" / node


def cannot(cell: Cell) -> list[tuple[str, str]]:
    """Return (error_kind, sentence) for each fault of the plan that this node cannot do; asked before anything is deployed.

    What the containers need for faults that it can do is noted on the way.
    """
    asked = schedule.wanted_kinds(_faults(cell)).get(cell.node, {"kinds": []})
    wanted = [one for one in asked["kinds"] if one["kind"] != PRESSURE]
    if not wanted:
        return []
    answer = cell.client.call("chaos", action="check", kinds=wanted)
    lacking = answer["lacking"]
    if clocks.services(cell) and not lacking[clocks.KIND]:
        clocks.keep(cell, answer["library"])
    wrong = [f"it cannot do the fault {kind}: {why}" for kind, why in lacking.items() if why]
    able = f"it can do: {listing(_able(cell)) or 'none'}" if wrong else ""
    return [("chaos_unsupported", f"{told}; {able}") for told in wrong]


def _able(cell: Cell) -> list[str]:
    """Return the kinds that this node can do."""
    kinds = [{"kind": kind.name, "params": dict(kind.example)} for kind in KINDS.values() if kind.name != PRESSURE]
    lacking = cell.client.call("chaos", action="check", kinds=kinds)["lacking"]
    return [name for name, why in lacking.items() if not why]


def _faults(cell: Cell) -> tuple[schedule.Injection, ...]:
    return schedule.of_data(cell.case.soak.get("schedule", ()))


class Soaking:
    """The soak on one node. Nothing is done, and nothing is felt, in a case that is no soak."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._spec: Mapping[str, Any] = cell.case.soak
        self._schedule = schedule.for_node(_faults(cell), cell.node)
        self._begun = False
        self._shown = 0
        self._show_at = 0.0

    def prepare(self) -> None:
        """Begin to sample, and have the faults ready; the load has not begun yet."""
        if not self._spec or self._cell.board.read(f"{STARTED}{self._cell.node}"):
            return
        settings = self._spec["settings"]
        services = [service.name for service in self._cell.case.services_on(self._cell.node) if service.serves]
        self._cell.client.call(
            "soak",
            action="begin",
            interval_s=settings["sample_interval_secs"],
            duration_s=settings["duration_secs"],
            services=services,
            reports=[_only(one, "service", "path") for one in settings["reports"] if one["service"] in services],
            metrics=[one for one in settings["metrics"] if one["service"] in services],
            test_unit=UNIT if self._cell.node == self._cell.case.test.node else "",
        )
        if self._schedule:
            self._cell.client.call(
                "chaos",
                action="begin",
                schedule=[self._addressed(one) for one in self._schedule],
                checks={service.name: service.check for service in self._cell.case.services_on(self._cell.node)},
                duration_s=settings["duration_secs"],
                negative_control=settings["negative_control"],
            )
        self._cell.board.post(f"{STARTED}{self._cell.node}", {"t": self._cell.clock()})

    def _addressed(self, fault: dict[str, Any]) -> dict[str, Any]:
        """Return a fault; extra load is as that of the test, and goes where that does, which its settings need not say rightly."""
        if fault["kind"] != PRESSURE:
            return fault
        url = environment.base_url(self._cell)
        own = {"config": f"{SCENARIO}/{self._cell.case.test.config_file}", **({"base_url": url} if url else {})}
        return {**fault, "params": {**fault["params"], **own}}

    def await_others(self) -> None:
        """Wait until all nodes sample and have their faults ready: the load is not to begin before."""
        limit = self._cell.clock() + OTHERS_S
        while self._spec and not self._cell.failed and self._cell.clock() < limit:
            if all(self._cell.board.read(f"{STARTED}{node}") for node in self._cell.case.nodes):
                return
            self._cell.sleep(OTHERS_POLL_S)

    def tell_begin(self) -> None:
        """Tell the other nodes that the load has begun, so that each notes it on its own clock."""
        self.begin()
        if self._spec:
            others = [node for node in self._cell.case.nodes if node != self._cell.node]
            ring(self._cell.board.folder, others)

    def begin(self) -> None:
        """Note on this node that the load has begun, once it has."""
        began = self._cell.board.read(BEGUN) if self._spec and not self._begun else None
        if not began:
            return
        duration_s = self._spec["settings"]["duration_secs"]
        # The controller that was to tell may have died, so that only its successor does.
        ago_s = min(max(0.0, self._cell.clock() - began["t"]), duration_s)
        self._cell.client.call("soak", action="mark", duration_s=duration_s, ago_s=ago_s)
        self._begun = True

    def may_hit(self) -> bool:
        """Return whether there are faults that may hit services here."""
        return bool(self._schedule and self._begun and not self._spec["settings"]["negative_control"])

    def hit(self) -> frozenset[str]:
        """Return the services here that a fault has hit, or from which they still recover: their deaths are the gates' to judge.

        A negative control hits none.
        """
        if not self.may_hit():
            return frozenset()
        felt = set(self._status()["felt"])
        if WHOLE_NODE in felt:
            felt |= {service.name for service in self._cell.case.services_on(self._cell.node)}
        return frozenset(felt)

    def show(self) -> None:
        """Show what became of the faults since the last time."""
        now = self._cell.clock()
        if self._schedule and self._begun and now >= self._show_at:
            self._show_at = now + SHOWN_EVERY_S
            self._status()

    def _status(self) -> dict[str, Any]:
        status = self._cell.client.call("chaos", action="status", since=self._shown)
        for line in status["lines"]:
            if line["phase"] in fault_log.EVENTS:
                self._cell.event(words(line), chaos=line)
        self._shown = status["next"]
        return dict(status)

    def give_up(self) -> None:
        """End what runs beside a test that has failed; what cannot be undone now is found when the node is verified.

        A worker whose controller is gone sees failures everywhere, and another controller goes on with the soak.
        """
        if not self._cell.board.heard():
            return
        with suppress(NodeError, StepFailure):
            self.end()

    def end(self) -> None:
        """End what runs beside the test. Raise chaos_not_reverted where something of a fault is left."""
        if not self._spec or not self._cell.board.read(f"{STARTED}{self._cell.node}"):
            return
        left: list[str] = []
        if self._schedule:
            answer = self._cell.client.call("chaos", action="end")
            left = [f"{one['id']} ({one['kind']}): {'; '.join(one['left'])}" for one in answer["left"]]
            self._status()
        self._cell.client.call("soak", action="end")
        self._cell.board.post(f"{ENDED}{self._cell.node}", {"left": left})
        if left:
            raise StepFailure(
                "chaos_not_reverted", f"faults on {self._cell.node} could not be undone: {' | '.join(left)}"
            )


def _only(entry: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: entry[name] for name in names}


def words(line: Mapping[str, Any]) -> str:
    """Return one line of chaos.jsonl as a person reads it."""
    target = line.get("target", {}).get("service") or "the node"
    rto = f" after {line['rto_s']:.1f} s" if line["phase"] == "recovered" and "rto_s" in line else ""
    why = f": {line['why']}" if line.get("why") else ""
    return f"chaos {line['id']}: {line['kind']} of {target} {line['phase'].replace('_', ' ')}{rto}{why}"
