# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import threading
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import pace


class Clock:
    """A clock that moves by waiting, and by the answers of a node."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        assert seconds >= 0
        self.now += seconds
        return True


PACES = [
    pytest.param(3, 5.0, [0.3, 0.3, 0.3], [(1, 0), (2, 5), (3, 10)], id="steady"),
    pytest.param(4, 5.0, [7.0, 0.1, 0.1], [(1, 0), (3, 10), (4, 15)], id="a-late-answer-costs-its-rounds"),
    pytest.param(3, 1.0, [30.0, 0.1], [(1, 0), (3, 30)], id="the-last-round-is-never-left-out"),
    pytest.param(1, 5.0, [0.1], [(1, 0)], id="once"),
]


@pytest.mark.parametrize(("count", "interval_s", "answers_s", "wanted"), PACES)
def test_rounds_are_begun_when_they_are_due(count, interval_s, answers_s, wanted):
    clock, found = Clock(), []
    for number, answer_s in zip(pace.rounds(count, interval_s, clock.wait, clock), answers_s, strict=True):
        found.append((number, clock.now - 100.0))
        clock.now += answer_s
    assert found == wanted


def test_nought_is_without_end_until_nobody_waits_any_more():
    clock = Clock()
    numbers = list(pace.rounds(0, 1.0, lambda seconds: clock.wait(seconds) and clock.now < 1100, clock))
    assert numbers == list(range(1, 1001))


def test_the_wait_ends_early_when_the_folder_is_taken_away(tmp_path):
    folder = tmp_path / "answers"
    folder.mkdir()
    audience, began = pace.Audience(folder), time.monotonic()
    threading.Timer(0.05, folder.rmdir).start()
    assert audience.wait(60) is False and time.monotonic() - began < 10


def test_the_wait_ends_early_when_the_parent_is_gone(monkeypatch):
    audience = pace.Audience(None)
    assert audience.wait(0) is True
    another = os.getppid() + 1  # these tests themselves may have 1, whose parent is gone
    monkeypatch.setattr(os, "getppid", lambda: another)
    assert audience.wait(60) is False


@pytest.mark.parametrize(
    ("count", "interval_s", "words"),
    [
        (0, 1, ""),
        (5, 3600, ""),
        (-1, 5, "rounds is -1"),
        (1, 0, "interval_s is 0; allowed: 1..3600"),
        (1, 3601, "3601"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(count, interval_s, words):
    found = pace.refused(count, interval_s)
    assert bool(found) == bool(words) and words in found
