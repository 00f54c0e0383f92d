# SPDX-License-Identifier: MIT
"""Metrics of a service: the wanted names of the text form, over a real socket, within limits of time and bytes."""

from __future__ import annotations

import socket
import threading
from functools import partial

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import metrics
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.metrics import Metrics

PAGE = """# HELP vllm:num_requests_running Requests.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } b\\" c"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0 1700000000000
vllm:num_requests_waiting 7
vllm:kv_cache_usage_perc NaN
vllm:time_to_first_token_seconds_bucket{le="+Inf"} 5
process_open_fds 1.2e1
python_gc_objects_collected_total{generation="0"} +Inf
vllm:broken{no value
vllm:word many
"""


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["vllm:num_requests_*"], {"vllm:num_requests_running": 5.0, "vllm:num_requests_waiting": 7.0}),
        (["process_open_fds"], {"process_open_fds": 12.0}),
        (["process_open_fd"], {}),
        (["vllm:kv_*", "python_*", "vllm:broken", "vllm:word"], {}),
        (["*_bucket", "process_*"], {"vllm:time_to_first_token_seconds_bucket": 5.0, "process_open_fds": 12.0}),
    ],
)
def test_the_wanted_names_are_read_and_sums_over_their_labels(names, wanted):
    assert Metrics("/metrics", names).parse(PAGE) == wanted


def test_too_many_names_are_refused():
    page = "".join(f"m{number} 1\n" for number in range(201))
    with pytest.raises(ValueError, match="201 names match, over the limit of 200; narrow the patterns"):
        Metrics("/metrics", ["m*"]).parse(page)


@pytest.fixture
def served():
    """Return a function that serves one caller by a function of the connection and returns the place."""
    opened = []

    def serve(answer):
        listener = socket.create_server(("127.0.0.1", 0))

        def work():
            connection = listener.accept()[0]
            opened.append(connection)
            connection.recv(65536)
            answer(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        opened.append(listener)
        return listener.getsockname()[:2]

    yield serve
    for one in opened:
        one.close()


def sends(*parts, close=True):
    def answer(connection):
        for part in parts:
            connection.sendall(part)
        if close:
            connection.close()

    return answer


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nup 1\r\n1\r\n\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        sends(b"HTTP/1.0 200 OK\r\n\r\nup 1\n"),
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"up 1\n", close=False),
        sends(CHUNKS),
    ],
    ids=["until the end", "a length and an open connection", "chunks"],
)
def test_an_answer_is_read_in_each_form(served, answer):
    assert Metrics("/metrics", ["up"]).read([served(answer)]) == {"up": 1.0}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (sends(b"HTTP/1.0 503 No\r\n\r\n"), "HTTP 503"),
        (sends(b"SSH-2.0-OpenSSH\r\n"), "SSH-2.0-OpenSSH"),
        (sends(), "Remote end closed connection"),
        (sends(b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 300), "an answer of over 200 bytes"),
        (sends(b"HTTP/1.0 200 OK\r\n\r\n", close=False), "no whole answer within 0.2 s|timed out"),
    ],
    ids=["no success", "no HTTP", "nothing", "too long", "never whole"],
)
def test_what_is_no_whole_answer_is_told(served, monkeypatch, answer, said):
    monkeypatch.setattr(metrics, "body", partial(metrics.body, limit_s=0.2, limit_bytes=200))
    place = served(answer)
    with pytest.raises(CellError, match=said) as caught:
        Metrics("/metrics", ["up"]).read([place])
    assert f"{place[0]}:{place[1]}/metrics: " in caught.value.message


def test_a_server_that_sends_a_byte_now_and_then_takes_no_longer_than_the_limit(served):
    over = threading.Event()

    def drip(connection):
        try:
            while not over.wait(0.02):
                connection.sendall(b"x")
        except OSError:
            return

    with pytest.raises(TimeoutError, match=r"no whole answer within 0.3 s|timed out"):
        metrics.body(*served(drip), "/metrics", limit_s=0.3)
    over.set()


def test_the_next_place_is_asked_where_one_refuses(served):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[:2]
    assert Metrics("/m", ["up"]).read([closed, served(sends(b"HTTP/1.0 200 OK\r\n\r\nup 1\n"))]) == {"up": 1.0}
    with pytest.raises(CellError, match="the container has no address"):
        Metrics("/m", ["up"]).read([])
