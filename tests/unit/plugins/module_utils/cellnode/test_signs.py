# SPDX-License-Identifier: MIT
"""The engine's events are told as they come, its list now and then, and both end when they are told to."""

from __future__ import annotations

import queue
import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import signs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from fake_engine import FakeEngine

LIMIT_S = 10.0
LABELS = {"name": "p-a-1", "com.docker.compose.service": "a"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(
            {
                "Action": "die",
                "Actor": {"ID": "c", "Attributes": {**LABELS, "exitCode": "137"}},
                "timeNano": 2_500_000_000,
            },
            signs.Sign("c", "p-a-1", "a", "die", 2.5, 137),
            id="death",
        ),
        pytest.param(
            {"Action": "health_status: unhealthy", "Actor": {"ID": "c", "Attributes": LABELS}, "timeNano": 10**9},
            signs.Sign("c", "p-a-1", "a", "health_status", 1.0),
            id="health",
        ),
        pytest.param(
            {"status": "destroy", "id": "c", "time": 3}, signs.Sign("c", "", "", "destroy", 3.0), id="old-engine"
        ),
    ],
)
def test_an_event_becomes_a_sign(event, expected):
    assert signs.parse(event) == expected


@pytest.fixture
def engine():
    made = FakeEngine()
    made.add("a", "b")
    return made


@pytest.fixture
def heard(engine):
    """What the stream tells, as a queue."""
    told: queue.Queue = queue.Queue()
    stream = signs.Signs(engine, [], told.put, Clock())
    stream.start()
    assert engine.listening.acquire(timeout=LIMIT_S)
    yield told
    stream.close()
    assert not stream.is_alive()


def next_of(told):
    sign = told.get(timeout=LIMIT_S)
    return sign.service, sign.action, sign.exit_code, sign.oom


def test_a_death_tells_of_memory_if_the_engine_did_and_only_that_of_the_same_container(engine, heard):
    engine.start("id-a-1")
    engine.start("id-b-1")
    engine.die("a", 137, oom=True)
    engine.die("b", 137)
    assert [next_of(heard), next_of(heard)] == [("a", "die", 137, True), ("b", "die", 137, False)]
    engine.start("id-a-1")
    engine.die("a", 1)
    assert next_of(heard) == ("a", "die", 1, False)


def test_what_happens_while_the_stream_is_broken_is_told_afterwards(engine, heard):
    engine.break_streams()
    engine.die("a", 2)
    engine.down = CellError("docker_daemon_down", "restarting")
    engine.die("b", 3)
    engine.down = None
    found = {next_of(heard), next_of(heard)}
    assert found == {("a", "die", 2, False), ("b", "die", 3, False)}


def test_a_stream_that_is_closed_before_it_began_does_not_begin(engine):
    stream = signs.Signs(engine, [], lambda _sign: None, Clock())
    stream._over.set()
    stream.start()
    stream.close()
    assert (stream.is_alive(), engine.streams) == (False, [])


def test_an_engine_that_is_silent_for_a_while_is_forgiven_and_then_is_not(engine):
    now = [0.0]
    looks: list = []
    faults: list = []
    net = signs.Net(engine, [], looks.append, faults.append, Clock(monotonic=lambda: now[0]))
    down = CellError("docker_timeout", "no answer")
    for moment, fault in ((0, down), (5, down), (9, None), (12, down), (21, down), (22, down)):
        now[0], engine.down = float(moment), fault
        net._look()
        assert len(faults) == (moment == 22), moment
    assert ([len(found) for found in looks], faults) == ([2], [down])


def test_the_net_ends_when_it_is_told_to(engine, monkeypatch):
    monkeypatch.setattr(signs, "LOOK_S", 0.01)
    seen = threading.Event()
    net = signs.Net(engine, [], lambda _found: seen.set(), lambda _fault: None, Clock())
    net.start()
    assert seen.wait(LIMIT_S)
    net.close()
    assert not net.is_alive()
