# SPDX-License-Identifier: MIT
"""Probes come at the pace of the container's age, at most so many at once, and end when they are told to."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import prober
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.prober import Prober
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.probes import Answer


@pytest.mark.parametrize(
    ("kind", "age", "took", "interval", "expected"),
    [
        pytest.param("http", 0.0, 0.0, 60.0, 0.020, id="just-started"),
        pytest.param("http", 4.0, 0.001, 60.0, 0.020, id="young"),
        pytest.param("http", 20.0, 0.001, 60.0, 0.100, id="a-two-hundredth-of-its-age"),
        pytest.param("tcp", 600.0, 0.001, 60.0, 0.250, id="old"),
        pytest.param("http", 600.0, 0.001, 0.05, 0.050, id="interval-shortens"),
        pytest.param("http", 0.0, 0.001, 0.5, 0.020, id="interval-never-lengthens"),
        pytest.param("http", 0.0, 0.06, 60.0, 0.060, id="as-long-as-it-took"),
        pytest.param("http", 0.0, 1.0, 60.0, 0.250, id="waiting-for-an-answer-costs-nothing"),
        pytest.param("command", 0.0, 5.0, 60.0, 5.0, id="commands-are-dear"),
        pytest.param("container", 0.0, 0.5, 60.0, 0.5, id="its-own-health-command-is-dear"),
        pytest.param("log", 600.0, 0.1, 60.0, 0.250, id="old-and-dear"),
    ],
)
def test_the_pause_fits_the_age_and_the_last_probe(kind, age, took, interval, expected):
    assert prober.pause_s(kind, age, took, interval) == pytest.approx(expected)


def make(ask, tell=lambda _detail: None, most=0, gate=None):
    return Prober(ask, lambda _took: 0.0, tell, Clock(), gate or prober.gate(most))


@pytest.mark.parametrize(
    "fault", [CellError("container_gone", "gone"), OSError("no socket"), ValueError("no frame")], ids=repr
)
def test_a_fault_in_a_probe_is_a_reason_to_ask_again(fault):
    answers = [fault, Answer(True, "up")]

    def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    told = []
    make(ask, told.append).run()
    assert (told, answers) == (["up"], [])


class Crowd:
    """Probes that stay until so many are asking at once, or for good when they are told to."""

    def __init__(self, size):
        self.lock, self.inside, self.most = threading.Lock(), 0, 0
        self.full = threading.Semaphore(0)
        self.go = threading.Event()
        self.size = size

    def ask(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside == self.size:
                self.full.release()
        self.go.wait(10)
        with self.lock:
            self.inside -= 1
        return Answer(True)


@pytest.mark.parametrize(("most", "probers", "at_once"), [(2, 6, 2), (0, 6, 6), (9, 6, 6)])
def test_at_most_so_many_probes_ask_at_once(most, probers, at_once):
    crowd, gate = Crowd(at_once), prober.gate(most)
    crew = [make(crowd.ask, gate=gate) for _ in range(probers)]
    for one in crew:
        one.start()
    assert crowd.full.acquire(timeout=10)
    crowd.go.set()
    for one in crew:
        one.join(10)
    assert (crowd.most, [one.answer.ok for one in crew]) == (at_once, [True] * probers)


def test_a_pause_holds_no_place():
    gate = prober.gate(1)
    paused = threading.Event()

    def pause(_took):
        paused.set()
        return 60.0

    waiting = Prober(lambda: Answer(False), pause, lambda _detail: None, Clock(), gate)
    waiting.start()
    assert paused.wait(10)
    make(lambda: Answer(True), gate=gate).run()
    waiting.done.set()
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_prober_that_is_stopped_while_it_waits_for_its_turn_does_not_ask():
    gate = prober.gate(1)
    asked = []
    with gate:
        one = make(lambda: asked.append(1) or Answer(True), gate=gate)
        one.start()
        one.done.set()
    one.join(10)
    assert (asked, one.is_alive()) == ([], False)
