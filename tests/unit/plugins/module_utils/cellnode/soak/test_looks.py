# SPDX-License-Identifier: MIT
"""Questions in threads of their own: each answer is taken once, and silence is told as such."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.looks import Faults, Look


class Asked:
    """Answers in turn; the last one stays. An exception is raised, an event is waited for."""

    def __init__(self, *answers):
        self.answers, self.count = list(answers), 0

    def __call__(self):
        answer = self.answers[min(self.count, len(self.answers) - 1)]
        self.count += 1
        if isinstance(answer, threading.Event):
            answer.wait(60)
        elif isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def start():
    """Return a function that starts a look, whose clock the test moves; all are closed at the end."""
    made = []

    def begin(ask, every_s=0.001, clock=None):
        import time

        made.append(Look("x", every_s, ask, clock or time.monotonic))
        made[-1].start()
        return made[-1]

    yield begin
    for one in made:
        one.close()


def test_an_answer_is_taken_once(start, eventually):
    look = start(Asked("news"), every_s=3600)
    assert eventually(look.take, "an answer") == "news"
    assert look.take() is None and look.fault == ""


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (CellError("docker_timeout", "the engine did not answer in time"), "the engine did not answer in time"),
        (OSError(5, "Input/output error"), "OSError: [Errno 5] Input/output error"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_what_a_question_raises_is_told_until_there_is_an_answer(start, eventually, raised, told):
    held = threading.Event()
    look = start(Asked(raised, held, "well"))
    assert eventually(lambda: look.fault, "the fault") == told
    held.set()
    eventually(lambda: look.take() == "well", "the next answer")
    eventually(lambda: look.fault == "", "no fault any more")


def test_a_question_without_an_answer_is_told_as_silence(start, eventually):
    now, held = [0.0], threading.Event()
    asked = Asked(held)
    look = start(asked, every_s=5.0, clock=lambda: now[0])
    eventually(lambda: asked.count, "the question")
    assert look.fault == ""
    now[0] = 10.1
    assert look.fault == "it does not answer"
    held.set()


def test_a_fault_is_new_once():
    faults = Faults()
    asked = [
        {"gpus": "lost"},
        {"gpus": "lost", "engine": "down"},
        {"gpus": "other", "engine": "down"},
        {},
        {"gpus": "other"},
    ]
    told = [faults.new(one) for one in asked]
    assert told == [{"gpus": "lost"}, {"engine": "down"}, {"gpus": "other"}, {}, {"gpus": "other"}]
