# SPDX-License-Identifier: MIT
"""Readiness is decided by the container first and by a probe second, and told once it changes."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import readiness
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.objects import Container, Death
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.probes import Answer, Check
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.readiness import State


def container(state="running", health="", name="p-a-1", service="a", id="c1") -> Container:
    return Container(id, name, service, state, health, "img", "sha", 0.0, {}, ())


def end(code=3, oom=False) -> Death:
    return Death("container_oom" if oom else "container_exited", "it ended", code, oom, ("last words",), None)


def never() -> Death:
    raise AssertionError("a container that runs has no end")


@pytest.mark.parametrize(
    ("kind", "state", "health", "ending", "expected"),
    [
        pytest.param("container", "running", "", never, ("ready", ""), id="runs"),
        pytest.param("container", "running", "healthy", never, ("ready", ""), id="healthy"),
        pytest.param("container", "running", "starting", never, None, id="health-undecided-is-probed"),
        pytest.param("container", "running", "unhealthy", never, ("failed", "service_unhealthy"), id="unhealthy"),
        pytest.param("http", "running", "unhealthy", never, None, id="own-check-beats-health"),
        pytest.param("tcp", "running", "", never, None, id="tcp-is-probed"),
        pytest.param("http", "created", "", never, ("starting", ""), id="not-started"),
        pytest.param("http", "paused", "", never, ("starting", ""), id="paused"),
        pytest.param("http", "restarting", "", never, ("failed", "service_flapping"), id="F38-flapping"),
        pytest.param("http", "exited", "", end, ("failed", "container_exited"), id="F30-exited"),
        pytest.param("http", "dead", "", end, ("failed", "container_exited"), id="dead"),
        pytest.param("container", "exited", "", lambda: end(137, True), ("failed", "container_oom"), id="53-oom"),
        pytest.param(
            "container", "exited", "", lambda: end(0), ("failed", "container_exited"), id="clean-exit-is-no-service"
        ),
        pytest.param("completed", "exited", "", lambda: end(0), ("ready", ""), id="completed"),
        pytest.param("completed", "exited", "", lambda: end(1), ("failed", "container_exited"), id="completed-badly"),
        pytest.param(
            "completed", "exited", "", lambda: end(0, True), ("failed", "container_oom"), id="completed-after-oom"
        ),
        pytest.param("completed", "running", "", never, ("starting", ""), id="not-completed"),
    ],
)
def test_the_containers_state_decides_before_any_probe(kind, state, health, ending, expected):
    found = readiness.before_probe(Check("a", kind), container(state, health), ending)
    assert (found and (found.state, found.error_kind)) == expected


@pytest.mark.parametrize(
    ("health", "expected"), [("", None), ("healthy", "ready"), ("starting", None), ("unhealthy", "failed")]
)
def test_a_port_decides_for_a_container_without_a_health_check(health, expected):
    found = readiness.before_probe(Check("a", "container", port=80), container("running", health), never)
    assert (found and found.state) == expected


def test_a_failed_state_carries_exit_code_and_last_words():
    state = readiness.from_death(end(137, True)).as_dict()
    assert (state["exit_code"], state["oom"], state["log_tail"]) == (137, True, ["last words"])


READY, START, FAIL = State("ready"), State("starting"), State("failed")


@pytest.mark.parametrize(
    ("states", "expected"),
    [([READY, READY], READY), ([READY, START], START), ([START, FAIL, READY], FAIL), ([READY], READY)],
)
def test_a_service_is_as_good_as_its_worst_container(states, expected):
    assert readiness.combined(states) == expected


@pytest.mark.parametrize(
    ("states", "known", "changed"),
    [
        ({"a": START}, {}, False),
        ({"a": READY}, {}, True),
        ({"a": READY}, {"a": "ready"}, False),
        ({"a": FAIL}, {"a": "ready"}, True),
        ({"a": START}, {"a": "ready"}, True),
    ],
)
def test_a_change_is_a_difference_to_what_the_caller_knows(states, known, changed):
    assert readiness.changed(states, known) is changed


class FakeEngine:
    """An engine whose container list is taken from a script, one entry a look; the last one stays."""

    def __init__(self, *looks: list[Container]) -> None:
        self.looks = list(looks)

    def containers(self, _labels, _timeout=None):
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def inspect(self, _container):
        return {"State": {"StartedAt": "1970-01-01T00:00:10Z"}}


@pytest.fixture
def board(monkeypatch):
    monkeypatch.setattr(readiness, "containers", lambda engine, labels, timeout: tuple(engine.containers(labels)))

    def make(engine, checks, known=None, ask=None):
        if ask:
            monkeypatch.setattr(readiness, "ask", lambda _engine, _check, _found, _memory: ask())
        return readiness.Board(engine, [], checks, Clock(unix=lambda: 12.5), known or {})

    return make


def run(board, limit_s=5.0):
    try:
        return readiness._wait(board, board.clock.monotonic() + limit_s)
    finally:
        board.close()


def test_the_wait_ends_when_a_probe_succeeds(board):
    answers = iter([Answer(False, "not yet"), Answer(False, "not yet"), Answer(True, "it answers")])
    states = run(board(FakeEngine([container()]), [Check("a", "http", 80)], ask=lambda: next(answers)))
    assert (states["a"].state, states["a"].detail, states["a"].since_s) == ("ready", "it answers", 2.5)


def test_a_death_ends_the_wait_although_the_probe_hangs(board, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(readiness, "death", lambda _engine, _found, _clock: end())
    engine = FakeEngine([container()], [container()], [container("exited")])
    try:
        states = run(board(engine, [Check("a", "http", 80)], ask=lambda: release.wait(5) and Answer(False)))
    finally:
        release.set()
    assert (states["a"].state, states["a"].exit_code) == ("failed", 3)


def test_the_wait_ends_with_its_time(board):
    states = run(board(FakeEngine([container()]), [Check("a", "http", 80)], ask=lambda: Answer(False, "refused")), 0.05)
    assert (states["a"].state, states["a"].detail) == ("starting", "refused")


def test_nothing_to_wait_for_ends_the_wait_at_once(board):
    states = run(board(FakeEngine([container()]), [Check("a")], {"a": "ready"}), 600)
    assert states["a"].state == "ready"


def test_a_service_that_was_ready_is_not_probed_again(board):
    def ask():
        raise AssertionError("probed again")

    states = run(board(FakeEngine([container()]), [Check("a", "http", 80)], {"a": "ready"}, ask), 600)
    assert states["a"].state == "ready"


def test_a_service_without_a_container_has_failed(board):
    states = run(board(FakeEngine([]), [Check("a")]))
    assert (states["a"].state, states["a"].error_kind) == ("failed", "container_gone")


def test_an_engine_error_in_a_probe_is_a_reason_and_not_the_end(board):
    answers = iter([CellError("container_gone", "exec: container is not running"), Answer(True, "up")])

    def ask():
        answer = next(answers)
        if isinstance(answer, CellError):
            raise answer
        return answer

    assert run(board(FakeEngine([container()]), [Check("a", "command", argv=("x",))], ask=ask))["a"].state == "ready"
