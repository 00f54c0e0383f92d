# SPDX-License-Identifier: MIT
"""Probes: where a port is reached, and what counts as an answer."""

from __future__ import annotations

import http.server
import re
import socket
import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import probes
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.probes import Check, Memory


def record(ports=None, networks=None, mode="bridge"):
    return {
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Ports": ports or {}, "Networks": networks or {}},
    }


PUBLISHED = {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9000"}], "53/udp": [{"HostIp": "", "HostPort": "8000"}]}
INSIDE = {"net": {"IPAddress": "172.18.0.2"}}


@pytest.mark.parametrize(
    ("shown", "port", "places"),
    [
        pytest.param(record(PUBLISHED, INSIDE), 9000, [("127.0.0.1", 9000), ("172.18.0.2", 8000)], id="published"),
        pytest.param(record(PUBLISHED, INSIDE), 8000, [("127.0.0.1", 9000), ("172.18.0.2", 8000)], id="inside"),
        pytest.param(record({}, INSIDE), 8000, [("172.18.0.2", 8000)], id="not-published"),
        pytest.param(record({"80/tcp": None}, INSIDE), 80, [("172.18.0.2", 80)], id="exposed-only"),
        pytest.param(record({}, {}, "host"), 8000, [("127.0.0.1", 8000)], id="host-network"),
        pytest.param(record(), 8000, [], id="no-address-yet"),
        pytest.param(
            record({"80/tcp": [{"HostIp": "127.0.0.5", "HostPort": "81"}, {"HostIp": "::", "HostPort": "81"}]}),
            81,
            [("127.0.0.5", 81), ("::1", 81)],
            id="other-addresses",
        ),
    ],
)
def test_a_port_is_reached_where_it_is_published_first(shown, port, places):
    assert probes.targets(shown, port) == places


NEAR = {"net": {"IPAddress": "172.18.0.2", "Gateway": "172.18.0.1"}}
BOTH = {**NEAR, "far": {"IPAddress": "172.19.0.2", "Gateway": "172.19.0.1"}, "new": {"Gateway": "172.18.0.1"}}


@pytest.mark.parametrize(
    ("shown", "port", "places"),
    [
        pytest.param(record(PUBLISHED, NEAR), 9000, [("172.18.0.2", 8000)], id="published"),
        pytest.param(record({}, NEAR), 8000, [("172.18.0.2", 8000)], id="not-published"),
        pytest.param(record({}, BOTH), 80, [("172.18.0.2", 80)], id="only-where-the-network-is-this-nodes"),
        pytest.param(record({}, INSIDE), 80, [], id="network-without-gateway"),
        pytest.param(record({}, {}, "host"), 8000, [("127.0.0.1", 8000)], id="host-network"),
        pytest.param(record(), 8000, [], id="no-address-yet"),
    ],
)
def test_a_port_is_reached_without_the_proxy_where_the_network_is_this_nodes(shown, port, places):
    assert probes.direct_targets(shown, port, lambda address: address == "172.18.0.1") == places


@pytest.mark.parametrize(
    ("address", "ours"), [("127.0.0.1", True), ("192.0.2.1", False), ("", False), ("fe80::1", False)]
)
def test_an_address_of_this_node_is_known(address, ours):
    assert probes.is_ours(address) is ours


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"kind": "http"}, "http check of service 'a' lacks its port"),
        ({"kind": "tcp"}, "tcp check"),
        ({"kind": "command"}, "command check"),
        ({"kind": "log"}, "log check"),
        ({"kind": "log", "pattern": "("}, "not a regular expression"),
        ({"kind": "http", "port": 70000}, "70000"),
        ({"kind": "ping"}, "allowed: http, tcp, command, container, running, log, completed"),
        ({"kind": "http", "port": 1, "expect_status": 42}, "statuses from 100 to 599"),
    ],
)
def test_a_check_that_cannot_work_is_refused(args, words):
    with pytest.raises(CellError, match=re.escape(words)) as caught:
        probes.parse_check({"service": "a", **args})
    assert caught.value.kind == "config_invalid"


def test_a_check_has_defaults():
    check = probes.parse_check({"service": "a", "kind": "http", "port": 80, "path": None, "expect_status": [200, 204]})
    assert (check.path, check.expect_status, check.timeout_s) == ("/", frozenset({200, 204}), 1.0)
    assert check.interval_s == 60.0


@pytest.fixture
def web():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_args):
            """Keep the test output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "expected", "ok"),
    [(200, (), True), (204, (), True), (503, (), False), (302, (), False), (401, (401,), True), (200, (204,), False)],
)
def test_the_status_decides(web, status, expected, ok):
    check = Check("a", "http", web[1], f"/{status}", frozenset(expected))
    answer = probes.ask_http([web], check)
    assert (answer.ok, f"HTTP {status}" in answer.detail) == (ok, True)


def test_the_next_place_is_asked_when_the_first_refuses(web):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        places = [closed.getsockname(), web]
        assert probes.ask_http(places, Check("a", "http", 1, "/200")).ok
        assert probes.ask_tcp(places, Check("a", "tcp", 1)).ok


def test_a_server_that_does_not_answer_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = probes.ask_http([silent.getsockname()], Check("a", "http", 1, timeout_s=0.05))
        assert (answer.ok, "timed out" in answer.detail) == (False, True)


def _accept_and_close(proxy):
    proxy.accept()[0].close()


def test_a_connection_that_is_closed_at_once_is_the_port_proxy_without_a_server():
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        thread = threading.Thread(target=_accept_and_close, args=(proxy,))
        thread.start()
        answer = probes.ask_tcp([proxy.getsockname()], Check("a", "tcp", 1))
        thread.join()
    assert (answer.ok, "closed the connection" in answer.detail) == (False, True)


def test_a_port_that_keeps_the_connection_is_ready():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert probes.ask_tcp([server.getsockname()], Check("a", "tcp", 1)).ok


def test_where_there_is_a_way_without_the_proxy_it_decides(monkeypatch):
    monkeypatch.setattr(probes, "_lasts", lambda _connection: pytest.fail("waited although nothing is between"))
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        open_place, closed_place = server.getsockname(), closed.getsockname()
        assert probes.ask_tcp([closed_place], Check("a", "tcp", 1), [open_place]).ok
        assert not probes.ask_tcp([open_place], Check("a", "tcp", 1), [closed_place]).ok


@pytest.mark.parametrize("ask", [probes.ask_http, probes.ask_tcp])
def test_without_an_address_there_is_a_reason(ask):
    assert ask([], Check("a", "http", 1)).detail == "the container has no address yet"


class Logs:
    """An engine that has a log of (stamp, text) lines and gives those from `since` on."""

    def __init__(self, *lines: tuple[str, str]) -> None:
        self.lines = list(lines)
        self.asked: list[str] = []

    def logs(self, _container, _tty, since, timestamps):
        assert timestamps == "1"
        self.asked.append(since)
        for stamp, text in self.lines:
            yield f"{stamp} {text}\n".encode()


def test_a_log_is_read_on_from_where_it_was_left():
    pattern, memory = re.compile(r"port (\d+)"), Memory()
    engine = Logs(("1970-01-01T00:00:05.25Z", "begin"), ("1970-01-01T00:00:06Z", "more"))
    assert not probes.ask_log(engine, "c", False, pattern, memory).ok
    engine.lines.append(("1970-01-01T00:00:07.000000001Z", "up on port 80"))
    answer = probes.ask_log(engine, "c", False, pattern, memory)
    assert (answer.ok, answer.detail) == (True, "up on port 80")
    assert engine.asked == ["0", "6.000000000"]


@pytest.mark.parametrize(
    ("check", "argv", "limit"),
    [
        pytest.param({"Test": ["CMD", "a", "b"], "Timeout": 2_000_000_000}, ["a", "b"], 2.0, id="argv"),
        pytest.param({"Test": ["CMD-SHELL", "a | b"]}, ["/bin/sh", "-c", "a | b"], 30.0, id="shell"),
        pytest.param({"Test": ["NONE"]}, [], 30.0, id="none"),
        pytest.param({}, [], 30.0, id="absent"),
        pytest.param({"Test": ["CMD", "x"], "Timeout": 600_000_000_000}, ["x"], 30.0, id="capped"),
    ],
)
def test_a_health_checks_own_command_is_found(check, argv, limit):
    assert probes.health_command({"Config": {"Healthcheck": check}}) == (argv, limit)


class Execs:
    """An engine on which a command ends with a code, or does not end."""

    def __init__(self, code) -> None:
        self.code = code

    def exec_create(self, _container, _argv):
        return "e1"

    def exec_run(self, _exec_id, _timeout):
        return self.code, "Traceback:\n  line 1\nwhat it said\n"

    def exec_record(self, _exec_id):
        return {"Running": True, "Pid": 1}


@pytest.mark.parametrize(
    ("code", "ok", "detail"),
    [
        (0, True, "what it said"),
        (2, False, "exit code 2: what it said"),
        (None, False, "the command did not end within 1 s"),
    ],
)
def test_a_commands_exit_code_decides(code, ok, detail):
    answer = probes.ask_command(Execs(code), "c", ["x"], 1.0, Memory())
    assert (answer.ok, answer.detail) == (ok, detail)
