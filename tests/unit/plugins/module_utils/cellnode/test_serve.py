# SPDX-License-Identifier: MIT
"""While nobody asks for anything other work is done, piece by piece, and a request never waits for more than one."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import main, serve
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.mailbox import closed

LIMIT = 1000


def request(name: str) -> bytes:
    return json.dumps({"id": name, "op": "x"}).encode() + b"\n"


@pytest.mark.parametrize("pieces", [1, 3])
def test_other_work_is_left_as_soon_as_a_request_has_come(pieces):
    desk, done = serve.Desk(), 0

    def piece() -> bool:
        nonlocal done
        done += 1
        if done == pieces:
            desk.take_in(request("one"))
        return done < LIMIT

    item = desk.next(piece)
    assert item is not None
    assert (item[0]["id"], done) == ("one", pieces)


def test_a_request_that_has_come_waits_for_no_other_work():
    desk = serve.Desk()
    desk.take_in(request("one"))
    assert desk.next(lambda: pytest.fail("other work was begun")) is not None


def test_where_there_is_no_other_work_a_request_is_waited_for():
    desk, looked = serve.Desk(), threading.Event()

    def nothing() -> bool:
        looked.set()
        return False

    def late() -> None:
        assert looked.wait(10)
        desk.take_in(request("one"))

    caller = threading.Thread(target=late)
    caller.start()
    item = desk.next(nothing)
    caller.join()
    assert item is not None
    assert item[0]["id"] == "one"


@pytest.fixture
def ahead(monkeypatch) -> Callable[..., tuple[main.Ahead, list[str]]]:
    monkeypatch.setattr(main, "answer_to", lambda request, _emit, _mailbox: {"op": request["op"]})

    def made(broken: str = "") -> tuple[main.Ahead, list[str]]:
        loaded: list[str] = []

        def load(name: str, _package: str | None) -> None:
            loaded.append(name)
            if name == broken:
                raise OSError(24, "Too many open files")

        return main.Ahead(load), loaded

    return made


def asked(reading: main.Ahead, op: str) -> None:
    assert reading.work({"op": op}, lambda _event: None, closed()) == {"op": op}


def test_nothing_is_read_ahead_for_one_who_only_looks(ahead):
    reading, loaded = ahead()
    for op in ("health", "lease", "facts"):
        asked(reading, op)
        assert not reading.read()
    assert loaded == []


@pytest.mark.parametrize("broken", ["", ".deploy"])
def test_later_operations_are_read_one_at_a_time_whether_each_can_be_read_or_not(ahead, broken):
    reading, loaded = ahead(broken)
    asked(reading, main.LAST_LOOK)
    for count in range(1, len(main.LATER) + 1):
        assert reading.read()
        assert len(loaded) == count
    assert not reading.read()
    assert loaded == [f".{name}" for name in main.LATER]


def test_what_is_read_ahead_is_there_and_has_operations():
    assert main.LAST_LOOK in main.MODULES
    for name in main.LATER:
        assert importlib.import_module(f".{name}", main.__package__).OPS
