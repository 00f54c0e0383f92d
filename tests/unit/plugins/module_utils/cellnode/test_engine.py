# SPDX-License-Identifier: MIT
"""The engine client against a socket that behaves as engines do, and as broken ones do."""

from __future__ import annotations

import json
import shutil
import socket
import socketserver
import struct
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import engine
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


class Handler(BaseHTTPRequestHandler):
    """Answer from server.routes: (method, path without query) -> (status, bytes or JSON value or function)."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path, _, query = self.path.partition("?")
        self.server.seen.append((self.command, path, query, body))
        status, content = self.server.routes.get((self.command, path), (404, {"message": f"page not found: {path}"}))
        if callable(content):
            content(self)
            return
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Api-Version", self.server.api)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_args) -> None:
        """Keep the test output clean."""


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, Handler)
        self.routes = {("GET", "/_ping"): (200, b"OK")}
        self.seen: list[tuple] = []
        self.api = "1.41"

    def handle_error(self, *_args) -> None:
        """A client that hangs up in mid-answer is what some tests are about."""


@pytest.fixture
def folder():
    """A folder with a path short enough for a socket."""
    path = tempfile.mkdtemp(prefix="tc")
    yield Path(path)
    shutil.rmtree(path)


@pytest.fixture
def server(folder):
    made = Server(str(folder / "e.sock"))
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def client(server, folder):
    return engine.Engine(str(folder / "e.sock"), timeout=2.0)


def test_calls_use_the_newest_version_that_both_know(server, client):
    server.routes["GET", "/v1.41/containers/json"] = (200, [])
    assert client.containers(["a=b"]) == []
    assert [path for _, path, _, _ in server.seen] == ["/_ping", "/v1.41/containers/json"]
    assert "filters=%7B%22label%22%3A+%5B%22a%3Db%22%5D%7D" in server.seen[1][2]


@pytest.mark.parametrize(
    ("offered", "prefix"),
    [("1.41", "/v1.41"), ("1.99", "/v1.47"), ("1.24", "/v1.24"), ("2.0", "/v1.47"), ("", ""), ("x.y", "")],
)
def test_the_api_prefix_is_capped(offered, prefix):
    assert engine.api_prefix(offered) == prefix


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        pytest.param(404, "No such container: x", "container_gone", id="gone"),
        pytest.param(
            409, 'Conflict. The container name "/x" is already in use by container y', "name_conflict", id="name"
        ),
        pytest.param(500, "Bind for 0.0.0.0:80 failed: port is already allocated", "port_conflict", id="port"),
        pytest.param(409, "something new", "docker_leftover", id="other-conflict"),
        pytest.param(500, "something new", "unknown", id="other"),
    ],
)
def test_an_error_status_becomes_an_error_kind(server, client, status, message, kind):
    server.routes["POST", "/v1.41/containers/x/start"] = (status, {"message": message})
    with pytest.raises(engine.EngineError) as caught:
        client.start("x")
    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert message in caught.value.message


def test_a_removal_of_what_is_gone_is_no_error(server, client):
    server.routes["DELETE", "/v1.41/networks/n"] = (404, {"message": "network n not found"})
    server.routes["DELETE", "/v1.41/containers/c"] = (204, b"")
    assert client.remove("networks", "n") is False
    assert client.remove("containers", "c") is True
    assert server.seen[-1][2] == "force=1&v=1"


def test_an_absent_image_is_none(server, client):
    server.routes["GET", "/v1.41/images/a/b:1/json"] = (200, {"Id": "sha256:1"})
    assert client.image("a/b:1") == {"Id": "sha256:1"}
    assert client.image("a/b:2") is None


def test_a_name_cannot_leave_its_place_in_the_path(server, client):
    with pytest.raises(engine.EngineError):
        client.start("../../images/prune")
    assert server.seen[-1][1] == "/v1.41/containers/..%2F..%2Fimages%2Fprune/start"


def chunked(handler, *parts: bytes, end: bool = True) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for part in parts:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        handler.wfile.flush()
    if end:
        handler.wfile.write(b"0\r\n\r\n")


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def test_multiplexed_logs_come_chunked_in_any_cut(server, client):
    wire = frame(1, b"out 1\n") + frame(2, b"err\n") + frame(1, b"out 2\n")
    parts = [wire[start : start + 5] for start in range(0, len(wire), 5)]
    server.routes["GET", "/v1.41/containers/c/logs"] = (200, lambda handler: chunked(handler, *parts))
    assert b"".join(client.logs("c", tty=False)) == b"out 1\nerr\nout 2\n"
    assert client.log_tail("c", tty=False, lines=2) == ["err", "out 2"]
    assert "tail=2" in server.seen[-1][2]


def test_logs_of_a_terminal_are_plain(server, client):
    server.routes["GET", "/v1.41/containers/c/logs"] = (
        200,
        lambda handler: chunked(handler, b"plain\r\n", b"text\r\n"),
    )
    assert client.log_tail("c", tty=True) == ["plain", "text"]


def test_a_log_cut_by_a_dying_engine_is_an_error(server, client):
    def cut(handler) -> None:
        chunked(handler, frame(1, b"begin\n"), end=False)
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    server.routes["GET", "/v1.41/containers/c/logs"] = (200, cut)
    with pytest.raises(CellError) as caught:
        list(client.logs("c", tty=False))
    assert caught.value.kind == "docker_daemon_down"


def test_events_come_line_by_line(server, client):
    lines = [b'{"Action":"start"}\n', b'{"Act', b'ion":"die"}\n']
    server.routes["GET", "/v1.41/events"] = (200, lambda handler: chunked(handler, *lines))
    found = [event["Action"] for event in client.events(1.5, 2.5, ["a"], 2.0, ["die"])]
    assert found == ["start", "die"]
    assert server.seen[-1][2].startswith("since=1.500000000&until=2.500000000&filters=")


def test_f29_events_that_a_dying_engine_cuts_off_have_not_ended(server, client):
    def cut(handler) -> None:
        chunked(handler, b'{"Action":"start"}\n', end=False)
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    server.routes["GET", "/v1.41/events"] = (200, cut)
    found = client.events(1.5, 2.5, [], 2.0)
    assert next(found)["Action"] == "start"
    with pytest.raises(CellError) as caught:
        next(found)
    assert caught.value.kind == "docker_daemon_down"


def test_an_exec_gives_its_exit_code_and_last_output(server, client):
    server.routes["POST", "/v1.41/containers/c/exec"] = (201, {"Id": "e1"})
    server.routes["POST", "/v1.41/exec/e1/start"] = (200, frame(1, b"hello\n"))
    server.routes["GET", "/v1.41/exec/e1/json"] = (200, {"ExitCode": 3, "Running": False})
    assert client.exec_create("c", ["true"]) == "e1"
    assert client.exec_run("e1", 1.0) == (3, "hello")


def test_an_exec_that_does_not_end_has_no_exit_code(server, client):
    release = threading.Event()
    server.routes["POST", "/v1.41/exec/e1/start"] = (200, lambda handler: release.wait(5))
    try:
        assert client.exec_run("e1", 0.05) == (None, "")
    finally:
        release.set()


def test_no_socket_is_a_daemon_that_is_down(folder):
    with pytest.raises(CellError) as caught:
        engine.Engine(str(folder / "absent.sock")).version()
    assert caught.value.kind == "docker_daemon_down"
    assert "absent.sock" in caught.value.message


def test_a_socket_that_nobody_serves_is_a_daemon_that_is_down(folder):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "stale.sock"))
        with pytest.raises(CellError) as caught:
            engine.Engine(str(folder / "stale.sock")).version()
    assert caught.value.kind == "docker_daemon_down"


def test_a_stopped_daemon_is_a_timeout(folder):
    """F29: an engine that was sent SIGSTOP accepts connections and never answers."""
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(folder / "frozen.sock"))
        frozen.listen()
        with pytest.raises(CellError) as caught:
            engine.Engine(str(folder / "frozen.sock"), timeout=0.05).version()
    assert caught.value.kind == "docker_timeout"


def test_a_forbidden_socket_is_a_permission(monkeypatch):
    def forbidden(_connection) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(engine.UnixConnection, "connect", forbidden)
    with pytest.raises(CellError) as caught:
        engine.Engine("/var/run/docker.sock").version()
    assert caught.value.kind == "docker_permission"


def test_an_answer_that_is_not_json_is_told(server, client):
    server.routes["GET", "/v1.41/info"] = (200, b"<html>")
    with pytest.raises(CellError) as caught:
        client.info()
    assert caught.value.kind == "docker_api_mismatch"


def context_without_socket(tmp_path, needed):
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    return Context(tmp_path, engine_needed=needed, environ=environ)


def test_a_node_that_only_runs_the_test_needs_no_engine(tmp_path):
    node = engine.engine_of(context_without_socket(tmp_path, needed=False))
    assert [node.containers(), node.networks(["a"]), node.volumes(), node.images()] == [[], [], [], []]


def test_where_services_run_a_missing_socket_is_an_error(tmp_path):
    with pytest.raises(CellError) as caught:
        engine.engine_of(context_without_socket(tmp_path, needed=True)).containers()
    assert caught.value.kind == "docker_daemon_down"


def test_a_socket_that_is_there_must_answer_also_on_a_test_node(tmp_path):
    (tmp_path / "none.sock").touch()
    with pytest.raises(CellError):
        engine.engine_of(context_without_socket(tmp_path, needed=False)).containers()
