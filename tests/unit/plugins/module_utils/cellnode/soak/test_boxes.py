# SPDX-License-Identifier: MIT
"""Which container a service is: from the engine's list and events, and as it was last known while the engine is away."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import boxes
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.boxes import Boxes
from fake_engine import FakeEngine

DOWN = CellError("docker_timeout", "GET /containers/json: the engine did not answer in time")


@pytest.fixture
def engine():
    engine = FakeEngine()
    engine.root_dir = "/var/lib/engine"
    engine.add("a", "b")
    for name in ("a", "b"):
        engine.start(engine.box(name).id)
    return engine


@pytest.fixture
def watch(engine, eventually, monkeypatch):
    """Return a function that begins to watch services and waits until all of them are known."""
    made = []
    monkeypatch.setattr(boxes, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(boxes, "LAST_PAUSE_S", 0.02)

    def begin(*services, recorded=()):
        made.append(Boxes(engine, ["x"], services, frozenset(recorded), Clock()))
        made[-1].start()
        eventually(lambda: len(made[-1].known) == len(services), "all services")
        return made[-1]

    yield begin
    for one in made:
        one.close()
        engine.break_streams()
        one.join(10)
        assert not one.is_alive()


def test_containers_are_known_by_their_service(engine, watch, eventually):
    found = watch("a", "b", "c", recorded=["b"])
    assert found.known["a"].id == engine.box("a").id
    states = {name: box.state for name, box in found.known.items()}
    assert states == {"a": "running", "b": "running", "c": "gone"}
    assert found.known["a"].started == pytest.approx(engine.box("a").started, abs=1e-3)
    assert {name: bool(box.record) for name, box in found.known.items()} == {"a": False, "b": True, "c": False}
    eventually(lambda: found.fault == "" and found.engine_root == "/var/lib/engine", "the engine's root")


def test_f30_a_death_and_a_new_start_are_known_by_their_events(engine, watch, eventually):
    """F30"""
    found = watch("a", "b")
    assert engine.listening.acquire(timeout=20)
    engine.die("a")
    eventually(lambda: found.known["a"].state == "exited", "the death")
    assert found.restarts == {"a": 0, "b": 0}
    engine.start(engine.box("a").id)
    eventually(lambda: found.known["a"].state == "running", "the new start")
    assert found.restarts == {"a": 1, "b": 0}


def test_a_restart_within_one_event_counts(engine, watch, eventually):
    found = watch("a")
    assert engine.listening.acquire(timeout=20)
    engine.restart(engine.box("a").id)
    eventually(lambda: found.restarts["a"] == 1, "the restart")


def test_f65_a_container_that_is_made_anew_is_another_start(engine, watch, eventually):
    """F65"""
    found = watch("a")
    assert engine.listening.acquire(timeout=20)
    engine.vanish("a")
    eventually(lambda: found.known["a"].state == "gone", "its end")
    engine.add("a")
    engine.start(engine.box("a").id)
    eventually(lambda: found.known["a"].state == "running", "the other one")
    assert found.restarts["a"] == 1


def test_of_several_containers_the_one_that_runs_stands_for_the_service(engine, watch):
    engine.add("a")
    assert watch("a").known["a"].id == engine.box("a").id


def test_f29_while_the_engine_is_away_the_last_that_was_known_stays(engine, watch, eventually):
    """F29"""
    found = watch("a")
    assert engine.listening.acquire(timeout=20)
    engine.down = DOWN
    engine.break_streams()
    eventually(lambda: found.fault == DOWN.message, "its silence")
    assert found.known["a"].state == "running"
    engine.deaf = True
    engine.down = None
    engine.box("a").state = "exited"
    eventually(lambda: found.known["a"].state == "exited" and not found.fault, "what happened meanwhile")


def test_a_container_that_is_doubted_is_inspected_again(engine, watch, eventually):
    found = watch("a")
    assert engine.listening.acquire(timeout=20)
    engine.deaf = True
    engine.restart(engine.box("a").id)  # the list shows what it showed before
    found.doubt(found.known["a"])
    engine.break_streams()
    eventually(lambda: found.restarts["a"] == 1, "the restart")


def test_an_engine_that_was_never_there_is_a_fault(engine, eventually):
    engine.down = DOWN
    found = Boxes(engine, ["x"], ["a"], frozenset(), Clock())
    assert found.fault == "the engine has not answered yet"
    found.start()
    eventually(lambda: found.fault == DOWN.message, "the fault")
    found.close()
    assert found.known == {}


def test_an_answer_that_nobody_expects_is_a_fault(engine, eventually, monkeypatch):
    monkeypatch.setattr(engine, "containers", lambda labels, timeout=None: [{"odd": True}])
    found = Boxes(engine, ["x"], ["a"], frozenset(), Clock())
    found.start()
    eventually(lambda: found.fault.startswith("KeyError"), "the fault")
    found.close()
