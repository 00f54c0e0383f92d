# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test step: the script under the node's supervisor, its log streamed, the engine watched on every node meanwhile."""

from __future__ import annotations

import base64
import os
from collections.abc import Collection, Mapping
from contextlib import closing
from typing import Any

from ..deploy.bell import Bell, ring
from ..node.errors import NodeError
from ..node.following import follow
from ..report import escape
from ..run import reserve, starter
from . import engine_life, environment
from .care import DIED, Care, end_of, must_end
from .cell import Cell, StepFailure
from .log_copy import SAMPLE_PAUSE_S, LogCopy
from .soaking import Soaking
from .unit import BEGUN, ENDED, UNIT
from .upload import FOLDER

LOG = "test.log"
POLL_S = 1.0
# Without a link a watching node asks for a tenth of the time the test has run, to notice the end of a short test soon.
WATCH_S = (0.3, 5.0)
# With a link the bell ends the question; each one renews the lease.
LONGEST_WATCH_S = 15.0
LOG_CAP_BYTES = 64 << 20
# How long the controller goes on asking a node that does not answer; the test itself runs on under its supervisor.
PATIENCE_S = 90.0
ASK_AGAIN_S = 1.0
# The same for a Docker engine: one that is started again is back within seconds, and may have kept its containers.
ENGINE_PATIENCE_S = 10.0
# Failures of the disk under the test, which the node finds where the script has failed.
DISK_KINDS = frozenset({"disk_full", "fs_readonly", "io_error"})
REACH_KINDS = frozenset({"ssh_refused", "ssh_timeout", "ssh_dropped", "dns_failure", "node_unreachable"})


def run(cell: Cell) -> dict[str, Any]:
    """Run the test on its node, or watch this node's services until the test has ended elsewhere."""
    watch = _Watch(cell)
    try:
        watch.soaking.prepare()
        found = _Test(cell, watch).run() if cell.node == cell.case.test.node else watch.run()
        watch.soaking.end()
    except NodeError as exc:
        watch.soaking.give_up()
        raise exc.on(cell.node) from None
    except StepFailure:
        watch.soaking.give_up()
        raise
    finally:
        watch.bell.close()
    return found


class _Watch:
    """On a node without the test: keep the lease, and tell the board when a critical service dies or turns unhealthy."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.bell = Bell(cell.board.folder, cell.node)
        self.services = [service.name for service in cell.case.services_on(cell.node) if service.serves]
        self.known: list[str] = []
        self.soaking = Soaking(cell)
        self._excused: set[str] = set()
        self._care = Care(cell)
        self._life = cell.facts.get("engine", {}).get("life", "")
        self._silent_since: float | None = None

    def run(self) -> dict[str, Any]:
        began = self._cell.clock()
        limit = began + self._cell.case.test.timeout_s + self._cell.case.test.grace_s + 2 * PATIENCE_S
        over = False
        while not (over and self._cell.failed) and self._cell.clock() < limit:
            before = set(self._cell.board.notes(DIED))
            self.soaking.begin()
            answer = self.ask({"name": "", "wait_s": 0.0 if over else self._wait_s(began)})
            ended = answer is not None and self.hear(answer)
            if answer is not None and over:
                # Who judges the test may have done so already.
                _judge_deaths(self._cell, before)
                break
            if ended:
                return {"died": self._care.ended}
            over = self._cell.board.read("test") is not None
        return {"died": ""}

    def ask(self, unit: dict[str, Any], reach_s: float = 0.0) -> dict[str, Any] | None:
        """Return how a unit and the services here are, None when that could not be told this time.

        reach_s: how long the node may be out of reach.
        """
        try:
            self._look_at_faults()
            question = {**unit, "services": self.services, "known": self.known, "life": self._life}
            answer = follow(self._cell.client, self.bell, question, self._hear_at_once)
        except NodeError as exc:
            patience_s = {**dict.fromkeys(REACH_KINDS, reach_s), "docker_daemon_down": ENGINE_PATIENCE_S}
            now = self._cell.clock()
            self._silent_since = now if self._silent_since is None else self._silent_since
            if now - self._silent_since >= patience_s.get(exc.kind, 0.0):
                raise
            self._cell.event(f"{self._cell.node} does not answer ({exc}); the test runs on, asking again")
            self._cell.sleep(ASK_AGAIN_S)
            return None
        self._silent_since = None
        return answer

    def _hear_at_once(self, event: dict[str, Any]) -> None:
        """Tell of a death before all that the answer says of it; where faults are made, it must be asked whether it is theirs."""
        if not self.soaking.may_hit():
            self._care.tell(event)

    def hear(self, answer: dict[str, Any]) -> bool:
        """Take in how the services are; return whether one of them ends the test, which the board is told."""
        troubles = (*answer["died"], *answer["unhealthy"])
        hit = self.soaking.hit() if troubles else frozenset()
        for entry in troubles:
            if entry["service"] in hit:
                self._excused.add(entry["service"])
                self.known.append(entry["service"])
            elif self._care.mend(entry):
                self._life = engine_life.now(self._cell)  # what was mended runs under the engine as it is now
            else:
                self.known.append(entry["service"])
        return bool(self._care.ended)

    def _look_at_faults(self) -> None:
        """Show what became of faults, and look again at the services that have had the time to recover from theirs."""
        self.soaking.show()
        over = self._excused - self.soaking.hit() if self._excused else set()
        if over:
            self._excused -= over
            self.known = [service for service in self.known if service not in over]
            self._life = engine_life.now(self._cell)  # they may run under an engine that was started again

    def _wait_s(self, began: float) -> float:
        if self._cell.client.line is not None:
            return LONGEST_WATCH_S
        return min(max((self._cell.clock() - began) / 10, WATCH_S[0]), WATCH_S[1])


class _Test:
    def __init__(self, cell: Cell, watch: _Watch) -> None:
        self._cell = cell
        self._watch = watch
        self._rest = ""

    def run(self) -> dict[str, Any]:
        try:
            told = self._start()
            # The copy is there before the journal names it, and complete before it says that the test has ended.
            with closing(LogCopy(self._cell.case_dir / LOG, LOG_CAP_BYTES)) as log:
                self._cell.event(told, log=LOG)
                outcome = self._follow(log)
        finally:
            if self._cell.board.read("test") is None:
                reserve.with_reserve(self._cell.plan.run_dir, self._tell_that_it_did_not_end)
            ring(self._cell.board.folder, [node for node in self._cell.case.nodes if node != self._cell.node])
        self._judge(outcome)
        return {
            key: outcome.get(key)
            for key in ("state", "exit_code", "signal", "seconds", "log_bytes", "log_hidden", "survivors_killed")
        }

    def _start(self) -> str:
        """Start the script and return what is told of it.

        It is not started where the controller before has done so: then it runs, or has ended, under the node's supervisor.
        """
        if self._cell.board.read(BEGUN):
            self._watch.soaking.begin()
            return f"{self._cell.case.test.script} was started before; going on with it"
        self._watch.soaking.await_others()
        test = self._cell.case.test
        folder = (self._cell.board.read(f"{FOLDER}{self._cell.node}") or {})["path"]
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
        self._cell.board.post(BEGUN, {"t": self._cell.clock()})
        self._watch.soaking.tell_begin()
        return f"{test.script} started, at most {test.timeout_s} s"

    def _follow(self, log: LogCopy) -> dict[str, Any]:
        hidden = 0
        while True:
            question = {"name": UNIT, "wait_s": POLL_S, "raw": self._cell.case.keep_raw_logs, **log.wanted()}
            answer = self._watch.ask(question, PATIENCE_S)
            if answer is None:
                continue
            outcome: dict[str, Any] = answer["unit"]
            chunk = base64.b64decode(outcome.pop("log_b64", ""))
            hidden += 0 if log.sampling else outcome.pop("hidden", 0)
            log.take(chunk, outcome["offset"], outcome["log_bytes"], outcome["state"] in ENDED)
            self._show(chunk)
            self._watch.hear(answer)
            if log.complete:
                outcome["log_hidden"] = hidden
                self._cell.board.post("test", {**outcome, "t": self._cell.clock()})
                return outcome
            if must_end(self._cell):
                self._cell.client.call("supervise", action="kill", name=UNIT)
            if log.sampling:
                self._cell.sleep(SAMPLE_PAUSE_S)

    def _tell_that_it_did_not_end(self) -> None:
        """Let the watchers on the other nodes go on, also when it is the disk here that ended the following."""
        self._cell.board.post("test", {"state": "not ended", "t": self._cell.clock()})

    def _show(self, chunk: bytes) -> None:
        """Show the last lines of a piece of the log, without what would do something to a terminal.

        The command line shows the log's file by itself, and would keep all that Ansible has said in memory.
        """
        if starter.VARIABLE in os.environ:
            return
        *lines, self._rest = (self._rest + chunk.decode("utf-8", "replace")).split("\n")
        for line in lines[-20:]:
            self._cell.say(f"| {escape.log_line(line)}")
        self._rest = self._rest[-4096:]

    def _judge(self, outcome: dict[str, Any]) -> None:
        """Raise for what is not the script's own answer; its exit status is judged with the case."""
        _judge_deaths(self._cell)
        test = self._cell.case.test
        if self._cell.failed and outcome["state"] == "killed":
            raise StepFailure("dependency_failed", f"{test.script} was ended: {self._cell.failed['message']}")
        if outcome["state"] == "timed_out":
            raise StepFailure("test_timeout", f"{test.script} did not end within its {test.timeout_s} s on {test.node}")
        if outcome["state"] in ("lost", "killed"):
            self._cell.client.call("lease", action="renew")  # refused where another run has the node, and has ended it
        if outcome["state"] in ("lost", "killed") or outcome["error_kind"] in DISK_KINDS:
            raise StepFailure(outcome["error_kind"], f"{test.script} on {test.node}: {outcome['message']}")
        if outcome["log_error"]:
            missing = f"{outcome['dropped_bytes']} bytes of {LOG} could not be written on {test.node}"
            self._cell.board.post("warning.log", {"message": f"{missing}: {outcome['log_error']}"})


def _judge_deaths(cell: Cell, known: Collection[str] = ()) -> None:
    """Raise for a critical service that has died. known: those that are judged elsewhere."""
    for service, note in cell.board.notes(DIED).items():
        if service not in known:
            raise StepFailure(
                note["error_kind"],
                f"service {service} on {note['node']} {end_of(note)} while the test ran{_because(note)}",
                service=service,
                evidence=tuple(note.get("log_tail") or ()),
                node=note["node"],
            )


def _because(note: Mapping[str, Any]) -> str:
    return f": {note['because']}" if "because" in note else ""


def _folder_of(path: str) -> str:
    """Return the folder that has to exist before the script writes path; a path ending with / is a folder itself."""
    return path if path.endswith("/") else path.rpartition("/")[0]
