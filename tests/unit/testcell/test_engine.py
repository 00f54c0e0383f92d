# SPDX-License-Identifier: MIT

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testcell import engine

Serve = Callable[[bytes], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that answers one request on a Unix socket with the given bytes."""
    sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> str:
        path = str(tmp_path / "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        sockets.append(listener)

        def work() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return f"unix://{path}"

    yield start
    for thread in threads:
        thread.join(timeout=5)
    for listener in sockets:
        listener.close()


@pytest.mark.parametrize(
    ("answer", "answers", "version"),
    [
        (b'HTTP/1.0 200 OK\r\n\r\n{"Version": "27.1"}', True, "27.1"),
        (b"HTTP/1.0 200 OK\r\n\r\nnot json", False, ""),
        (b"HTTP/1.0 200 OK\r\n\r\n[1]", False, ""),
        (b"rubbish\r\n\r\n", False, ""),
        (b"", False, ""),
    ],
)
def test_an_engine_is_known_by_its_answer(serve: Serve, answer: bytes, answers: bool, version: str) -> None:
    found = engine.ask(serve(answer))
    assert (found.answers, found.version) == (answers, version) and bool(found.error) != answers


def test_no_socket_and_no_unix_socket_are_said(tmp_path: Path) -> None:
    assert "FileNotFoundError" in engine.ask(f"unix://{tmp_path}/none").error
    assert "not asked" in engine.ask("tcp://192.0.2.1:2375").error
