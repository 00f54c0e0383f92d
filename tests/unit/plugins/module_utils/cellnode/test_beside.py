# SPDX-License-Identifier: MIT
from __future__ import annotations

import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.beside import Beside


def test_work_is_done_in_order_while_the_caller_goes_on():
    beside, done, gate = Beside(), [], threading.Event()
    beside.start(lambda: done.append((gate.wait(20), 1)))
    assert done == []
    gate.set()
    beside.start(done.append, 2)
    beside.wait()
    assert done == [(True, 1), 2]
    beside.end()


def test_what_fails_is_raised_at_the_next_wait_and_work_goes_on():
    beside, done = Beside(), []
    beside.start(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        beside.start(done.append, 1)
    beside.start(done.append, 2)
    beside.wait()
    assert done == [2]
    beside.end()


def test_its_thread_ends_with_it():
    before = threading.active_count()
    beside = Beside()
    beside.start(lambda: 1 // 0)
    assert threading.active_count() == before + 1
    beside.end()
    beside.end()
    assert threading.active_count() == before


def test_it_can_be_used_again_behind_its_end():
    beside, gate, done = Beside(), threading.Event(), []
    beside.start(done.append, 1)
    beside.end()
    beside.start(lambda: done.append(gate.wait(20)))
    assert done == [1]
    gate.set()
    beside.wait()
    assert done == [1, True]
    beside.end()
