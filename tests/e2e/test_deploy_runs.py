# SPDX-License-Identifier: MIT
"""Whole runs on the controller itself, of services that fail, are in each other's way, or die: what is told, and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from cellruns import ROOT
from deployments import (
    FIRST,
    IMAGE,
    UP,
    docker,
    free_port,
    left_by,
    make_project,
    pause,
    run,
    running,
    service,
    wait_until,
)

pytestmark = pytest.mark.docker

LOCAL = ROOT / "inventories" / "local"
NEVER = "0001-01-01T00:00:00Z"
AT_ONCE = {"retry_strategy": {"service_level_retries": 1, "retry_delay": 0}}
ENDLESS = "echo began; sleep 50\n"
DIES = "trap 'exit 0' TERM; echo up; until [ -e /tmp/die ]; do sleep 0.02; done; echo dying; exit 7"
GATE = "until [ -e /tmp/open ]; do sleep 0.02; done; " + UP


@pytest.fixture
def project(tmp_path):
    def make(services, *words, **sections):
        return make_project(tmp_path / "project", services, *words, **sections)

    return make


@pytest.fixture
def to_the_end(project, results):
    """Run services and a script to their end and return the result, proved clean."""

    def start(services, *words, **sections):
        return clean(run(LOCAL, results, project(services, *words, **sections)))

    return start


@pytest.fixture
def live(project, results):
    """Start services and a script; give the run that goes on."""

    def start(services, *words, **sections):
        return running(LOCAL, results, project(services, *words, **sections))

    return start


def clean(ended):
    """Return a run that left nothing of its own on this machine."""
    assert left_by(ended.folder.name) == [], ended.screen
    assert {node: state["clean"] for node, state in ended.details["verify"].items()} in ({"local": True}, {}), (
        ended.screen
    )
    return ended


def seconds_from(ended, name):
    """Return how long after it ran a service was given up, by what the controller heard of it, some ms late each time."""
    entry = ended.services[name]
    return entry["failed_s"] - entry["running_s"]


# -- services that do not come up -----------------------------------------------------------------------------------


def test_f38_a_service_that_flaps_has_failed_once_no_try_is_left(to_the_end):
    """The engine does not start it again by itself, whatever the Compose file says."""
    flapping = service("echo begins; sleep 1; exit 5", restart="always")
    retries = {"retry_strategy": {"service_level_retries": 2, "retry_delay": 0}}
    ended = to_the_end({"flapping": flapping, "steady": service()}, deployment=retries)
    assert ended.ends == ("fail", 1, "container_exited"), ended.screen
    message = ended.failure["message"]
    assert "service flapping on local" in message and "exited with code 5" in message
    assert "try 3; no retry is left of 2" in message
    assert ended.failure["evidence"] == ["begins"] * 3
    assert (ended.services["flapping"]["exit_code"], ended.services["flapping"]["restarts"]) == (5, 0)
    assert {name: len(found) for name, found in ended.starts().items()} == {"flapping": 3, "steady": 1}


BAD_ANSWERS = "exec python3 -m http.server 80 --directory /tmp"


@pytest.mark.parametrize(
    ("command", "check", "told", "log"),
    [
        pytest.param(
            BAD_ANSWERS,
            {"kind": "http", "port": 80, "path": "/absent"},
            "HTTP 404 from",
            "GET /absent",
            id="bad-answers",
        ),
        pytest.param("echo loading; sleep 30; echo up", None, "no line matches '^up$' yet", "loading", id="slow"),
    ],
)
def test_f38_a_service_that_is_not_ready_in_its_time_is_named_with_the_last_answer(
    to_the_end, command, check, told, log
):
    slow = service(command, check=check, init=True)
    limits = {"concurrent_execution": {"health_check_timeout": 1}}
    ended = to_the_end({"quick": service(), "slow": slow}, deployment=limits)
    assert ended.ends == ("fail", 1, "health_timeout"), ended.screen
    assert ended.failure["service"] == "slow"
    assert "service slow on local: not ready within 1 s of its start: " in ended.failure["message"]
    assert told in ended.failure["message"]
    assert log in "\n".join(ended.failure["evidence"])
    assert 0.9 <= seconds_from(ended, "slow") <= 2.0
    assert ended.services["quick"]["ready_s"] is not None


def test_f38_when_the_time_for_all_is_over_those_that_are_not_ready_are_named(to_the_end):
    services = {"slow": service("echo loading; sleep 30", init=True), "after": service(needs=["slow"])}
    ended = to_the_end(services, service_health_check={"startup_timeout": 2})
    assert ended.ends == ("fail", 1, "health_timeout"), ended.screen
    message = ended.failure["message"]
    assert message.startswith("not ready on local within 2 s: slow (no line matches '^up$' yet)")
    assert "after (waits for slow)" in message
    assert ended.failure["evidence"] == ["loading"]
    assert ended.step("deploy", "local")["seconds"] <= 3.5


@pytest.mark.parametrize(
    ("faults", "kind", "told"),
    [
        pytest.param(
            "engine_dead=500", "engine_dead", "no token came back although all services are ready", id="errors"
        ),
        pytest.param(
            "engine_dead=hang", "engine_dead", "no token came back although all services are ready", id="silent"
        ),
        pytest.param(
            "crash_after_requests=0:3", "service_died", "ended with exit status 3 after it had been ready", id="dies"
        ),
    ],
)
def test_f38_an_engine_that_is_dead_behind_a_healthy_face_is_found_by_a_token(to_the_end, faults, kind, told):
    port = free_port()
    simulated = {"SIM_ROLE": "single", "SIM_PORT": str(port), "SIM_FAULTS": faults}
    _, entry = service(check={"kind": "http", "port": port, "path": "/health"})
    engine = {"image": IMAGE, "ports": [f"{port}:{port}"], "environment": simulated}
    deep = {"strategy": "thorough", "canary_timeout": 1, "max_retries": 0}
    tested = {"client": "script", "service": "engine"}
    ended = to_the_end({"engine": (engine, entry)}, service_health_check=deep, benchmark=tested)
    assert ended.ends == ("fail", 1, kind), ended.screen
    assert ended.failure["step"] == "ready" and told in ended.failure["message"]
    assert ended.services["engine"]["ready_s"] is not None


def test_f39_what_depends_on_a_failed_service_is_never_started_and_says_whose_fault_it_is(to_the_end):
    services = {
        "db": service("echo no disk; exit 3"),
        "app": service(needs=["db"]),
        "web": service(needs=["app"]),
        "aside": service(),
    }
    ended = to_the_end(services)
    assert ended.ends == ("fail", 1, "container_exited"), ended.screen
    assert ended.failure["service"] == "db" and ended.failure["evidence"] == ["no disk"]
    assert ended.failure["message"].endswith("app, web cannot start")
    assert set(ended.starts()) <= {"db", "aside"} and "db" in ended.starts()
    assert [ended.record(name)["State"]["StartedAt"] for name in ("app", "web")] == [NEVER, NEVER]
    assert (ended.services["app"]["state"], ended.services["app"]["started_s"]) == ("created", None)


# -- ports that are taken -------------------------------------------------------------------------------------------


LISTEN = "import socket, time; s = socket.create_server(('', {port})); print(flush=True); time.sleep(300)"


@contextmanager
def strange_process(port):
    """Let a process of our own hold the port; give the words that name it, and prove that it lives on."""
    process = subprocess.Popen([sys.executable, "-c", LISTEN.format(port=port)], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        with open(f"/proc/{process.pid}/comm") as stream:
            yield f"{stream.read().strip()} (pid {process.pid})"
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


@contextmanager
def strange_container(port, *words):
    """Let a container hold the port; give its name, and prove that it lives on."""
    name = f"stranger-{port}"
    docker("run", "-d", "--name", name, "-p", f"{port}:80", *words, "--entrypoint", "sleep", IMAGE, "300")
    try:
        yield name
        assert docker("inspect", "-f", "{{.State.Running}}", name) == "true"
    finally:
        docker("rm", "-f", name)


STRANGERS = pytest.mark.parametrize("stranger", [strange_process, strange_container])


@STRANGERS
def test_f40_a_port_that_a_stranger_holds_is_named_before_anything_is_made(to_the_end, stranger):
    port = free_port()
    with stranger(port) as name:
        ended = to_the_end({"app": service(ports=[port])})
    assert ended.ends == ("error", 5, "port_conflict"), ended.screen
    assert (ended.failure["step"], ended.failure["node"]) == ("prep", "local")
    assert f"port {port} is taken by" in ended.failure["message"] and name in ended.failure["message"]


@STRANGERS
def test_f40_a_port_that_a_stranger_takes_at_the_last_moment_is_named(live, stranger):
    port = free_port()
    services = {"gate": service(GATE), "app": service(needs=["gate"], ports=[port])}
    with live(services, deployment=AT_ONCE) as going, taken_late(going, stranger(port)) as name:
        ended = clean(going.ended())
    assert ended.ends == ("error", 5, "port_conflict"), ended.screen
    assert (ended.failure["step"], ended.failure["service"]) == ("deploy", "app")
    assert f"port {port} is held by {name}" in ended.failure["message"]
    assert len(ended.starts()["gate"]) == 1 and ended.services["app"]["tries"] == 1


@contextmanager
def taken_late(going, holder):
    """Have the port taken once the service that the others wait for is starting, and then let that one be ready."""
    going.waits_for(service="gate", state="started")
    with holder as name:
        docker("exec", going.container("gate"), "touch", "/tmp/open")
        yield name


@contextmanager
def leftover(port, run_id="20010101_000000"):
    """Let a container hold the port like one that a run of this node, which is dead, has left; give its name."""
    place = f"/var/tmp/testcell-{os.geteuid()}/runs/{run_id}/made/scenario"
    labels = {"testcell.run": run_id, "com.docker.compose.project.working_dir": place}
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    name = f"leftover-{port}"
    docker("run", "-d", "--name", name, "-p", f"{port}:80", *words, "--entrypoint", "sleep", IMAGE, "300")
    try:
        yield name
    finally:
        docker("rm", "-f", name)


def names():
    return docker("ps", "-a", "--format", "{{.Names}}").splitlines()


def test_f40_what_a_dead_run_left_on_the_port_is_removed_first(to_the_end):
    port = free_port()
    with leftover(port) as name:
        ended = to_the_end({"app": service(ports=[port])})
        assert name not in names()
    assert ended.ends == ("pass", 0, ""), ended.screen
    assert ended.services["app"]["tries"] == 1
    assert any("removed what a dead run had left: 1 containers" in e.get("message", "") for e in ended.journal)


def test_f40_what_a_dead_run_has_on_the_port_at_the_last_moment_is_removed_and_the_service_started_again(live):
    port = free_port()
    services = {"gate": service(GATE), "app": service(needs=["gate"], ports=[port])}
    with live(services) as going, taken_late(going, leftover(port)) as name:
        ended = clean(going.ended())
        assert name not in names()
    assert ended.ends == ("pass", 0, ""), ended.screen
    assert (ended.services["app"]["tries"], ended.services["gate"]["tries"]) == (2, 1)
    warning = next(line for line in ended.details["warnings"] if "service app needed 2 starts" in line)
    assert "port_conflict" in warning


# -- another try ----------------------------------------------------------------------------------------------------


RECOVERS = f"if {FIRST}; then touch /tmp/again; echo not yet; exit 3; fi; {UP}"


@pytest.mark.parametrize(("only_failed", "others"), [(True, 1), (False, 2)], ids=["only-failed", "all"])
def test_a_service_that_is_good_at_its_second_start_costs_only_that(to_the_end, only_failed, others):
    """The warning says so, and the containers stay the same ones."""
    services = {"base": service(), "late": service(RECOVERS, needs=["base"]), "top": service(needs=["late"])}
    retry = {"service_level_retries": 1, "retry_delay": 0, "retry_only_failed": only_failed}
    ended = to_the_end(services, deployment={"retry_strategy": retry})
    assert ended.ends == ("pass", 0, ""), ended.screen
    starts = ended.starts()
    assert {name: len(found) for name, found in starts.items()} == {"base": others, "late": 2, "top": 1}
    assert all(len(set(found)) == 1 for found in starts.values())
    warning = next(line for line in ended.details["warnings"] if line.startswith("service late needed 2 starts"))
    assert "container_exited" in warning and "exited with code 3" in warning
    (first,) = ended.services["late"]["earlier"]
    assert first["failed_s"] <= ended.services["late"]["started_s"]
    assert ended.services["top"]["started_s"] >= ended.services["late"]["ready_s"]


class EmptyRegistry(BaseHTTPRequestHandler):
    """A registry that has no image. asked: the paths of all questions for one."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        here = self.path == "/v2/"
        if not here:
            self.asked.append(self.path)
        body = b"{}" if here else b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
        self.send_response(200 if here else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def registry():
    """The address of a registry without images."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyRegistry)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_f37_an_image_that_does_not_exist_is_asked_for_once_and_nothing_is_started(to_the_end, registry):
    absent = f"{registry}/absent:1"
    ended = to_the_end({"app": service(image=absent), "other": service()}, deployment=AT_ONCE)
    assert ended.ends == ("error", 5, "image_not_found"), ended.screen
    assert ended.failure["step"] == "deploy" and absent in ended.failure["message"]
    assert [entry["tries"] for entry in ended.services.values()] == [0, 0]
    assert not any("tried again" in entry.get("message", "") for entry in ended.journal)
    assert len([path for path in EmptyRegistry.asked if "/manifests/" in path]) <= 2


def test_no_two_services_are_in_their_start_when_one_at_a_time_may_be(to_the_end):
    services = {name: service() for name in ("a", "b", "c")}
    ended = to_the_end(services, deployment={"concurrent_execution": {"max_concurrent_services": 1}})
    assert ended.ends == ("pass", 0, ""), ended.screen
    spans = sorted((entry["started_s"], entry["running_s"]) for entry in ended.services.values())
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:], strict=False))
    assert ended.details["deployment"]["lost_to_limits_s"] > 0


# -- while the test runs --------------------------------------------------------------------------------------------


def ends_by_itself(container):
    docker("exec", container, "touch", "/tmp/die")


def kill_first_process(container):
    os.kill(int(docker("inspect", "-f", "{{.State.Pid}}", container)), signal.SIGKILL)


@pytest.mark.tries(3)
@pytest.mark.parametrize(
    ("harm", "kind", "told"),
    [
        pytest.param(ends_by_itself, "service_died", "engine on local died with exit status 7", id="exits"),
        pytest.param(kill_first_process, "service_died", "engine on local died with exit status 137", id="killed"),
        pytest.param(pause, "service_unhealthy", "engine on local turned unhealthy", id="paused"),
    ],
)
def test_f30_f38_a_service_that_was_healthy_ends_the_test_at_once_when_it_is_not(live, harm, kind, told):
    with live({"engine": service(DIES), "other": service()}, ENDLESS) as going:
        going.waits_for_test()
        done_at = time.time()
        harm(going.container("engine"))
        ended = clean(going.ended())
    assert ended.ends == ("fail", 1, kind), ended.screen
    assert (ended.failure["step"], ended.failure["node"], ended.failure["service"]) == ("test", "local", "engine")
    assert told in ended.failure["message"]
    assert kind != "service_died" or "up" in ended.failure["evidence"]
    assert ended.moment(service="engine", state="died") - done_at <= 1.0
    assert ended.step("test", "local")["t"] - done_at <= 3.0
    assert ended.file("test.log") == "began\n"
    assert {name: len(found) for name, found in ended.starts().items()} == {"engine": 1, "other": 1}


def test_f38_where_the_script_runs_on_after_a_death_the_case_fails_all_the_same(live, tmp_path):
    script = (
        f'until [ -e {tmp_path}/on ]; do sleep 0.02; done; echo ran on; echo data >"$SCENARIO_RESULT_PATH/data.txt"\n'
    )
    with live({"engine": service(DIES)}, script, test={"on_service_death": "continue"}) as going:
        going.waits_for_test()
        ends_by_itself(going.container("engine"))
        going.waits_for(service="engine", state="died")
        (tmp_path / "on").touch()
        ended = clean(going.ended())
    assert ended.ends == ("fail", 1, "service_died"), ended.screen
    assert "engine on local died with exit status 7 while the test ran" in ended.failure["message"]
    assert ended.file("test.log") == "ran on\n"
    assert ended.file("test_artifacts/results/data.txt") == "data\n"


@pytest.mark.parametrize(
    ("deaths", "ends"), [(1, ("flaky", 4, "")), (2, ("fail", 1, "service_died"))], ids=["once", "twice"]
)
def test_a_service_that_is_started_again_during_the_test_never_gives_a_clean_pass(live, tmp_path, deaths, ends):
    script = f'until [ -e {tmp_path}/on ]; do sleep 0.02; done; echo data >"$SCENARIO_RESULT_PATH/data.txt"\n'
    with live({"engine": service(), "other": service()}, script, recovery={"restart_services": 1}) as going:
        going.waits_for_test()
        engine = going.container("engine")
        docker("kill", engine)
        going.waits_for(service="engine", state="recovered")
        wait_until(lambda: docker("inspect", "-f", "{{.State.Running}}", engine) == "true", "the restart")
        if deaths > 1:
            docker("kill", engine)
            going.waits_for(service="engine", state="died")
        (tmp_path / "on").touch()
        ended = clean(going.ended())
    assert ended.ends == ends, ended.screen
    told = "service engine on local died with exit status 137 while the test ran and was started again, 1 time(s)"
    assert told in "\n".join([*ended.details["reasons"], *ended.details["warnings"]])
    assert told in ended.file("test_report.md")
    assert len(ended.services["engine"]["recovered"]) == 1
    assert {name: len(found) for name, found in ended.starts().items()} == {"engine": 2, "other": 1}
