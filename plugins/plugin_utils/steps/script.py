# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test step: the script under the node's supervisor, its log streamed, the engine watched on every node meanwhile."""

from __future__ import annotations

import base64
from typing import Any

from ..node.client import NodeError
from . import environment
from .cell import Cell, StepFailure

UNIT = "test"
LOG = "test.log"
POLL_S = 1.0
# A watching node asks for a tenth of the time the test has run, so that it notices the end of a short test at once.
WATCH_S = (0.3, 5.0)
CHUNK_BYTES = 1 << 20
ENDED = ("exited", "timed_out", "killed", "lost")
LOG_CAP_BYTES = 64 << 20
# How long the controller goes on asking a node that does not answer; the test itself runs on under its supervisor.
PATIENCE_S = 90.0
REACH_KINDS = frozenset({"ssh_refused", "ssh_timeout", "ssh_dropped", "dns_failure", "node_unreachable"})


def run(cell: Cell) -> dict[str, Any]:
    """Run the test on its node, or watch this node's services until the test has ended elsewhere."""
    return _Test(cell).run() if cell.node == cell.case.test.node else _Watch(cell).run()


class _Watch:
    """On a node without the test: keep the lease, and tell the board when a critical service dies."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._services = [service.name for service in cell.case.services_on(cell.node) if service.serves]
        self._critical = {service.name for service in cell.case.services_on(cell.node) if service.critical}

    def run(self) -> dict[str, Any]:
        began = self._cell.clock()
        limit = began + self._cell.case.test.timeout_s + self._cell.case.test.grace_s + 2 * PATIENCE_S
        while self._cell.board.read("test") is None and self._cell.clock() < limit:
            dead = self.look(min(max((self._cell.clock() - began) / 10, WATCH_S[0]), WATCH_S[1]))
            if dead:
                return {"died": dead}
        return {"died": ""}

    def look(self, wait_s: float) -> str:
        """Return the name of a critical service that died, "" when none did; the board is told."""
        for entry in self._cell.client.call("watch", services=self._services, wait_s=wait_s)["died"]:
            if entry["service"] not in self._critical:
                continue
            note = {**entry, "node": self._cell.node, "error_kind": "service_died"}
            if self._cell.board.claim(f"died.{entry['service']}", note):
                self._cell.event(
                    f"{entry['service']} died with exit status {entry.get('exit_code')}", service=entry["service"]
                )
            return str(entry["service"])
        return ""


class _Test:
    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._watch = _Watch(cell)
        self._offset = 0
        self._last_answer = cell.clock()
        self._rest = ""

    def run(self) -> dict[str, Any]:
        try:
            self._start()
            outcome = self._follow()
        finally:
            if self._cell.board.read("test") is None:
                self._cell.board.post("test", {"state": "not ended", "t": self._cell.clock()})
        self._judge(outcome)
        return {
            key: outcome.get(key)
            for key in ("state", "exit_code", "signal", "seconds", "log_bytes", "survivors_killed")
        }

    def _start(self) -> None:
        test = self._cell.case.test
        folder = self._cell.client.call("where")["case_dir"]
        self._cell.client.call(
            "supervise",
            action="start",
            name=UNIT,
            argv=[f"{folder}/scenario/{test.script}", *test.args],
            cwd_rel="scenario",
            env=environment.for_test(self._cell, folder),
            timeout_s=test.timeout_s,
            grace_s=test.grace_s,
            log_cap_bytes=LOG_CAP_BYTES,
            dirs_rel=[f"work/{_folder_of(path)}" for path in test.result_paths],
        )
        self._cell.event(f"{test.script} started, at most {test.timeout_s} s")

    def _follow(self) -> dict[str, Any]:
        log = self._cell.case_dir / LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as stream:
            while True:
                outcome = self._poll()
                if outcome is None:
                    continue
                chunk = base64.b64decode(outcome.pop("log_b64", ""))
                stream.write(chunk)
                stream.flush()
                self._show(chunk)
                self._offset = outcome["offset"]
                if outcome["state"] in ENDED and not chunk:
                    self._cell.board.post("test", {**outcome, "t": self._cell.clock()})
                    return outcome
                self._end_when_a_service_died()

    def _poll(self) -> dict[str, Any] | None:
        """Return the state of the unit, None when the node could not be asked this time."""
        try:
            outcome = self._cell.client.call(
                "supervise", action="poll", name=UNIT, offset=self._offset, wait_s=POLL_S, max_bytes=CHUNK_BYTES
            )
        except NodeError as exc:
            if exc.kind not in REACH_KINDS or self._cell.clock() - self._last_answer > PATIENCE_S:
                raise
            self._cell.event(f"{self._cell.node} does not answer ({exc}); the test runs on there, asking again")
            self._cell.sleep(1.0)
            return None
        self._last_answer = self._cell.clock()
        return outcome

    def _show(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk.decode("utf-8", "replace")).split("\n")
        for line in lines[-20:]:
            self._cell.say(f"| {line.rstrip()[:200]}")
        self._rest = self._rest[-4096:]

    def _end_when_a_service_died(self) -> None:
        if self._cell.case.services_on(self._cell.node):
            self._watch.look(0)
        if self._cell.board.notes("died."):
            self._cell.client.call("supervise", action="kill", name=UNIT)

    def _judge(self, outcome: dict[str, Any]) -> None:
        """Raise for what is not the script's own answer; its exit status is judged with the case."""
        for service, note in self._cell.board.notes("died.").items():
            raise StepFailure(
                "service_died",
                f"service {service} on {note['node']} ended with exit status {note.get('exit_code')} while the test ran",
                service=service,
                evidence=tuple(note.get("log_tail") or ()),
            )
        test = self._cell.case.test
        if outcome["state"] == "timed_out":
            raise StepFailure("test_timeout", f"{test.script} did not end within its {test.timeout_s} s on {test.node}")
        if outcome["state"] in ("lost", "killed"):
            raise StepFailure(
                "internal_error",
                f"the supervisor of {test.script} on {test.node} ended as {outcome['state']!r}: {outcome.get('error', '')}",
            )


def _folder_of(path: str) -> str:
    """Return the folder that has to exist before the script writes path; a path ending with / is a folder itself."""
    return path if path.endswith("/") else path.rpartition("/")[0]
