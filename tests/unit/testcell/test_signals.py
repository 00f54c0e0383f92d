# SPDX-License-Identifier: MIT

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from testcell import signals


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def child(code: str, *, session: bool = True) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=session)
    assert process.stdout is not None
    process.stdout.readline()
    return process


WAIT = "import signal; signal.signal(2, signal.SIG_DFL); print('up', flush=True); signal.pause()"


@pytest.mark.parametrize(
    ("number", "passed_on"),
    [
        pytest.param(signal.SIGTERM, signal.SIGTERM, id="F09-TERM"),
        pytest.param(signal.SIGINT, signal.SIGINT, id="F09-INT"),
        pytest.param(signal.SIGHUP, signal.SIGTERM, id="F09-HUP-that-Ansible-does-not-mind"),
    ],
)
def test_the_first_signal_reaches_the_child_s_group_once(number: int, passed_on: int) -> None:
    before = signals.children(os.getpid())
    process = child(WAIT)
    clock = Clock()
    with process, signals.Stopper(lambda: signals.session_leader(os.getpid(), before), 20.0, clock) as stopper:
        os.kill(os.getpid(), number)
        assert process.wait(timeout=10) == -passed_on
        assert stopper.signal == number and not stopper.overdue()
        clock.now += 20
        assert stopper.overdue()


def test_a_second_signal_shortens_the_wait() -> None:
    with signals.Stopper(lambda: None, 20.0, Clock()) as stopper:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stopper.overdue()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopper.overdue() and stopper.signal == signal.SIGINT and len(stopper.received) == 2


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in signals.HANDLED]
    with signals.Stopper(lambda: None, 1.0, Clock()):
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(number) for number in signals.HANDLED] == before


def test_only_a_new_child_with_a_session_of_its_own_is_found() -> None:
    old = child(WAIT)
    before = signals.children(os.getpid())
    plain, leader = child(WAIT, session=False), child(WAIT)
    with old, plain, leader:
        assert signals.session_leader(os.getpid(), before) == leader.pid
        for process in (old, plain, leader):
            process.kill()


def test_kill_reaches_workers_in_sessions_of_their_own() -> None:
    """Ansible's workers call setsid, so that killing the group of their parent would leave them."""
    code = (
        "import os, signal, subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True)\n"
        "print(p.pid, flush=True)\n"
        "signal.pause()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    with process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert signals.descendants(process.pid) == [worker]
        signals.kill_tree(process.pid)
        assert process.wait(timeout=10) == -signal.SIGKILL
    assert signals._state(worker) in ("", "Z")


def test_what_a_worker_leaves_of_its_session_is_found_and_killed() -> None:
    """The shell of a task goes on in the session of a worker that has died."""
    worker = (
        "import subprocess, sys\n"
        "code = 'import signal; signal.pause()'\n"
        "print(subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)\n"
    )
    code = (
        "import signal, subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-c', sys.argv[1]], start_new_session=True, capture_output=True, text=True)\n"
        "print(done.stdout, flush=True, end='')\n"
        "signal.pause()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, worker], stdout=subprocess.PIPE, start_new_session=True)
    with process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
        session = os.getsid(orphan)
        assert session != process.pid
        assert signals.kill_sessions({session, process.pid}) == sorted([process.pid, orphan])
    assert signals._state(orphan) in ("", "Z")
