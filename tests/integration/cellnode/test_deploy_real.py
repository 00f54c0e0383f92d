# SPDX-License-Identifier: MIT
"""Deploying real containers: what is told of them, in which order, and that nothing of it stays in the node program."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from deployments import pause, wait_until
from served import Served

pytestmark = pytest.mark.docker

HTTP = "httpd -f -p 80 -h /tmp"
CHECK = {"kind": "http", "port": 80, "path": "/absent", "expect_status": 404}
HEALTH = """    healthcheck:
      test: ["CMD-SHELL", "COMMAND"]
      interval: INTERVAL
      retries: 1
"""


def services(more: dict[str, str] | None = None, /, **commands: str) -> str:
    """Return a Compose file of services that run shell commands; more: further lines of a service."""
    text = "services:\n"
    for name, command in commands.items():
        text += f"  {name}:\n    image: IMAGE\n    stop_grace_period: 1s\n    command: ['sh', '-c', {command!r}]\n"
        text += (more or {}).get(name, "")
    return text


def health(command: str, interval: str) -> str:
    return HEALTH.replace("COMMAND", command).replace("INTERVAL", interval)


class Deployment:
    """A deployment in the long-lived program: orders go in, events come out."""

    def __init__(self, served: Served, checks: list[dict], **args) -> None:
        self._served = served
        self.events: list[dict] = []
        self._name = served.send("deploy", checks=checks, **args)

    def tell(self, **message) -> None:
        self._served.tell(self._name, **message)

    def hears(self, service: str, state: str, **fields) -> dict:
        """Return the next event, which must be this one."""
        message = self._served.hear()
        event = message.get("event", message)
        assert {key: event.get(key) for key in ("service", "state", *fields)} == {
            "service": service,
            "state": state,
            **fields,
        }, event
        return event

    def finish(self) -> dict[str, dict]:
        """Order the end and return the last states."""
        self.tell(finish=True)
        answer = self._served.answer(self._name)
        assert "result" in answer, answer
        return answer["result"]["states"]


@pytest.fixture
def served(cell):
    made = Served(cell.program, {"root": str(cell.root), "run": cell.run, "owner": "tests"})
    yield made
    made.close()


@pytest.fixture
def deploying(served, cell, any_compose):
    """Make the containers of a Compose file and begin their deployment, each service under its check or CHECK."""

    def begin(text: str, /, checks: dict[str, dict] | None = None, **args) -> Deployment:
        made = cell.compose(text, any_compose)["containers"]
        names = sorted({one["service"] for one in made})
        return Deployment(served, [{"service": name, **(checks or {}).get(name, CHECK)} for name in names], **args)

    return begin


@pytest.fixture
def looks(docker_cli, cell):
    """Say something of a service's container by a template of `docker inspect`."""

    def look(service: str, template: str) -> str:
        label = f"label=com.docker.compose.service={service}"
        found = docker_cli("ps", "-aq", "--filter", f"label=testcell.run={cell.run['id']}", "--filter", label)
        return docker_cli("inspect", "--format", template, found)

    return look


@pytest.fixture
def pid_of(looks):
    """The process number of a service's first process, where it is visible."""

    def find(service: str) -> int:
        pid = int(looks(service, "{{.State.Pid}}"))
        if not Path(f"/proc/{pid}").exists() or os.geteuid() != 0:
            pytest.skip("the processes of containers are not visible here, or not ours to kill")
        return pid

    return find


def died_twice(deployment: Deployment, service: str, **fields) -> dict:
    """Return the second of the two events that tell a death: the first comes at once, the second has the log."""
    first = deployment.hears(service, "failed", complete=False, **fields)
    second = deployment.hears(service, "explained", complete=True, **fields)
    assert first["log_tail"] == []
    assert second["t"] == first["t"]
    return second


def test_services_start_when_ordered_and_are_told_ready_each_for_itself(deploying, looks):
    deployment = deploying(services(a=HTTP, b=f"sleep 0.5; {HTTP}", c=HTTP))
    deployment.tell(start=["b"])
    deployment.hears("b", "running")
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    a = deployment.hears("a", "ready", error_kind="", exit_code=None)
    b = deployment.hears("b", "ready")
    assert "HTTP 404" in a["detail"] and a["t"] <= b["t"]
    assert looks("c", "{{.State.Status}}") == "created"
    assert {name: state["state"] for name, state in deployment.finish().items()} == {"a": "ready", "b": "ready"}
    assert looks("a", "{{.State.Status}}") == "running"


@pytest.mark.parametrize(
    ("command", "check"),
    [
        pytest.param("sleep 0.4; nc -ll -p 80 -e cat", {"kind": "tcp", "port": 80}, id="tcp"),
        pytest.param(
            "sleep 0.4; touch /tmp/up; sleep 60", {"kind": "command", "argv": ["ls", "/tmp/up"]}, id="command"
        ),
        pytest.param("sleep 0.4; echo up on port 80; sleep 60", {"kind": "log", "pattern": r"port \d+"}, id="log"),
        pytest.param("sleep 0.4", {"kind": "completed"}, id="completed"),
        pytest.param("sleep 60", {"kind": "running"}, id="running"),
    ],
)
def test_each_kind_of_check_says_ready(deploying, command, check):
    deployment = deploying(services(a=command), {"a": check})
    deployment.tell(start=["a"])
    running = deployment.hears("a", "running")
    ready = deployment.hears("a", "ready")
    assert ready["t"] - running["t"] >= (0.0 if check["kind"] == "running" else 0.2)
    assert deployment.finish()["a"]["state"] == "ready"


def test_a_health_check_that_the_engine_asks_rarely_is_asked_by_us(deploying):
    text = services({"a": health("ls /tmp/up", "60s")}, a="sleep 0.4; touch /tmp/up; sleep 60")
    deployment = deploying(text, {"a": {"kind": "container"}})
    deployment.tell(start=["a"])
    running = deployment.hears("a", "running")
    ready = deployment.hears("a", "ready")
    assert 0.2 <= ready["t"] - running["t"] < 30.0
    assert deployment.finish()["a"]["state"] == "ready"


@pytest.mark.tries(3)
def test_a_container_that_exits_is_told_with_code_and_last_words(deploying):
    """F30"""
    deployment = deploying(services(a="echo cannot load; exit 3"))
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "failed", error_kind="container_exited", exit_code=3, oom=False, after_ready=False)
    assert deployment.finish()["a"]["log_tail"] == ["cannot load"]


def test_a_container_killed_for_memory_says_so(deploying):
    """53"""
    limits = {"a": "    mem_limit: 16m\n    memswap_limit: 16m\n"}
    deployment = deploying(services(limits, a="echo filling; tail /dev/zero"))
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "failed", error_kind="container_oom", exit_code=137, oom=True)
    state = deployment.finish()["a"]
    assert (state["log_tail"], "killed for memory" in state["detail"]) == (["filling"], True)


@pytest.mark.tries(3)
@pytest.mark.parametrize("ready", [True, False], ids=["after-ready", "before-ready"])
def test_a_killed_first_process_is_the_services_death(deploying, pid_of, looks, docker_cli, ready):
    """F30: container PID 1 killed"""
    deployment = deploying(services(a=f"echo begin; {HTTP if ready else 'sleep 60'}"))
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    if ready:
        deployment.hears("a", "ready")
    container = looks("a", "{{.Id}}")
    wait_until(lambda: "begin" in docker_cli("logs", container), "its first line")
    os.kill(pid_of("a"), signal.SIGKILL)
    kind = "service_died" if ready else "container_exited"
    known = {"error_kind": kind, "exit_code": 137, "oom": False, "after_ready": ready}
    assert died_twice(deployment, "a", **known)["log_tail"] == ["begin"]
    assert deployment.finish()["a"]["complete"] is True


@pytest.mark.tries(3)
def test_a_killed_shim_is_the_services_death(deploying, pid_of):
    """F30: containerd-shim killed"""
    deployment = deploying(services(a=HTTP))
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "ready")
    shim = int(Path(f"/proc/{pid_of('a')}/stat").read_text().rpartition(")")[2].split()[1])
    assert "containerd-shim" in Path(f"/proc/{shim}/cmdline").read_text()
    os.kill(shim, signal.SIGKILL)
    died_twice(deployment, "a", error_kind="service_died", after_ready=True)
    deployment.tell(again=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "ready")
    deployment.finish()


@pytest.mark.tries(3)
def test_a_paused_container_is_sick(deploying, looks):
    """F30: container paused"""
    deployment = deploying(services(a=HTTP))
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "ready")
    pause(looks("a", "{{.Id}}"))
    event = deployment.hears("a", "failed", error_kind="service_unhealthy", after_ready=True)
    assert event["detail"].endswith("is paused")
    deployment.tell(again=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "ready")
    deployment.finish()


def test_a_removed_container_is_gone(deploying, docker_cli, looks):
    deployment = deploying(services(a=HTTP))
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "ready")
    docker_cli("rm", "-f", looks("a", "{{.Id}}"))
    deployment.hears("a", "failed", after_ready=True, complete=False, exit_code=137)
    deployment.hears("a", "explained", after_ready=True)
    assert deployment.finish()["a"]["state"] == "failed"


def test_a_service_that_flaps_fails_anew_each_time(deploying):
    """F38: exits a moment after each start"""
    deployment = deploying(services(a="echo up; sleep 1; exit 5"), {"a": {"kind": "running"}})
    for order in ("start", "again", "again"):
        deployment.tell(**{order: ["a"]})
        deployment.hears("a", "running")
        deployment.hears("a", "ready")
        tail = died_twice(deployment, "a", error_kind="service_died", exit_code=5)["log_tail"]
    assert tail == ["up"] * 3
    deployment.finish()


def test_a_service_that_never_answers_is_given_up_in_time(deploying):
    """F38: never healthy"""
    deployment = deploying(services(a="echo waiting; sleep 60"), limit_s=0.5)
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    event = deployment.hears("a", "failed", error_kind="health_timeout", log_tail=["waiting"])
    assert event["detail"].startswith("not ready within 0.5 s of its start: ") and "refused" in event["detail"]
    assert deployment.finish()["a"]["state"] == "failed"


def test_a_service_that_turns_unhealthy_is_told_with_the_words_of_its_check(deploying):
    """F38: healthy, then not"""
    command = "touch /tmp/up; sleep 1.5; rm /tmp/up; sleep 60"
    text = services({"a": health("ls /tmp/up", "1s")}, a=command)
    deployment = deploying(text, {"a": {"kind": "container"}})
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "ready")
    event = deployment.hears("a", "failed", error_kind="service_unhealthy", after_ready=True)
    assert "/tmp/up: No such file" in event["detail"]
    deployment.finish()


def test_again_costs_only_the_service_itself(deploying, looks):
    deployment = deploying(services(a=HTTP, b=HTTP))
    for name in ("a", "b"):
        deployment.tell(start=[name])
        deployment.hears(name, "running")
        deployment.hears(name, "ready")
    before = {name: looks(name, "{{.Id}} {{.State.StartedAt}}").split() for name in ("a", "b")}
    deployment.tell(again=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "ready")
    after = {name: looks(name, "{{.Id}} {{.State.StartedAt}}").split() for name in ("a", "b")}
    assert after["b"] == before["b"]
    assert (after["a"][0], after["a"][1] != before["a"][1]) == (before["a"][0], True)
    deployment.finish()


def test_a_port_that_a_stranger_holds_is_named(deploying, decoys, free_port):
    """F40"""
    decoys.container(f"decoy-{decoys.mark[:8]}", "-p", f"127.0.0.1:{free_port}:80")
    deployment = deploying(services({"a": f"    ports: ['127.0.0.1:{free_port}:80']\n"}, a=HTTP))
    deployment.tell(start=["a"])
    event = deployment.hears("a", "failed", error_kind="port_conflict")
    holder = event["holder"]
    assert (holder["port"], holder["container"], holder["run"]) == (free_port, f"decoy-{decoys.mark[:8]}", "")
    deployment.finish()


def test_the_end_of_the_caller_leaves_services_running(deploying, served, looks):
    deployment = deploying(services(a=HTTP, b=HTTP))
    deployment.tell(start=["a"])
    deployment.hears("a", "running")
    deployment.hears("a", "ready")
    served.close()
    assert served.process.returncode == 0
    assert (looks("a", "{{.State.Status}}"), looks("b", "{{.State.Status}}")) == ("running", "created")


def test_a_death_ends_the_wait_of_follow(deploying, served, pid_of):
    """F30, F38: healthy, then dies"""
    deployment = deploying(services(a=f"echo begin; {HTTP}", b=HTTP))
    for name in ("a", "b"):
        deployment.tell(start=[name])
        deployment.hears(name, "running")
        deployment.hears(name, "ready")
    deployment.finish()
    assert served.call("follow", services=["a", "b"], wait_s=0.1) == {"unit": None, "died": [], "unhealthy": []}
    question = served.send("follow", services=["a", "b"], wait_s=60)
    os.kill(pid_of("a"), signal.SIGKILL)
    died = served.answer(question)["result"]["died"]
    assert [(one["service"], one["error_kind"], one["exit_code"]) for one in died] == [("a", "service_died", 137)]
    assert died[0]["log_tail"] == ["begin"]
    assert served.call("follow", services=["a", "b"], known=["a"], wait_s=0.1)["died"] == []
    question = served.send("follow", services=["b"], wait_s=60)
    served.tell(question, wake=True)
    assert served.answer(question)["result"]["died"] == []


def test_no_request_leaves_anything_behind(cell, served, any_compose):
    """Threads, sockets, descriptors and children of a process that deploys, watches and cleans again and again."""
    text = services(a=HTTP, b="echo up; sleep 60", c="exit 3")
    checks = [{"service": "a", **CHECK}, {"service": "b", "kind": "command", "argv": ["false"]}, {"service": "c"}]
    cell.call("snapshot")

    def life() -> None:
        cell.compose(text, any_compose)
        deployment = Deployment(served, checks, max_health_checks=2)
        deployment.tell(start=["a", "b", "c"])
        wanted = {("a", "ready"), ("b", "running"), ("c", "failed")}
        while wanted:
            event = served.hear()["event"]
            wanted.discard((event["service"], event["state"]))
        deployment.tell(again=["c"])
        deployment.finish()
        for _ in range(5):
            served.call("follow", services=["a"], wait_s=0.05)
        served.call("ready", checks=checks[:2], wait_s=0.1, known={"a": "ready"})
        served.call("watch", services=["a"], wait_s=0.05)
        before = served.call("snapshot")
        served.call("evidence", mode="standard", log_cap_bytes=1 << 20)
        served.call("stop", timeout_s=1)
        served.call("clean")
        served.call("verify", before=before, listening_ignore=[])

    life()
    before = served.footprint()
    for _ in range(2):
        life()
    assert served.footprint() == before
