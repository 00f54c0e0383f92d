# SPDX-License-Identifier: MIT
from __future__ import annotations

import http.server
import json
import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import inference
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context

GOOD = {"choices": [{"text": "yes"}], "usage": {"completion_tokens": 3}}
EMPTY = {"choices": [{"text": ""}], "usage": {"completion_tokens": 0}}


BODIES = {"good": GOOD, "empty": EMPTY, "chat": {"choices": [{"message": {"content": "hi"}}]}, "error": {"error": "x"}}
SEEN: dict[str, str] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the path says: /status/body-name; remembers the headers of the last question."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        SEEN.update(self.headers)
        _, status, name = self.path.split("/")
        if name == "reset":
            self.connection.close()
            return
        self.reply(int(status), json.dumps(BODIES.get(name, GOOD)).encode() if name != "text" else b"<html>")

    def do_GET(self):
        workers = {"prefill": [{"healthy": True}, {"healthy": False}], "decode": [{"healthy": True}], "counts": {}}
        self.reply(200, json.dumps(workers).encode())

    def reply(self, status, body):
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep the test's screen quiet."""


@pytest.fixture(scope="module")
def url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url, **args):
    return inference.canary(Context(Path("/nowhere")), {"url": url, "body": {"prompt": "x"}, "timeout_s": 5, **args})


@pytest.mark.parametrize(
    ("path", "ok", "kind"),
    [
        ("200/good", True, None),
        ("200/chat", True, None),
        ("200/empty", False, "engine_dead"),
        ("200/error", False, "engine_dead"),
        ("200/text", False, "response_invalid"),
        ("500/good", False, "http_5xx"),
        ("503/good", False, "overloaded"),
        ("404/good", False, "http_4xx"),
        ("302/good", False, "request_blocked"),
        ("200/reset", False, "http_reset"),
    ],
)
def test_f38_only_a_real_token_is_a_yes(url, path, ok, kind):
    answer = ask(f"{url}/{path}")
    assert (answer["ok"], answer.get("error_kind")) == (ok, kind)


def test_the_pair_is_asked_for_by_header(url):
    ask(f"{url}/200/good", headers={"X-Testcell-Pair": "p,d"})
    assert SEEN["X-Testcell-Pair"] == "p,d"


def test_a_port_that_nobody_listens_on_is_refused():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert ask(f"http://127.0.0.1:{port}/x")["error_kind"] == "http_refused"


def test_an_engine_that_never_answers_meets_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert ask(f"http://127.0.0.1:{port}/x", timeout_s=0.2)["error_kind"] == "http_timeout"


@pytest.mark.parametrize(("expected", "ok"), [({"prefill": 1, "decode": 1}, True), ({"prefill": 2}, False)])
def test_the_router_must_see_the_expected_workers_healthy(url, expected, ok):
    answer = inference.workers(
        Context(Path("/nowhere")), {"url": f"{url}/workers", "expected": expected, "timeout_s": 0}
    )
    assert answer["ok"] is ok
    assert answer["counts"]["prefill"] == 1
