# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done about a service that dies or turns unhealthy while the test runs, as the scenario says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import engine_life
from .cell import Cell

CONTINUE = "continue"
RECOVERED = "recovered."
DIED = "died."


class Care:
    """The services of one node during the test. ended: the critical service that ends the test, "" while none does."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._critical = {service.name for service in cell.case.services_on(cell.node) if service.critical}
        self._restarts: dict[str, int] = {}
        self._told: set[str] = set()
        self.ended = ""

    def tell(self, entry: Mapping[str, Any]) -> None:
        """Tell once that a service has died or turned unhealthy. entry: what is known of it at this moment."""
        service = str(entry["service"])
        if service not in self._told:
            self._told.add(service)
            level = {} if service in self._critical else {"level": "warning"}
            self._cell.event(self._words(entry), service=service, state="died", **level)

    def _words(self, entry: Mapping[str, Any]) -> str:
        service = str(entry["service"])
        if service in self._critical:
            return f"{service} {end_of(entry)}"
        return f"service {service} on {self._cell.node} {end_of(entry)} while the test ran; it is not critical"

    def mend(self, entry: Mapping[str, Any]) -> bool:
        """Return whether the service runs again; what became of it otherwise is told to the board."""
        service = str(entry["service"])
        if self._restarted(entry):
            self._told.discard(service)
            return True
        if service not in self._critical:
            if self._cell.board.claim(f"warning.died-{service}", {"message": self._words(entry)}):
                self.tell(entry)
            return False
        ends_test = self._cell.case.on_service_death != CONTINUE
        kind = "service_died" if entry["error_kind"] == "container_exited" else entry["error_kind"]
        note = {**entry, "node": self._cell.node, "error_kind": kind, "ends_test": ends_test}
        fault = engine_life.fault(self._cell, kind)
        if fault:
            note |= {"error_kind": fault.kind, "because": fault.words}
        if self._cell.board.claim(f"{DIED}{service}", note):
            self.tell(entry)
        self.ended = service if ends_test else ""
        return False

    def _restarted(self, entry: Mapping[str, Any]) -> bool:
        service, done = str(entry["service"]), self._restarts.get(str(entry["service"]), 0)
        if done >= self._cell.case.recovery["restart_services"]:
            return False
        self._restarts[service] = done + 1
        answer = self._cell.client.call("start", services=[service], again=True)["started"][service]
        if not answer["ok"]:
            self._cell.event(
                f"{service} {end_of(entry)}; it cannot be started again: {answer['error']}", service=service
            )
            return False
        note = {"service": service, "node": self._cell.node, "restarts": done + 1, "last": end_of(entry)}
        self._cell.board.post(f"{RECOVERED}{service}", note)
        self._cell.event(f"{service} {end_of(entry)}; started again ({done + 1})", service=service, state="recovered")
        return True


def must_end(cell: Cell) -> bool:
    """Return whether the case has failed on another node, or a service has died anywhere whose death ends the test."""
    return bool(cell.failed) or any(note["ends_test"] for note in cell.board.notes(DIED).values())


def end_of(entry: Mapping[str, Any]) -> str:
    """Return what became of a service, in words that follow its name."""
    if "exit_code" in entry:
        return f"died with exit status {entry['exit_code']}"
    return f"turned unhealthy ({entry.get('detail') or entry['error_kind']})"
