# SPDX-License-Identifier: MIT
"""A node goes on to be a run's while its controller says that it lives, whatever is worked on meanwhile."""

from __future__ import annotations

import json
import os
import queue
import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease, main, serve
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef

LIMIT_S = 10.0
ALIVE = {"alive": True}


def asked(number, epoch):
    return {"id": str(number), "op": "work", "run": {"id": "r", "epoch": epoch}}


@pytest.fixture
def desk():
    """A program that serves: (say a line to it, the runs that were kept, let the work in hand end)."""
    out, into = os.pipe()
    kept: queue.Queue = queue.Queue()
    answered: queue.Queue = queue.Queue()
    go_on = threading.Semaphore(0)

    def work(*_):
        assert go_on.acquire(timeout=LIMIT_S)
        return {}

    def keep(request):
        kept.put(request["run"]["epoch"])

    def answer(**line):
        answered.put(line)

    with open(out, "rb") as stdin, open(into, "wb", buffering=0) as stdout:
        thread = threading.Thread(target=serve.serve, args=(stdin, answer, work, keep))
        thread.start()

        def say(line):
            stdout.write(json.dumps(line).encode() + b"\n")

        def end_work():
            go_on.release()
            return answered.get(timeout=LIMIT_S)

        yield say, kept, end_work
        stdout.close()
        thread.join(LIMIT_S)


def test_a_sign_of_life_keeps_the_run_that_asked_last_during_its_work_and_after_it(desk):
    say, kept, end_work = desk
    say(ALIVE)  # nobody holds anything yet
    say(asked(1, None))
    end_work()
    say(ALIVE)  # it asked for the node, and has no epoch
    say(asked(2, 7))
    end_work()
    say(ALIVE)
    assert kept.get(timeout=LIMIT_S) == 7
    say(asked(3, 8))
    say(asked(4, 9))  # it waits its turn
    say(ALIVE)
    assert kept.get(timeout=LIMIT_S) in (7, 8)  # 7 where the work has not been begun yet
    end_work()
    end_work()
    say(ALIVE)
    assert kept.get(timeout=LIMIT_S) == 9 and kept.empty()


@pytest.mark.parametrize(
    ("epoch", "released", "renewed"),
    [
        pytest.param(0, False, True, id="held"),
        pytest.param(0, True, False, id="given-back"),
        pytest.param(-1, False, False, id="another-controller-has-taken-the-run-on"),
    ],
)
def test_the_lease_of_a_request_is_renewed(tmp_path, epoch, released, renewed):
    context = Context(tmp_path, RunRef("r", "s"), "me")
    taken = lease.op_lease(context, {"action": "acquire", "ttl_s": 0.1})
    held = Context(tmp_path, RunRef("r", "s", epoch=taken["epoch"]), "me")
    if released:
        lease.op_lease(held, {"action": "release"})
    run = {"id": "r", "scenario": "s", "case": "", "epoch": taken["epoch"] + epoch}
    before = (tmp_path / lease.FILE).read_bytes()
    end = context.clock.monotonic() + LIMIT_S
    while (tmp_path / lease.FILE).read_bytes() == before and context.clock.monotonic() < end:
        main.keep({"op": "work", "root": str(tmp_path), "run": run, "args": {}, "owner": "me"})
        if not renewed and context.clock.monotonic() > end - LIMIT_S + 0.2:
            break
    assert ((tmp_path / lease.FILE).read_bytes() != before) is renewed


@pytest.mark.parametrize("root", ["/nonexistent", 5], ids=["no-folder", "no-path"])
def test_a_sign_of_life_never_fails(root):
    main.keep({"op": "work", "root": root, "run": {"id": "r", "scenario": "s", "case": "", "epoch": 1}, "args": {}})
