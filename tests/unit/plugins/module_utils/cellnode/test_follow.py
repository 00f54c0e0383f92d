# SPDX-License-Identifier: MIT
"""One question tells of a unit and of services, at once when something is new, and leaves nothing behind."""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import follow, lifetime, lookout
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.mailbox import Mailbox
from fake_engine import FakeEngine

LIMIT_S = 10.0
CALM = {"unit": None, "died": [], "unhealthy": []}


@pytest.fixture
def engine(monkeypatch):
    made = FakeEngine()
    made.add("a", "b")
    made.start("id-a-1")
    made.start("id-b-1")
    monkeypatch.setattr(lookout, "connect", lambda _environ, _timeout: made)
    return made


@pytest.fixture
def asking(engine):
    """Ask in a thread; act once the events are listened to; return the answer."""

    def run(act, mailbox=None, emit=lambda _event: None, **args):
        told: list = []
        more = {"emit": emit} if mailbox is None else {"mailbox": mailbox}
        context = Context(Path("/x"), RunRef("r", "s"), **more)
        question = {"wait_s": LIMIT_S, "services": ["a"], **args}
        thread = threading.Thread(target=lambda: told.append(follow.follow(context, question)))
        thread.start()
        assert engine.listening.acquire(timeout=LIMIT_S)
        act()
        thread.join(LIMIT_S - 1)
        assert told, "not told before its time was over"
        return told[0]

    return run


@pytest.mark.parametrize(
    ("code", "oom", "kind"),
    [
        pytest.param(4, False, "service_died", id="F30-died"),
        pytest.param(137, True, "container_oom", id="53-oom"),
    ],
)
def test_a_death_is_told_with_code_and_last_words(asking, engine, code, oom, kind):
    answer = asking(lambda: engine.die("a", code, oom))
    known = {key: answer["died"][0][key] for key in ("service", "error_kind", "exit_code", "oom", "log_tail")}
    assert known == {
        "service": "a",
        "error_kind": kind,
        "exit_code": code,
        "oom": oom,
        "log_tail": ["last words of a"],
    }
    assert (len(answer["died"]), answer["unhealthy"]) == (1, [])


def test_a_death_is_told_before_the_engine_has_put_the_container_away(asking, engine, monkeypatch):
    events, told_by_then, inspect = [], [], engine.inspect
    monkeypatch.setattr(engine, "inspect", lambda *args: (told_by_then.append(list(events)), inspect(*args))[1])
    asking(lambda: engine.die("a", 4), emit=events.append)
    assert told_by_then[0] == events == [{"service": "a", "exit_code": 4}]


def test_a_death_of_the_life_before_is_no_news(engine):
    """The engine tells the events of the last second anew."""
    engine.die("a", 4)
    engine.start("id-a-1")
    events = []
    context = Context(Path("/x"), RunRef("r", "s"), emit=events.append)
    assert follow.follow(context, {"services": ["a"], "wait_s": 0.3}) == CALM
    assert engine.listening.acquire(timeout=0) and events == []


@pytest.mark.parametrize(
    ("action", "state", "health", "kind"),
    [
        pytest.param("health_status: unhealthy", "", "unhealthy", "service_unhealthy", id="unhealthy"),
        pytest.param("pause", "paused", "", "service_unhealthy", id="F30-paused"),
        pytest.param("die", "restarting", "", "service_flapping", id="F38-flapping"),
    ],
)
def test_sickness_is_told(asking, engine, action, state, health, kind):
    answer = asking(lambda: engine.turn("a", action, state, health))
    assert ([one["error_kind"] for one in answer["unhealthy"]], answer["died"]) == ([kind], [])


def test_a_container_that_vanished_is_dead(asking, engine):
    assert asking(lambda: engine.vanish("a"))["died"][0]["error_kind"] == "container_gone"


def test_a_list_that_lags_behind_the_events_hides_nothing(asking, engine, monkeypatch):
    running = engine.containers([])
    monkeypatch.setattr(engine, "containers", lambda _labels, _timeout=None: running)
    assert asking(lambda: engine.die("a", 4))["died"][0]["exit_code"] == 4


def test_what_is_so_already_is_told_without_waiting_for_an_event(engine):
    engine.die("a", 4)
    answer = follow.follow(Context(Path("/x"), RunRef("r", "s")), {"services": ["a", "b"], "wait_s": LIMIT_S})
    assert [one["service"] for one in answer["died"]] == ["a"]
    assert engine.streams == []


@pytest.mark.parametrize(
    ("services", "known", "calm"),
    [(["a", "b"], ["b"], True), (["a"], [], True), (["b"], [], False)],
    ids=["known", "other-service", "wanted"],
)
def test_known_trouble_and_other_services_are_not_told(engine, services, known, calm):
    engine.die("b", 4)
    answer = follow.follow(
        Context(Path("/x"), RunRef("r", "s")), {"services": services, "known": known, "wait_s": 0.05}
    )
    assert (answer == CALM) is calm


@pytest.mark.parametrize(
    "act", [lambda box: box.put({"wake": True}), lambda box: box.close()], ids=["woken", "caller-gone"]
)
@pytest.mark.parametrize("services", [["a"], []], ids=["services", "nothing"])
def test_the_caller_can_have_its_answer_at_once(engine, services, act):
    box = Mailbox()
    box.put({"renew": True})
    context = Context(Path("/x"), RunRef("r", "s"), mailbox=box)
    timer = threading.Timer(0.05, act, [box])
    timer.start()
    began = Clock().monotonic()
    assert follow.follow(context, {"services": services, "wait_s": LIMIT_S}) == CALM
    assert Clock().monotonic() - began < LIMIT_S / 2
    timer.join()


def test_an_engine_that_does_not_answer_is_an_error(engine):
    engine.down = CellError("docker_daemon_down", "no engine answers")
    with pytest.raises(CellError, match="no engine answers"):
        follow.follow(Context(Path("/x"), RunRef("r", "s")), {"services": ["a"]})


HERE = f"9.{int(Clock().boottime() * os.sysconf('SC_CLK_TCK'))}"
BEFORE = "7.1"


@pytest.mark.parametrize(
    ("known", "after_s", "calm"),
    [
        pytest.param(BEFORE, 1.0, False, id="F29-started-by-another-engine-process"),
        pytest.param(BEFORE, -5.0, True, id="outlived-an-engine-that-was-started-again"),
        pytest.param(HERE, 1.0, True, id="same-engine-process"),
        pytest.param("", 1.0, True, id="could-not-be-told-before"),
    ],
)
def test_a_service_that_its_engine_has_started_again_has_died(engine, monkeypatch, known, after_s, calm):
    monkeypatch.setattr(lifetime, "life", lambda _path: HERE)
    engine.box("a").started = lifetime.began(HERE, Clock()) + after_s
    engine.box("b").started = lifetime.began(HERE, Clock()) + 1.0
    question = {"services": ["a"], "wait_s": 0.05, "life": known}
    answer = follow.follow(Context(Path("/x"), RunRef("r", "s")), question)
    told = [(one["service"], one["error_kind"], one["detail"]) for one in answer["unhealthy"]]
    assert told == ([] if calm else [("a", "service_died", "container p-a-1 was started again with its engine")])
    assert answer["died"] == []


def test_a_container_that_goes_while_it_is_looked_at_is_left_to_the_next_look(engine, monkeypatch):
    monkeypatch.setattr(lifetime, "life", lambda _path: HERE)
    shown = engine.containers([])
    monkeypatch.setattr(engine, "containers", lambda _labels, _timeout=None: shown)
    engine.deaf = True
    engine.vanish("a")
    question = {"services": ["a"], "wait_s": 0.05, "life": BEFORE}
    assert follow.follow(Context(Path("/x"), RunRef("r", "s")), question) == CALM


def test_the_watch_is_the_same_without_a_unit(engine):
    engine.die("a", 4)
    answer = follow.watch(Context(Path("/x"), RunRef("r", "s")), {"services": ["a"], "wait_s": 0})
    assert [one["service"] for one in answer.pop("died")] == ["a"]
    assert answer == {"unhealthy": []}


def test_many_questions_leave_no_thread_and_no_descriptor_behind(asking, engine):
    asking(lambda: engine.turn("a", "pause", "paused"))
    before = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        engine.box("a").state = "running"
        asking(lambda: engine.turn("a", "pause", "paused"))
        engine.box("a").state = "running"
        box = Mailbox()
        asking(lambda box=box: box.close(), mailbox=box)
    assert (set(threading.enumerate()), len(os.listdir("/proc/self/fd"))) == before


def test_the_services_are_looked_at_again_when_the_unit_has_ended(engine, monkeypatch):
    """Nothing tells of this death but the list, which is asked every two seconds otherwise."""

    class Ending:
        def __init__(self, _context, _args):
            self.looks = 0

        def ended(self):
            self.looks += 1
            if self.looks == 2:
                engine.deaf = True
                engine.die("a", 4)
            return self.looks == 2

        def new(self):
            return self.looks == 2

        def answer(self):
            return {"state": "exited"}

        def close(self):
            pass

    monkeypatch.setattr(follow, "Tail", Ending)
    answer = follow.follow(
        Context(Path("/x"), RunRef("r", "s")), {"name": "test", "services": ["a"], "wait_s": LIMIT_S}
    )
    assert [one["service"] for one in answer["died"]] == ["a"]


# -- a unit: the program as it is really run ----------------------------------------------------------------------


def test_output_and_end_of_a_unit_are_told_as_they_come(cell):
    cell.start("sh", "-c", "mkfifo go; echo one; read line < go; echo two; exit 3")
    first = cell.call("follow", name="test", wait_s=LIMIT_S)
    assert base64.b64decode(first["unit"]["log_b64"]) == b"one\n"
    assert (first["unit"]["state"], first["died"], first["unhealthy"]) == ("running", [], [])
    question = cell.begin("follow", name="test", offset=4, wait_s=LIMIT_S)
    (cell.case_dir / "work" / "go").write_text("\n")
    log, unit = b"", cell.answer(question)["result"]["unit"]
    while True:
        log += base64.b64decode(unit["log_b64"])
        if unit["state"] != "running" and unit["offset"] == unit["log_bytes"]:
            break
        unit = cell.call("follow", name="test", offset=unit["offset"], wait_s=LIMIT_S)["unit"]
    assert (log, unit["state"], unit["exit_code"]) == (b"two\n", "exited", 3)


def test_a_unit_that_was_never_started_is_an_error(cell):
    assert cell.fail("follow", name="test", wait_s=1)["kind"] == "artifact_missing"
