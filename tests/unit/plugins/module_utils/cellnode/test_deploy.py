# SPDX-License-Identifier: MIT
"""Services are started when ordered, and what becomes of them is told at once, each for itself."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import (
    deploy,
    lifetime,
    minder,
    readiness,
    signs,
)
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.mailbox import Mailbox
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.probes import Answer
from fake_engine import FakeEngine

LIMIT_S = 10.0
NO = Answer(False, "connection refused")
YES = Answer(True, "it answers")


class Caller:
    """Who asked for the deployment: it gives orders and hears of events, in their order."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.mailbox = Mailbox()
        self.events: queue.Queue[dict] = queue.Queue()
        self.answer: dict = {}
        self._thread = threading.Thread(target=lambda: None)

    def begin(self, *checks: dict, check: bool = False, **args) -> None:
        """Ask for the deployment of services; a name stands for an HTTP check."""
        given = [one if isinstance(one, dict) else {"service": one, "kind": "http", "port": 80} for one in checks]
        context = Context(Path("/x"), RunRef("r", "s"), check=check, emit=self.events.put, mailbox=self.mailbox)
        self._thread = threading.Thread(target=self._work, args=(context, {"checks": given, **args}))
        self._thread.start()

    def _work(self, context: Context, args: dict) -> None:
        try:
            self.answer = deploy.deploy(context, args)
        except CellError as exc:
            self.answer = {"error": exc}

    def hears(self, service: str, state: str, **fields) -> dict:
        """Return the next event, which must be this one."""
        event = self.events.get(timeout=LIMIT_S)
        found = {key: event.get(key) for key in ("service", "state", *fields)}
        assert found == {"service": service, "state": state, **fields}, event
        return event

    def all(self, *expected: tuple[str, str]) -> None:
        """Take as many events as expected, in any order."""
        heard = [self.events.get(timeout=LIMIT_S) for _ in expected]
        assert sorted((event["service"], event["state"]) for event in heard) == sorted(expected)

    def start(self, *services: str) -> None:
        """Order starts and hear that they run."""
        self.mailbox.put({"start": list(services)})
        self.all(*((service, "running") for service in services))

    def ready(self, *services: str) -> None:
        """Order starts and hear that they are ready."""
        self.mailbox.put({"start": list(services)})
        self.all(*((service, state) for service in services for state in ("running", "ready")))

    def end(self) -> dict:
        """Return the answer, which must have come."""
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        return self.answer

    def finish(self) -> dict:
        """Order the end and return the last states."""
        self.mailbox.put({"finish": True})
        assert self.events.empty()
        return self.end()["states"]


class Probes:
    """What the probes of each service are answered; without an answer they are refused."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: dict[str, threading.Semaphore] = {}
        self.order: queue.Queue[str] = queue.Queue()
        self.hang: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def ask(self, _engine, check, _found, _memory) -> Answer:
        self.count(check.service).release()
        self.order.put(check.service)
        if check.service in self.hang:
            self.hang[check.service].wait(LIMIT_S)
        return self.answers.get(check.service, NO)

    def count(self, service: str) -> threading.Semaphore:
        """Return what counts the probes of a service."""
        with self._lock:
            return self.asked.setdefault(service, threading.Semaphore(0))

    def wait_for(self, service: str, times: int = 1) -> None:
        """Wait until a service has been asked again so many times."""
        for _ in range(times):
            assert self.count(service).acquire(timeout=LIMIT_S)


@pytest.fixture
def engine(monkeypatch):
    made = FakeEngine()
    monkeypatch.setattr(deploy, "connect", lambda _environ: made)
    return made


@pytest.fixture
def probes(monkeypatch):
    made = Probes()
    monkeypatch.setattr(readiness, "ask", made.ask)
    return made


@pytest.fixture
def caller(engine, probes):
    made = Caller(engine)
    yield made
    for event in probes.hang.values():
        event.set()
    made.mailbox.close()
    made.end()


JOB = {"service": "a", "kind": "completed"}


@pytest.mark.parametrize(("check", "why"), [("a", NO.detail), (JOB, "not completed yet")], ids=["server", "job"])
def test_a_service_that_is_not_ready_says_why_now_and_then(caller, engine, probes, monkeypatch, check, why):
    monkeypatch.setattr(minder, "FIRST_WORD_S", 0.05)
    engine.add("a")
    caller.begin(check)
    caller.start("a")
    waited = [caller.hears("a", "waiting", detail=why)["waited_s"] for _ in range(3)]
    assert waited == sorted(waited) and waited[2] >= 0.2, "each word comes after twice the time"
    caller.mailbox.put({"finish": True})
    assert caller.end()["states"]["a"]["state"] == "running", "a word of waiting is no state"


def test_a_service_runs_once_started_and_is_ready_once_its_probe_succeeds(caller, engine, probes):
    engine.add("a")
    caller.begin("a")
    caller.start("a")
    probes.wait_for("a", 3)
    probes.answers["a"] = YES
    event = caller.hears("a", "ready", detail="it answers", after_ready=False, complete=True)
    assert engine.box("a").started <= event["t"] + 0.001
    assert caller.finish()["a"] == event
    assert engine.said == [("start", "id-a-1")]


@pytest.mark.parametrize(
    ("check", "health", "event"),
    [
        pytest.param({"kind": "running"}, "", ("", ""), id="running"),
        pytest.param({"kind": "container"}, "", ("", ""), id="no-health-check"),
        pytest.param(
            {"kind": "container"}, "starting", ("health_status: healthy", "healthy"), id="engine-says-healthy"
        ),
    ],
)
def test_the_engine_decides_where_no_probe_does(caller, engine, check, health, event):
    engine.add("a")
    engine.box("a").health = health
    caller.begin({"service": "a", **check})
    caller.mailbox.put({"start": ["a"]})
    caller.hears("a", "running")
    if event[0]:
        engine.turn("a", event[0], health=event[1])
    caller.hears("a", "ready")


def test_only_what_is_ordered_is_started_and_only_once(caller, engine, probes):
    engine.add("a", "b")
    probes.answers = {"a": YES, "b": YES}
    caller.begin("a", "b")
    caller.ready("a")
    caller.mailbox.put({"start": ["a", "a"]})
    caller.ready("b")
    assert engine.said == [("start", "id-a-1"), ("start", "id-b-1")]
    assert {name: state["state"] for name, state in caller.finish().items()} == {"a": "ready", "b": "ready"}


TAKEN = CellError("port_conflict", "Bind for 127.0.0.1:8000 failed: port is already allocated")


@pytest.mark.parametrize(
    ("fault", "kind", "port"),
    [
        pytest.param(TAKEN, "port_conflict", 8000, id="F40-port"),
        pytest.param(CellError("gpu_runtime_missing", "no nvidia"), "gpu_runtime_missing", None, id="gpu"),
        pytest.param(RuntimeError("what"), "internal_error", None, id="a-fault-of-our-own"),
    ],
)
def test_a_start_that_fails_is_told_with_its_cause(caller, engine, fault, kind, port):
    engine.add("a")
    engine.starting["a"] = fault
    caller.begin("a")
    caller.mailbox.put({"start": ["a"]})
    event = caller.hears("a", "failed", error_kind=kind, after_ready=False)
    assert event.get("holder", {}).get("port") == port


def test_a_service_without_a_container_has_failed(caller):
    caller.begin("a")
    caller.mailbox.put({"start": ["a"]})
    caller.hears("a", "failed", error_kind="container_gone")


@pytest.mark.parametrize(
    ("code", "oom", "kind", "text"),
    [
        pytest.param(3, False, "container_exited", "container p-a-1 exited with code 3", id="F30-exited"),
        pytest.param(137, False, "container_exited", "container p-a-1 exited with code 137 (killed)", id="F30-killed"),
        pytest.param(0, False, "container_exited", "container p-a-1 exited with code 0", id="F38-clean-exit"),
        pytest.param(137, True, "container_oom", "container p-a-1 exited with code 137 (killed for memory)", id="53"),
    ],
)
def test_an_exit_before_ready_is_told_at_once_and_then_with_its_log(caller, engine, probes, code, oom, kind, text):
    engine.add("a", memory=1 << 20)
    caller.begin("a")
    caller.start("a")
    probes.wait_for("a")
    engine.die("a", code, oom)
    known = {"exit_code": code, "oom": oom, "error_kind": kind, "detail": text, "after_ready": False}
    assert caller.hears("a", "failed", complete=False, **known)["log_tail"] == []
    event = caller.hears("a", "explained", complete=True, **known)
    assert event["log_tail"] == ["last words of a"]
    assert caller.finish()["a"] == {**event, "state": "failed"}


@pytest.mark.parametrize(
    ("oom", "kind"), [pytest.param(False, "service_died", id="F38-died"), pytest.param(True, "container_oom", id="53")]
)
def test_an_exit_after_ready_is_the_services_death(caller, engine, probes, oom, kind):
    engine.add("a")
    probes.answers["a"] = YES
    caller.begin("a")
    caller.ready("a")
    engine.die("a", 137, oom)
    for state in ("failed", "explained"):
        caller.hears("a", state, error_kind=kind, after_ready=True)


def test_an_exit_at_once_is_found_by_looking(caller, engine):
    engine.add("a")
    engine.starting["a"] = 7
    caller.begin("a")
    caller.mailbox.put({"start": ["a"]})
    caller.hears("a", "running")
    caller.hears("a", "failed", exit_code=7, complete=True, log_tail=["last words of a"])


def test_sickness_is_told_before_ready_and_after(caller, engine):
    engine.add("a", "b")
    for service in ("a", "b"):
        engine.box(service).health = "starting"
    caller.begin(*({"service": service, "kind": "container"} for service in ("a", "b")))
    caller.start("a", "b")
    engine.turn("b", "health_status: healthy", health="healthy")
    caller.hears("b", "ready")
    for service, ready in (("a", False), ("b", True)):
        engine.turn(service, "health_status: unhealthy", health="unhealthy")
        detail = f"container p-{service}-1 is unhealthy: no token came"
        caller.hears(service, "failed", error_kind="service_unhealthy", after_ready=ready, complete=True, detail=detail)


def test_a_container_that_the_engine_restarts_has_failed(caller, engine, probes, monkeypatch):
    monkeypatch.setattr(signs, "LOOK_S", 0.01)
    engine.add("a")
    caller.begin("a")
    caller.start("a")
    engine.box("a").state = "restarting"
    caller.hears("a", "failed", error_kind="service_flapping")


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        pytest.param(lambda engine: engine.vanish("a"), "container_gone", id="removed"),
        pytest.param(lambda engine: engine.turn("a", "pause", "paused"), "service_unhealthy", id="F30-paused"),
    ],
)
def test_what_else_ends_a_service_that_was_ready_is_told(caller, engine, probes, act, kind):
    engine.add("a")
    probes.answers["a"] = YES
    caller.begin("a")
    caller.ready("a")
    act(engine)
    caller.hears("a", "failed", error_kind=kind, after_ready=True)


def test_f29_a_service_that_another_engine_process_has_started_again_has_died(caller, engine, probes, monkeypatch):
    """No event tells of it: they are lost with the engine."""
    monkeypatch.setattr(signs, "LOOK_S", 0.01)
    words = ["7.1"]
    monkeypatch.setattr(lifetime, "life", lambda _path: words[0])
    engine.add("a", "b")
    probes.answers.update(a=YES, b=YES)
    caller.begin("a", "b")
    caller.ready("a", "b")
    engine.box("a").started += 5.0
    words[0] = "9.5"
    event = caller.hears("a", "failed", error_kind="service_died", after_ready=True)
    assert event["detail"] == "container p-a-1 was started again, and not by this run"
    states = caller.finish()
    assert (states["a"]["state"], states["b"]["state"]) == ("failed", "ready")


def test_a_pause_before_ready_is_no_failure(caller, engine, probes):
    engine.add("a")
    caller.begin("a")
    caller.start("a")
    engine.turn("a", "pause", "paused")
    probes.wait_for("a", 2)
    engine.turn("a", "unpause", "running")
    probes.answers["a"] = YES
    caller.hears("a", "ready")


@pytest.mark.parametrize(("code", "state", "kind"), [(0, "ready", ""), (4, "failed", "container_exited")])
def test_a_job_is_ready_when_it_has_completed(caller, engine, code, state, kind):
    engine.add("a")
    caller.begin({"service": "a", "kind": "completed"})
    caller.start("a")
    engine.die("a", code)
    caller.hears("a", state, exit_code=code, error_kind=kind)


def test_a_job_that_completed_does_not_fail_when_the_list_shows_it(caller, engine, monkeypatch):
    monkeypatch.setattr(signs, "LOOK_S", 0.01)
    engine.add("a")
    caller.begin({"service": "a", "kind": "completed"})
    caller.start("a")
    engine.die("a", 0)
    caller.hears("a", "ready")
    for _ in range(5):
        assert engine.looks.acquire(timeout=LIMIT_S)
    assert caller.finish()["a"]["state"] == "ready"


@pytest.mark.parametrize("ended", [True, False], ids=["after-its-end", "while-it-runs"])
def test_again_starts_a_service_anew_and_forgets_what_was(caller, engine, probes, ended):
    engine.add("a")
    probes.answers["a"] = YES
    caller.begin("a")
    caller.ready("a")
    if ended:
        engine.die("a", 3)
        caller.hears("a", "failed", complete=False)
        caller.hears("a", "explained")
    probes.answers["a"] = NO
    caller.mailbox.put({"again": ["a"]})
    caller.hears("a", "running", after_ready=False)
    probes.answers["a"] = YES
    caller.hears("a", "ready")
    engine.die("a", 9)
    caller.hears("a", "failed", exit_code=9, error_kind="service_died")
    assert engine.said == [("start", "id-a-1"), ("restart", "id-a-1")]
    caller.hears("a", "explained")
    assert caller.finish()["a"]["exit_code"] == 9


def test_a_good_probe_of_an_earlier_life_says_nothing_of_this_one(caller, engine, probes):
    engine.add("a")
    probes.answers["a"] = YES
    hang = probes.hang["a"] = threading.Event()
    caller.begin("a")
    caller.start("a")
    probes.wait_for("a")
    del probes.hang["a"]
    probes.answers["a"] = NO
    caller.mailbox.put({"again": ["a"]})
    caller.hears("a", "running")
    probes.answers["a"] = YES
    caller.hears("a", "ready")
    hang.set()
    assert caller.finish()["a"]["state"] == "ready"


def test_again_is_a_start_for_what_was_never_started(caller, engine, probes):
    engine.add("a")
    caller.begin("a")
    caller.mailbox.put({"again": ["a"]})
    caller.hears("a", "running")
    assert engine.said == [("start", "id-a-1")]


def test_a_slow_start_holds_nobody_up(caller, engine, probes):
    engine.add("slow", "a", "b")
    probes.answers = dict.fromkeys(("slow", "a", "b"), YES)
    gate = engine.starting["slow"] = threading.Event()
    caller.begin("slow", "a", "b")
    caller.mailbox.put({"start": ["slow"]})
    caller.ready("a", "b")
    gate.set()
    caller.hears("slow", "running")
    caller.hears("slow", "ready")


def test_a_death_is_told_although_the_probe_hangs(caller, engine, probes):
    engine.add("a")
    probes.hang["a"] = threading.Event()
    caller.begin("a")
    caller.start("a")
    probes.wait_for("a")
    engine.die("a", 3)
    caller.hears("a", "failed", exit_code=3)


def test_at_most_so_many_probes_ask_at_once(caller, engine, probes):
    names = ("a", "b", "c")
    engine.add(*names)
    for name in names:
        probes.hang[name] = threading.Event()
    caller.begin(*names, max_health_checks=1)
    caller.start(*names)
    for _ in names:
        asking = probes.order.get(timeout=LIMIT_S)
        probes.answers[asking] = YES
        assert probes.order.empty()
        probes.hang[asking].set()
        caller.hears(asking, "ready")


def test_a_service_that_is_not_ready_in_time_has_failed_with_the_last_answer(caller, engine, probes):
    engine.add("a", "b")
    probes.answers["b"] = YES
    caller.begin("a", "b", limit_s=0.2)
    caller.mailbox.put({"start": ["a", "b"]})
    caller.all(("a", "running"), ("b", "running"), ("b", "ready"))
    text = "not ready within 0.2 s of its start: connection refused"
    caller.hears("a", "failed", error_kind="health_timeout", detail=text, log_tail=["last words of a"])
    probes.answers["a"] = YES
    caller.mailbox.put({"again": ["a"]})
    caller.hears("a", "running")
    caller.hears("a", "ready")


def test_what_was_not_ready_at_the_end_has_its_last_answer_and_words(caller, engine, probes):
    engine.add("a", "b")
    probes.answers["b"] = YES
    caller.begin("a", "b")
    caller.mailbox.put({"start": ["a", "b"]})
    caller.all(("a", "running"), ("b", "running"), ("b", "ready"))
    probes.wait_for("a", 2)
    states = caller.finish()
    assert (states["a"]["detail"], states["a"]["log_tail"]) == ("connection refused", ["last words of a"])
    assert states["b"]["log_tail"] == []


def test_all_containers_of_a_service_must_be_ready_and_one_death_is_its_failure(caller, engine):
    engine.add("a", "a")
    for box in engine.boxes.values():
        box.health = "starting"
    caller.begin({"service": "a", "kind": "container"})
    caller.start("a")
    first, second = engine.boxes.values()
    engine.turn("a", "health_status: healthy", health="healthy")
    second.health = "healthy"
    engine._tell(second, "health_status: healthy")
    caller.hears("a", "ready")
    engine.die("a", 5)
    caller.hears("a", "failed", exit_code=5, complete=False)
    assert first.state == "exited"


def test_a_broken_event_stream_is_taken_up_again_and_nothing_is_missed(caller, engine, probes):
    engine.add("a", "b")
    probes.answers = {"a": YES, "b": YES}
    caller.begin("a", "b")
    caller.ready("a", "b")
    assert engine.listening.acquire(timeout=LIMIT_S)
    engine.break_streams()
    engine.die("a", 3)
    for state in ("failed", "explained"):
        caller.hears("a", state, exit_code=3)
    assert engine.listening.acquire(timeout=LIMIT_S)
    engine.die("b", 4)
    for state in ("failed", "explained"):
        caller.hears("b", state, exit_code=4)


def test_what_no_event_told_is_found_in_the_list(caller, engine, probes, monkeypatch):
    monkeypatch.setattr(signs, "LOOK_S", 0.01)
    engine.add("a")
    probes.answers["a"] = YES
    caller.begin("a")
    caller.ready("a")
    engine.deaf = True
    engine.die("a", 3)
    caller.hears("a", "failed", exit_code=3, complete=True, log_tail=["last words of a"])


def test_an_engine_that_does_not_answer_any_more_ends_the_deployment(caller, engine, probes, monkeypatch):
    monkeypatch.setattr(signs, "LOOK_S", 0.01)
    monkeypatch.setattr(signs, "PATIENCE_S", 0.05)
    engine.add("a")
    caller.begin("a")
    caller.start("a")
    engine.down = CellError("docker_daemon_down", "no engine answers")
    engine.break_streams()
    assert caller.end()["error"].kind == "docker_daemon_down"


def test_the_end_leaves_services_as_they_are_and_says_what_they_lacked(caller, engine, probes):
    engine.add("a", "b")
    caller.begin("a", "b")
    caller.start("a")
    probes.wait_for("a", 2)
    states = caller.finish()
    assert (set(states), states["a"]["state"], states["a"]["detail"]) == ({"a"}, "running", "connection refused")
    assert engine.box("a").state == "running"


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_caller_that_is_gone_ends_the_deployment_and_starts_nothing_more(caller, engine, probes, when):
    engine.add("a", "b")
    if when == "before":
        caller.mailbox.put({"start": ["a"]})
        caller.mailbox.close()
    caller.begin("a", "b")
    if when == "while":
        caller.start("a")
        caller.mailbox.close()
    assert set(caller.end()["states"]) == ({"a"} if when == "while" else set())
    caller.mailbox.put({"start": ["b"]})
    assert engine.box("b").state == "created"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"start": ["z"]}, "args.start is 'z'"),
        ({"start": "a"}, "args.start is 'a'"),
        ({"finish": "now"}, "args.finish is 'now'"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(caller, engine, message, words):
    engine.add("a")
    caller.begin("a")
    caller.mailbox.put(message)
    assert words in caller.end()["error"].message


def test_a_check_starts_nothing(caller, engine):
    engine.add("a")
    caller.begin("a", check=True)
    assert (caller.end(), engine.said) == ({"states": {}}, [])


def test_every_message_proves_the_lease_before_it_is_obeyed(caller, engine, monkeypatch):
    class Lost:
        def __init__(self, _context) -> None:
            """A lease that somebody else took over."""

        def prove(self) -> None:
            raise CellError("lock_held", "node is held by another run")

    monkeypatch.setattr(deploy, "Fence", Lost)
    engine.add("a")
    caller.begin("a")
    caller.mailbox.put({"start": ["a"]})
    assert (caller.end()["error"].kind, engine.said) == ("lock_held", [])


def test_f10_a_failure_on_a_node_that_another_run_has_taken_is_not_told(caller, engine, monkeypatch):
    class Taken:
        def __init__(self, _context) -> None:
            """A lease that somebody else takes over once all is ordered."""

        def prove(self) -> None:
            """It is held while orders come."""

        def prove_answer(self) -> None:
            raise CellError("lock_held", "node is held by another run")

    monkeypatch.setattr(deploy, "Fence", Taken)
    engine.add("a")
    caller.begin("a")
    caller.start("a")
    engine.die("a", 137, False)
    assert (caller.end()["error"].kind, caller.events.empty()) == ("lock_held", True)


def test_many_deployments_leave_no_thread_behind(engine, probes):
    engine.add("a", "b")
    probes.answers = {"a": YES}
    before = set(threading.enumerate())
    for _ in range(10):
        caller = Caller(engine)
        caller.begin("a", "b")
        caller.mailbox.put({"start": ["a", "b"]})
        caller.all(("a", "running"), ("a", "ready"), ("b", "running"))
        caller.finish()
    assert set(threading.enumerate()) == before
