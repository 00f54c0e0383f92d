# SPDX-License-Identifier: MIT
"""Each way to prove readiness against a real container, fast when it is ready and not before."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.docker


def service(command: str, more: str = "") -> str:
    return f"services:\n  a:\n    image: IMAGE\n    command: ['sh', '-c', {command!r}]\n{more}"


HEALTH = """    healthcheck:
      test: ["CMD-SHELL", "COMMAND"]
      interval: INTERVAL
      timeout: 2s
      retries: 2
"""


def health(command: str, interval: str) -> str:
    return HEALTH.replace("COMMAND", command).replace("INTERVAL", interval)


def test_a_port_that_only_the_proxy_answers_is_not_ready(cell, any_compose, free_port):
    text = service("sleep 2; nc -ll -p 80 -e cat", f"    ports: ['127.0.0.1:{free_port}:80']\n")
    cell.up(text, any_compose)
    early = cell.state(service="a", kind="tcp", port=free_port, wait_s=0.7)
    assert early["state"] == "starting"
    late = cell.state(service="a", kind="tcp", port=free_port)
    assert late["state"] == "ready"
    assert late["since_s"] >= 1.9


def test_a_container_without_a_health_check_is_ready_when_its_port_takes_connections(cell, any_compose, free_port):
    text = service("sleep 2; nc -ll -p 80 -e cat", f"    ports: ['127.0.0.1:{free_port}:80']\n")
    cell.up(text, any_compose)
    early = cell.state(service="a", kind="container", port=free_port, wait_s=0.7)
    assert (early["state"], "refused" in early["detail"]) == ("starting", True)
    late = cell.state(service="a", kind="container", port=free_port)
    assert late["state"] == "ready"
    assert late["since_s"] >= 1.9


@pytest.mark.parametrize(
    "more", [health("true", "1s"), "    network_mode: none\n"], ids=["its check decides", "no address to connect to"]
)
def test_a_port_is_asked_only_where_nothing_else_can_tell(cell, any_compose, more):
    cell.up(service("sleep 60", more), any_compose)
    assert cell.state(service="a", kind="container", port=80)["state"] == "ready"


@pytest.mark.parametrize(
    ("status", "expected", "state"),
    [pytest.param(404, 404, "ready", id="wanted-404"), pytest.param(404, None, "starting", id="404-is-not-ready")],
)
def test_the_http_status_decides(cell, any_compose, status, expected, state):
    cell.up(service("httpd -f -p 80 -h /tmp"), any_compose)
    check = {"service": "a", "kind": "http", "port": 80, "path": "/absent", "expect_status": expected}
    answer = cell.state(wait_s=2, **check)
    assert answer["state"] == state
    assert f"HTTP {status}" in answer["detail"]


def test_a_command_in_the_container_decides(cell, any_compose):
    cell.up(service("sleep 1; touch /tmp/up; sleep 60"), any_compose)
    answer = cell.state(service="a", kind="command", argv=["ls", "/tmp/up"])
    assert answer["state"] == "ready"
    assert 0.9 <= answer["since_s"] < 10


def test_a_command_that_hangs_is_killed(cell, any_compose, docker_cli):
    container = cell.up(service("sleep 60"), any_compose)["a"]["containers"][0]
    answer = cell.state(service="a", kind="command", argv=["sleep", "314"], timeout_s=0.3, wait_s=1.5)
    assert (answer["state"], answer["detail"]) == ("starting", "the command did not end within 0.3 s")
    assert "sleep 314" not in docker_cli("top", container)


def test_a_log_line_decides(cell, any_compose):
    cell.up(service("echo begin; sleep 1; echo Server is up on port 8000; sleep 60"), any_compose)
    answer = cell.state(service="a", kind="log", pattern=r"up on port \d+")
    assert (answer["state"], answer["detail"]) == ("ready", "Server is up on port 8000")
    assert answer["since_s"] >= 0.9


def test_a_log_line_of_an_earlier_life_decides_nothing(cell, any_compose, docker_cli):
    line = "test -e /tmp/again || { touch /tmp/again; echo READY; exit 0; }; echo second; sleep 60"
    container = cell.up(service(line), any_compose)["a"]["containers"][0]
    docker_cli("wait", container)
    docker_cli("start", container)
    answer = cell.state(service="a", kind="log", pattern="^READY", wait_s=1)
    assert (answer["state"], "READY" in docker_cli("logs", container)) == ("starting", True)
    assert cell.state(service="a", kind="log", pattern="^second")["state"] == "ready"


@pytest.mark.parametrize(("code", "state"), [(0, "ready"), (4, "failed")])
def test_a_service_that_shall_complete_is_ready_when_it_did(cell, any_compose, code, state):
    cell.up(service(f"sleep 0.3; exit {code}"), any_compose)
    answer = cell.state(service="a", kind="completed")
    assert (answer["state"], answer["exit_code"]) == (state, code)


def test_a_health_check_with_a_long_interval_is_asked_by_us(cell, compose):
    cell.up(service("sleep 1; touch /tmp/up; sleep 60", health("ls /tmp/up", "30s")), compose)
    began = time.monotonic()
    answer = cell.state(service="a", kind="container")
    assert answer["state"] == "ready"
    assert time.monotonic() - began < 10


def test_an_unhealthy_container_fails_with_the_words_of_its_check(cell, any_compose):
    cell.up(service("echo started; sleep 60", health("echo no token came; false", "1s")), any_compose)
    answer = cell.state(service="a", kind="container")
    assert (answer["state"], answer["error_kind"]) == ("failed", "service_unhealthy")
    assert "no token came" in answer["detail"]
    assert answer["log_tail"] == ["started"]
    sick = cell.call("watch", services=["a"], wait_s=5)["unhealthy"]
    assert [one["error_kind"] for one in sick] == ["service_unhealthy"]


def test_a_known_state_is_not_told_again_until_it_changes(cell, any_compose):
    cell.up(service("sleep 1; exit 9"), any_compose)
    known = {"a": cell.state(service="a")["state"]}
    assert known == {"a": "ready"}
    answer = cell.call("ready", checks=[{"service": "a"}], known=known, wait_s=0.1)["states"]["a"]
    assert answer["state"] == "ready"
    deadline = time.monotonic() + 20
    while answer["state"] == "ready" and time.monotonic() < deadline:
        answer = cell.call("ready", checks=[{"service": "a"}], known=known, wait_s=5)["states"]["a"]
    assert (answer["state"], answer["exit_code"]) == ("failed", 9)
