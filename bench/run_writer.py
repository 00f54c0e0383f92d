# SPDX-License-Identifier: MIT
"""What a controller writes in a run, by the code that writes it, in one process and with no node: for the syscall sweep.

Two cases on two nodes, whose answers are made up; their artifacts are real files that the node's program lists and reads.
The clock only counts, so that two runs write the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from ansible_collections.enginelab.testcell.plugins.action._step import PhaseAction, Step
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import (
    scrub,  # noqa: F401 - steps read it late
    send_lines,
)
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import figures
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.placement import LOCAL
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.client import Asked
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal, limits, opening, owner
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan as run_plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.plan import CasePlan, RunPlan, ServicePlan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import (
    clear,
    collect,
    explaining,
    judging,
    lease,
    resuming,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import opening as case_opening
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import Cell, case_board, run_board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure

from testcell import closing
from testcell.exits import Exit, of_kind

# A report loads it only for a case that has failed. That fails in a process where Ansible has put its loader in the way.
LOADED_BEFORE = explaining

RUN_ID = "20260102_030405"
SCENARIOS = ("first", "second")
NODES = ("n1", "n2")
SECRET = "the caller's own token"
BEGAN = 1_767_322_800.0
# No process has this number: a controller that is proved dead.
NOBODY = 1 << 22
KINDS = ("containers", "networks", "volumes", "processes", "folders")
ARTIFACTS = {
    "work/results/benchmark.json": b'{"tokens": 12}\n',
    "work/results/requests.jsonl": b'{"n": 1}\n' * 400,
    "evidence/services/engine.log": b"ready\n" * 50,
    "evidence/system/kernel.txt": b"",
}


@dataclass(frozen=True)
class Place:
    """Where runs are written and where the nodes keep their files."""

    root: Path

    @property
    def results(self) -> Path:
        """Return the results folder."""
        return self.root / "results"

    @property
    def run(self) -> Path:
        """Return the folder of the run."""
        return self.results / RUN_ID

    @property
    def nodes(self) -> Path:
        """Return the folder of the nodes' roots."""
        return self.root / "nodes"


@dataclass
class Answer:
    """What the caller of a run is told: the exit code, each sentence, and the kinds of the failures."""

    code: int = int(Exit.INFRASTRUCTURE)
    said: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def tell(self, known: dict[str, Any]) -> None:
        """Note a failure."""
        self.said.append(str(known["message"]))
        self.kinds.append(str(known["error_kind"]))


@dataclass
class Clock:
    """A clock that goes on by a millisecond whenever somebody looks at it."""

    now: float = BEGAN

    def __call__(self) -> float:
        self.now = round(self.now + 0.001, 3)
        return self.now


@dataclass
class Node:
    """A node of which every step has its answer; its files are sent by the node's own program, over a line."""

    root: Path
    run: dict[str, Any] | None
    owner: str = ""
    engine: bool = True
    line: bool = True
    streamed: None = None
    same_machine: bool = False

    def call(self, op: str, **args: Any) -> dict[str, Any]:
        """Return the answer to one request."""
        return self._answer(Asked(op, args))

    def many(self, *asked: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the answers to several requests."""
        return [self.call(op, **args) for op, args in asked]

    def exchange(self, asked: Iterable[Asked]) -> list[dict[str, Any]]:
        """Return the last messages of several requests."""
        return [{"result": self._answer(one)} for one in asked]

    def result(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the answer in a last message."""
        found: dict[str, Any] = message["result"]
        return found

    def leave(self) -> None:
        """Hold nothing that had to be let go."""

    def _answer(self, asked: Asked) -> dict[str, Any]:
        if asked.op != "send":
            return dict(ANSWERS[asked.op])
        known = self.run or {}
        ref = RunRef(known["id"], known["scenario"], known["case"], known["attempt"])
        return send_lines.send(Context(self.root, ref, emit=asked.hear), asked.args)


# What is measured differs each time, and a work has to do the same twice.
STEADY_SPEEDS = mock.patch.object(collect, "speeds", lambda: {"sha256": 1.0})
STEADY_REPORT = mock.patch.object(
    figures, "report", lambda *_measured: {"files": 1, "integrity": "full", "algorithm": "sha256"}
)

NOTHING = dict.fromkeys(KINDS, 0)
ENDED = [{"service": "engine", "state": "exited", "exit_code": 0, "oom": False, "restart_count": 0}]
ANSWERS: dict[str, dict[str, Any]] = {
    "lease": {"epoch": 1, "holders": []},
    "reap": {"removed": NOTHING},
    "evidence": {"containers": ENDED, "missing": []},
    "stop": {"stopped": ["engine"], "errors": []},
    "clean": {
        "removed": {**NOTHING, "containers": 1},
        "errors": [],
        "emergency": False,
        "cause": [],
        "seconds": 0.1,
    },
    "verify": {"clean": True, "leftovers": [], "foreign": [], "errors": []},
    "quarantine": {"quarantine": None, "blames": []},
}
FACTS = {
    "warnings": [],
    "clock_offset_s": 0.0,
    "engine": {"version": "20.10"},
    "compose": [{"kind": "plugin", "version": "2"}],
    "python": "3.11",
    "kernel": "6.1",
}


def _prep(cell: Cell) -> dict[str, Any]:
    cell.board.post(f"facts.{cell.node}", FACTS)
    cell.board.post(f"snapshot.{cell.node}", {"containers": []})
    return {}


def _deploy(cell: Cell) -> dict[str, Any]:
    service = f"engine-{cell.node}"
    cell.board.post(f"containers.{cell.node}", {"containers": [{"service": service, "image": "x:1", "image_id": "1"}]})
    for state in ("starting", "ready"):
        cell.board.post(f"service.{service}", {"state": state, "node": cell.node, "t": cell.clock()})
        cell.event(f"{service} is {state}", service=service, state=state)
    return {}


def _test(cell: Cell) -> dict[str, Any]:
    if cell.node != cell.case.test.node:
        return {"watched": True}
    cell.board.post("test", {"state": "exited", "exit_code": 0})
    return {"exit_code": 0}


STEPS = (
    Step("lease", lease.acquire, needs_lease=False),
    Step("prep", _prep),
    Step("deploy", _deploy),
    Step("test", _test),
    Step("collect", collect.gather, always=True),
    Step("stop", clear.stop, always=True),
    Step("clean", clear.clean, always=True),
    Step("verify", clear.close, always=True, closes=True),
)


class Recorded(PhaseAction):
    """Steps as a task records them, without Ansible's task around them."""

    def __init__(self) -> None:
        """Take none of what Ansible gives to a task."""

    def controller(self, _plan: RunPlan) -> int:
        """Return the process that controls the run: this one's own parent, so that no step is left out."""
        return os.getppid()

    def do(self, step: Step, cell: Cell, answer: Answer) -> None:
        """Do a step unless it has no part here."""
        if self.no_part(step, cell):
            return
        result = self._recorded(step, cell)
        if result.get("failed"):
            answer.tell({**result["failure"], "message": result["msg"]})


def furnish(place: Place) -> None:
    """Put the artifacts of every case on the nodes."""
    for node in NODES:
        for scenario in SCENARIOS:
            for name, content in ARTIFACTS.items():
                path = place.nodes / node / "runs" / RUN_ID / scenario / "a1" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


@STEADY_SPEEDS
@STEADY_REPORT
def write_run(place: Place) -> Answer:
    """Open a run and run it to its end, and return what its caller is told."""
    answer, clock = Answer(), Clock()

    def work() -> None:
        opened = opening.begin(_plan(place))
        _cases(opened, opened.cases, place, clock, answer)

    return _told(place, answer, clock, "resolve", work)


@STEADY_SPEEDS
@STEADY_REPORT
def go_on(place: Place) -> Answer:
    """Let a run whose controller is dead go on to its end, and return what its caller is told."""
    answer, clock = Answer(), Clock(BEGAN + 100)

    def work() -> None:
        plan = resuming.reopen(place.run, _owner(), clock(), NODES)
        _cases(plan, list(resuming.unfinished(plan)), place, clock, answer)

    return _told(place, answer, clock, "resolve", work)


@STEADY_SPEEDS
@STEADY_REPORT
def cut_short(place: Place) -> Answer:
    """Close a run whose controller is dead, and return what its caller is told."""
    answer, clock = Answer(), Clock(BEGAN + 200)
    return _told(place, answer, clock, "report", lambda: _close(place, answer, clock, None))


def _plan(place: Place) -> RunPlan:
    return RunPlan(
        run_id=RUN_ID,
        results_dir=str(place.results),
        started_at=BEGAN,
        owner=_owner(),
        continue_on_failure=True,
        addresses=dict.fromkeys(NODES, "127.0.0.1"),
        lease_ttl_s=60,
        min_free_bytes=0,
        environment={"TOKEN": SECRET},
        origin={},
        cases=tuple(_case(place, index) for index in range(len(SCENARIOS))),
    )


def _owner() -> str:
    return owner.name(owner.here(), NOBODY)


def _case(place: Place, index: int) -> CasePlan:
    services = tuple(
        ServicePlan(f"engine-{node}", node, "", (), "docker-compose.yml", True, "x:1", (), {"kind": "running"})
        for node in NODES
    )
    return CasePlan(
        index=index,
        ref=CaseRef(SCENARIOS[index], "", 1),
        description="made for a sweep",
        directory=str(place.root),
        labels={},
        nodes=NODES,
        services=services,
        compose_files=("docker-compose.yml",),
        test=run_plan.TestPlan(
            node=NODES[0],
            script="run_test.sh",
            args=(),
            environment={},
            timeout_s=60,
            grace_s=5,
            result_paths=("results/",),
            config_file="test_config.json",
            client="script",
            service="",
            port=0,
            path="",
        ),
        collection_mode="standard",
        strategy="standard",
        expected_roles={},
        canary_timeout_s=5,
        canary_retries=0,
        deployment_timeout_s=60,
        startup_timeout_s=60,
        health_check_timeout_s=60,
        limits={},
        retry={},
        on_service_death="end_test",
        recovery={},
        min_gpu_memory_bytes=0,
        wait_before_s=0.0,
        validity={},
        config={},
    )


def _told(place: Place, answer: Answer, clock: Clock, step: str, work: Callable[[], None]) -> Answer:
    """Do work as the command line does it: what the disk refuses ends the run, which is then closed."""
    try:
        work()
    except OSError as exc:
        cause = _refused(exc, step, clock, answer)
        if closing.began(place.run) and not (place.run / resuming.SUMMARY).exists():
            try:
                _close(place, answer, clock, cause)
            except OSError as again:
                _refused(again, "report", clock, answer)
        else:
            answer.code = _code(place, answer)
    return answer


def _refused(exc: OSError, step: str, clock: Clock, answer: Answer) -> dict[str, Any]:
    known = failure.of(
        limits.kind_of(exc) or "internal_error", limits.told(exc), step=step, node=LOCAL, at=clock()
    ).as_dict()
    answer.tell(known)
    return known


def _code(place: Place, answer: Answer) -> int:
    """Return the exit code of a run that has its summary, or has begun nothing."""
    return answer.code if (place.run / resuming.SUMMARY).exists() else int(of_kind(answer.kinds[-1]))


def _close(place: Place, answer: Answer, clock: Clock, cause: dict[str, Any] | None) -> None:
    summary = closing.close(place.run, 0, clean=True, now=clock(), cause=cause)
    answer.code = int(summary["exit_code"])
    answer.tell(summary["failure"])


def _cases(plan: RunPlan, cases: Iterable[CasePlan], place: Place, clock: Clock, answer: Answer) -> None:
    """Run cases from their opening to their report, and report the run."""
    shared = run_board(plan.boards)
    for case in cases:
        board = case_board(plan.boards, case.index)
        _open(plan, case, clock)
        for step in STEPS:
            for node in case.nodes:
                held = shared.read(f"lease.{node}") or {}
                run = {"id": plan.run_id, "scenario": case.ref.scenario, "case": "", "attempt": 1, **held}
                client: Any = Node(place.nodes / node, run)
                cell = Cell(step.name, plan, case, node, client, board, shared, clock, _no_wait, _no_word)
                Recorded().do(step, cell, answer)
        judging.report_case(plan, case, board, shared, clock())
    answer.code = int(judging.report_run(plan, shared, clock())["exit_code"])


def _open(plan: RunPlan, case: CasePlan, clock: Clock) -> None:
    shared, board = run_board(plan.boards), case_board(plan.boards, case.index)
    _case_now, reason, _told_of = case_opening.opened(plan, case, shared)
    board.post("opened", {"t": clock()})
    if reason:
        board.post("skip", {"reason": reason})
    entry = {"t": clock(), "step": "open", "phase": "event", "scenario": case.ref.scenario, "case": "", "attempt": 1}
    journal.append(plan.run_dir, {**entry, "message": reason})


def _no_wait(_seconds: float) -> None:
    """Wait for nothing."""


def _no_word(_message: str) -> None:
    """Say nothing."""
