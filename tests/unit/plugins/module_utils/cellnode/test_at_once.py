# SPDX-License-Identifier: MIT
"""Several things are worked on at once, no more of them than allowed, and an error ends it."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.at_once import at_once

LIMIT_S = 10


@pytest.mark.parametrize(("items", "most"), [("", 3), ("a", 3), ("abc", 3), ("abcdefgh", 3), ("abc", 1)])
def test_results_come_in_the_order_of_the_items(items, most):
    assert at_once(str.upper, items, most) == list(items.upper())


@pytest.mark.parametrize("most", [1, 2, 4])
def test_so_many_are_worked_on_at_a_time_and_no_more(most):
    all_in = threading.Barrier(most, timeout=LIMIT_S)
    lock, now, peak = threading.Lock(), 0, 0

    def work(_item: int) -> None:
        nonlocal now, peak
        with lock:
            now += 1
            peak = max(peak, now)
        all_in.wait()
        with lock:
            now -= 1

    at_once(work, range(most * 2), most)
    assert peak == most


def test_the_first_error_by_order_is_raised_when_nothing_is_worked_on_any_more():
    both_in = threading.Barrier(2, timeout=LIMIT_S)
    second_failed = threading.Event()

    def work(name: str) -> None:
        both_in.wait()
        if name == "second":
            second_failed.set()
        assert second_failed.wait(LIMIT_S)
        raise ValueError(name)

    with pytest.raises(ValueError, match="first"):
        at_once(work, ["first", "second"], 2)


def test_what_was_not_begun_before_an_error_is_not_done():
    done = []

    def work(item: int) -> None:
        done.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        at_once(work, range(5), 1)
    assert done == [0]


def test_f13_a_thread_that_cannot_be_started_is_an_error_after_the_others_have_ended(monkeypatch):
    start, started = threading.Thread.start, []

    def once(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", once)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        at_once(str, range(9), 3)
    assert not started[0].is_alive()
