# SPDX-License-Identifier: MIT
"""Messages come in order, wake whoever listens, and are no more once the mailbox is closed."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.mailbox import Mailbox, closed


def test_messages_are_taken_once_and_in_order():
    box = Mailbox()
    for number in range(3):
        box.put({"n": number})
    assert [message["n"] for message in box.take()] == [0, 1, 2]
    assert (box.take(), box.closed) == ([], False)


@pytest.mark.parametrize("act", [lambda box: box.put({}), lambda box: box.close()], ids=["message", "closing"])
@pytest.mark.parametrize("before", [True, False], ids=["before-listening", "after-listening"])
def test_a_listener_is_woken(act, before):
    box, event = Mailbox(), threading.Event()
    if before:
        act(box)
    box.listen(event)
    if not before:
        assert not event.is_set()
        act(box)
    assert event.is_set()


def test_a_lone_request_has_a_closed_mailbox():
    assert closed().closed


def test_no_message_of_many_threads_is_lost():
    box, senders, each = Mailbox(), 8, 200
    crew = [threading.Thread(target=lambda: [box.put({}) for _ in range(each)]) for _ in range(senders)]
    for one in crew:
        one.start()
    taken = 0
    while taken < senders * each:
        taken += len(box.take())
    for one in crew:
        one.join()
    assert (taken, box.take()) == (senders * each, [])
