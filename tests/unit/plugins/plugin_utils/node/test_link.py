# SPDX-License-Identifier: MIT

"""The link with real holders and real programs at its other end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.board import Board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import line, link, package

DEADLINE_S = 20.0
# The flags of a socket that takes connections, in /proc/net/unix.
LISTENS = "00010000"

# Answers each request with itself; `tell` waits for a message first, `die` ends, `noise` says other things before.
ECHO = """
import json, sys
for text in sys.stdin:
    try:
        asked = json.loads(text)
    except ValueError:
        continue
    if "id" not in asked:
        continue
    if asked["op"] == "die":
        print("last words", file=sys.stderr)
        sys.exit(7)
    if asked["op"] == "noise":
        print("motd\\n@cell not json\\n@cell [1]", flush=True)
    if asked["op"] == "tell":
        print("@cell " + json.dumps({"id": asked["id"], "event": "go on"}), flush=True)
        asked = {"id": asked["id"], "told": sys.stdin.readline()}
    print("@cell " + json.dumps({"id": asked["id"], "result": asked}), flush=True)
"""

Start = Callable[..., Path]
Join = Callable[[Path], link.Link]


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a holder for a Python program and gives its socket; all end with the test."""
    places: list[Path] = []

    def make(program: str = ECHO, owner: int = 0) -> Path:
        places.append(link.start([sys.executable, "-I", "-S", "-c", program], owner or os.getpid()))
        return places[-1]

    yield make
    for place in places:
        with suppress(link.LinkError):  # most have ended with their program by now
            link.Link(place).end()


@pytest.fixture
def join() -> Iterator[Join]:
    """Return a function that joins a link as a task does; all let go with the test."""
    ends: list[link.Link] = []

    def make(place: Path) -> link.Link:
        ends.append(link.Link(place))
        return ends[-1]

    yield make
    for end in ends:
        end.close()


def ask(end: link.Link, op: str, **more: Any) -> dict[str, Any]:
    *_, last = end.answers(end.send({"op": op, **more}))
    return last["result"]


def test_a_request_gets_its_own_answer(start: Start, join: Join) -> None:
    end = join(start())
    assert [ask(end, "echo", n=n)["n"] for n in range(3)] == [0, 1, 2]
    names = [end.send({"op": "echo", "n": n}) for n in range(3)]
    assert [next(iter(end.answers(name)))["result"]["n"] for name in names] == [0, 1, 2]


def test_what_is_no_answer_is_passed_over(start: Start, join: Join) -> None:
    assert ask(join(start()), "noise")["op"] == "noise"


def test_the_next_client_finds_the_link_whatever_the_one_before_left(start: Start, join: Join) -> None:
    place = start()
    first = join(place)
    first.send({"op": "tell"})
    first.close()
    half = join(place)
    half._socket.sendall(b'{"op": "echo", "id')
    half.close()
    assert ask(join(place), "echo", n=1)["n"] == 1


# Answers each request with the lines that came before it.
HEARS = """
import json, sys
lines = []
for text in sys.stdin:
    asked = json.loads(text)
    if "id" in asked:
        print("@cell " + json.dumps({"id": asked["id"], "result": lines}), flush=True)
    else:
        lines.append(asked)
"""
ALIVE = {"alive": True}


def heard(end: link.Link) -> list[dict[str, Any]]:
    *_, last = end.answers(end.send({"op": "what"}))
    found: list[dict[str, Any]] = last["result"]
    return found


def test_the_node_hears_that_the_controller_lives_whether_a_task_is_there_or_not(
    start: Start, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "BEAT_S", 0.05)
    end = join(start(HEARS))
    until(lambda: heard(end).count(ALIVE) > 1, "signs of life")
    assert all(one == ALIVE for one in heard(end))


def test_f10_a_frozen_controller_gives_no_sign_of_life(
    start: Start, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "BEAT_S", 0.05)
    with subprocess.Popen(["sleep", "60"]) as owner:
        end = join(start(HEARS, owner.pid))
        until(lambda: len(heard(end)) > 0, "signs of life")
        owner.send_signal(signal.SIGSTOP)
        until(lambda: " T " in Path(f"/proc/{owner.pid}/stat").read_text(), "it to stop")
        heard(end)
        before = len(heard(end))
        time.sleep(0.3)
        assert len(heard(end)) == before
        owner.send_signal(signal.SIGCONT)
        until(lambda: len(heard(end)) > before, "signs of life, again")
        owner.kill()


def test_no_sign_of_life_comes_in_the_middle_of_a_line(
    start: Start, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "BEAT_S", 0.01)
    end = join(start(HEARS))
    until(lambda: len(heard(end)) > 0, "signs of life")
    for piece in (b'{"half":', b" tru", b"e}\n"):
        end._socket.sendall(piece)
        time.sleep(0.05)
    assert {"half": True} in heard(end)


def test_an_operation_can_be_told_something_while_it_works(start: Start, join: Join) -> None:
    end = join(start())
    name = end.send({"op": "tell"})
    (event,) = end.heard(name, DEADLINE_S)
    assert event["event"] == "go on" and end.heard(name, 0.0) == []
    end.tell(name, {"start": ["a"]})
    (answer,) = end.answers(name)
    assert json.loads(answer["result"]["told"]) == {"to": name, "message": {"start": ["a"]}}


def test_the_end_of_the_program_is_told_with_status_and_last_words(start: Start, join: Join) -> None:
    place = start()
    end = join(place)
    with pytest.raises(link.LinkError) as caught:
        list(end.answers(end.send({"op": "die"})))
    assert (caught.value.code, str(caught.value)) == (7, "last words")
    until(lambda: not place.parent.exists(), "the socket's folder to go")
    with pytest.raises(link.LinkError, match="is gone"):
        link.Link(place)


@pytest.mark.parametrize("ended", [False, True], ids=["while it runs", "after it has ended"])
def test_a_program_that_is_not_there_says_so(start: Start, join: Join, tmp_path: Path, ended: bool) -> None:
    marker = tmp_path / "said"
    place = start(f"print('@cell-absent', flush=True)\nopen({str(marker)!r}, 'w').close()")
    if ended:
        until(marker.exists, "the program to say it")
    end = join(place)
    with pytest.raises(link.LinkError) as caught:
        list(end.answers(end.send({"op": "echo"})))
    assert "@cell-absent" in caught.value.said


def test_a_command_that_cannot_be_started_is_an_error() -> None:
    with pytest.raises(link.LinkError, match="did not start"):
        link.start(["/nonexistent/program"], os.getpid())


def test_f04_the_link_ends_with_its_controller(start: Start, join: Join, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as controller:
        marker = tmp_path / "ended"
        wait_for_end = f"import sys\nsys.stdin.read()\nopen({str(marker)!r}, 'w').close()\n"
        place = start(wait_for_end, controller.pid)
        controller.kill()
        until(lambda: marker.exists() and not place.parent.exists(), "the program and its holder to end")


def test_a_line_makes_a_new_link_where_the_old_one_has_died(tmp_path: Path) -> None:
    board, command = Board(tmp_path), [sys.executable, "-I", "-S", "-c", ECHO]
    sockets = []
    for task in range(4):
        way = line.Line(board, "node1", lambda: command, os.getpid())
        assert ask(way.link(), "echo", n=task)["n"] == task
        sockets.append((board.read("link.node1") or {})["socket"])
        way.lose()
        if task == 1:
            with line.ending_all(board):
                pass
    with line.ending_all(board):
        pass
    assert sockets[0] == sockets[1] != sockets[2] == sockets[3]


def echo_with(*words: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", ECHO, *words]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """Return the board of a run; its links end with the test."""
    made = Board(tmp_path / "board")
    yield made
    with line.ending_all(made):
        pass


def socket_of(board: Board) -> str:
    return str((board.read("link.node1") or {})["socket"])


@pytest.mark.parametrize(("begun", "taken"), [(["a"], True), (["b"], False)], ids=["the same", "another"])
def test_a_link_begun_ahead_is_taken_by_who_would_start_the_same_command(
    board: Board, begun: list[str], taken: bool
) -> None:
    line.dial(board, {"node1": echo_with(*begun)}, os.getpid())
    ahead = socket_of(board)
    for task in range(2):
        way = line.Line(board, "node1", lambda: echo_with("a"), os.getpid())
        assert ask(way.link(), "echo", n=task)["n"] == task
        way.lose()
    assert (socket_of(board) == ahead) is taken
    assert board.read("link.node1") == {"socket": socket_of(board)}, "what was asked once is not asked again"
    assert Path(ahead).exists() is taken, "what nobody wants has ended"


@pytest.mark.parametrize("command", [["/nonexistent/program"], [sys.executable, "-c", "raise SystemExit(3)"]])
def test_a_link_begun_ahead_that_came_to_nothing_is_begun_again(board: Board, command: list[str]) -> None:
    line.dial(board, {"node1": command}, os.getpid())
    ahead = socket_of(board)
    way = line.Line(board, "node1", lambda: command, os.getpid())
    for _ in range(2):
        with pytest.raises(link.LinkError) as caught:
            list(way.link().answers(way.link().send({"op": "echo"})))
        way.lose()
    assert caught.value.code == 3 or "did not start" in str(caught.value), "the second try tells why"
    assert not Path(ahead).exists()


def test_a_link_begun_ahead_that_nobody_asks_for_ends_with_the_run(board: Board) -> None:
    line.dial(board, {"node1": echo_with()}, os.getpid())
    with line.ending_all(board):
        pass
    assert not Path(socket_of(board)).parent.exists()


def test_where_nothing_can_be_begun_the_task_begins_it(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(link, "PLACE", "/nonexistent/folder")
        line.dial(board, {"node1": echo_with()}, os.getpid())
    assert board.read("link.node1") is None
    way = line.Line(board, "node1", echo_with, os.getpid())
    assert ask(way.link(), "echo", n=1)["n"] == 1
    way.lose()


def test_the_end_of_a_link_that_was_left_is_waited_for(tmp_path: Path) -> None:
    board, marker = Board(tmp_path / "board"), tmp_path / "ended"
    slow = f"import sys, time\nsys.stdin.read()\ntime.sleep(0.5)\nopen({str(marker)!r}, 'w').close()\n"
    way = line.Line(board, "node1", lambda: [sys.executable, "-I", "-S", "-c", slow], os.getpid())
    way.link()
    way.leave()
    place = Path((board.read("link.node1") or {})["socket"])
    until(lambda: not place.exists(), "the holder to take no more connections")
    assert not marker.exists()
    with line.ending_all(board):
        pass
    assert marker.exists() and not place.parent.exists()


def holder_of(place: Path) -> int:
    """Return the process that listens at a socket: it alone has the inode of the socket among its descriptors."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    (inode,) = (row[6] for row in rows if row[-1] == f"{place.parent}/unready" and row[3] == LISTENS)
    for link_of in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(link_of) == f"socket:[{inode}]":
                return int(link_of.parts[2])
    raise AssertionError(f"nobody listens at {place}")


def test_f15_a_socket_whose_holder_was_killed_is_replaced_and_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", ECHO]
    first, other = (line.Line(Board(tmp_path / name), "n", lambda: command, os.getpid()) for name in ("a", "b"))
    assert ask(first.link(), "echo", n=1)["n"] == 1
    dead = Path((Board(tmp_path / "a").read("link.n") or {})["socket"])
    assert len(str(dead)) < 104 and dead.parent.stat().st_mode & 0o777 == 0o700
    os.kill(holder_of(dead), signal.SIGKILL)
    until(lambda: link._is_dead(dead), "the holder to be gone")
    first.lose()
    for way in (first, other):
        assert ask(way.link(), "echo", n=2)["n"] == 2
    assert not dead.parent.exists(), "the dead socket is gone"
    assert ask(first.link(), "echo", n=3)["n"] == 3, "a living one is left alone"
    for way, name in ((first, "a"), (other, "b")):
        way.lose()
        with line.ending_all(Board(tmp_path / name)):
            pass


def test_the_program_of_the_nodes_serves_many_requests(start: Start, join: Join, tmp_path: Path) -> None:
    program = tmp_path / "cellnode.pyz"
    program.write_bytes(package.build("cellnode").content)
    runner = f"import runpy, sys; sys.argv = ['x', 'serve']; runpy.run_path({str(program)!r}, run_name='__main__')"
    end = join(start(runner))
    request = {"root": str(tmp_path / "root"), "run": None, "owner": "me", "check": False, "args": {"action": "show"}}
    for _ in range(3):
        assert ask(end, "lease", **request)["held"] is False
    (refused,) = end.answers(end.send({"op": "nonsense", **request}))
    assert refused["error"]["kind"] == "protocol_error" and json.dumps(refused)
    assert ask(end, "lease", **request)["held"] is False, "an error does not end the program"
