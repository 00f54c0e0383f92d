# SPDX-License-Identifier: MIT
"""More load than the test makes, by the load client that lies in the case's folder on the node."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import upload

pytestmark = pytest.mark.docker

WHOLE = ["planned", "control", "record", "injected", "effect", "undone", "verified", "recovered"]


class Served:
    """A server of completions that counts what it is asked."""

    def __init__(self) -> None:
        outer, self.count = self, 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.count += 1
                body = b'data: {"choices": [{"text": "a", "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def served():
    """A server that counts."""
    made = Served()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def client(cell):
    """The load client where `upload` puts it, and a test's settings."""
    (cell.case_dir / "bin").mkdir(parents=True)
    for name, (content, mode) in upload.programs(sys.executable, None).items():
        path = cell.case_dir / "bin" / name
        path.write_bytes(content)
        path.chmod(mode)
    return cell


def test_requests_are_sent_until_the_fault_ends(soak, client, served):
    (client.case_dir / "scenario" / "test_config.json").write_text(
        json.dumps({"model": "m", "num_prompts": 3, "max_tokens": 4})
    )
    params = {"base_url": served.url, "requests_per_s": 50, "concurrency": 4}
    assert soak.call("check", kinds=[{"kind": "pressure", "params": params}])["lacking"] == {"pressure": ""}
    soak.begin({"id": "e", "kind": "pressure", "service": "", "duration_s": 1, "params": params})
    assert soak.over("e") == WHOLE
    effect = soak.line("e", "effect")
    assert effect["applied"] and effect["measured"]["requests"] > 0 and effect["measured"]["clients"] == 1
    count = served.count
    assert count >= effect["measured"]["requests"]
    assert soak.call("end")["left"] == []
    assert served.count == count


def test_a_client_that_sends_nothing_is_not_applied(soak, client):
    """F67: its last words are told"""
    soak.begin({"id": "e", "kind": "pressure", "service": "", "params": {"base_url": "http://127.0.0.1:9"}})
    assert soak.over("e")[-1] == "not_applied"
    assert "model" in soak.line("e", "not_applied")["why"]


def test_a_node_without_the_client_lacks_the_kind(soak):
    """F67: before the run"""
    lacking = soak.call("check", kinds=[{"kind": "pressure"}])["lacking"]["pressure"]
    assert lacking == f"{soak.cell.case_dir}/bin/testcell-load is not there: only the test's node has the load client"


def test_the_client_of_a_dead_runner_is_ended(soak, client, served):
    """F63, F64"""
    params = {"base_url": served.url, "requests_per_s": 50, "model": "m"}
    soak.begin({"id": "e", "kind": "pressure", "service": "", "duration_s": 60, "params": params})
    soak.line("e", "effect")
    soak.kill_unit("chaos-guard")
    soak.kill_unit("chaos")
    assert soak.call("undo")["left"] == []
    count = served.count
    assert soak.call("undo") == {"undone": [], "left": []}
    assert served.count == count
