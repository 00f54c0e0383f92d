# SPDX-License-Identifier: MIT
"""Whole runs over SSH of services that fail or lose their Docker engine: what the other nodes make of it."""

from __future__ import annotations

import time

import pytest
from cellruns import LAB_INVENTORY, NODES, leavings, on_node, run_command
from deployments import FIRST, UP, make_project, run, running, service
from node_engine import ENGINE, engine_down, engine_frozen

pytestmark = [pytest.mark.docker, pytest.mark.lab]

ENDLESS = "echo began; sleep 50\n"
NEVER = "0001-01-01T00:00:00Z"


@pytest.fixture
def project(tmp_path):
    def make(services, *words, **sections):
        return make_project(tmp_path / "project", services, *words, **sections)

    return make


@pytest.fixture
def to_the_end(lab, project, results):
    """Run services and a script to their end and return the result, with nothing left on any node."""

    def start(services, *words, **sections):
        return clean(run(lab, results, project(services, *words, **sections)))

    return start


@pytest.fixture
def live(lab, project, results):
    """Start services and a script; give the run that goes on."""

    def start(services, *words, **sections):
        return running(lab, results, project(services, *words, **sections))

    return start


def clean(ended):
    """Return a run that left nothing on any node."""
    assert {node: leavings(node) for node in NODES} == {node: [] for node in NODES}, ended.screen
    assert all(state["clean"] for state in ended.details["verify"].values()), ended.screen
    return ended


# -- an engine that goes away ---------------------------------------------------------------------------------------


TWO = {"steady": service(node="node1"), "slow": service("echo loading; " + UP.replace("echo up", ":"), node="node2")}


def assert_names_the_node(ended, kind):
    """The node whose engine is away is to blame, within the limit, and the others' evidence is there."""
    assert (ended.summary["verdict"], ended.failure["error_kind"]) == ("error", kind), ended.screen
    assert (ended.failure["step"], ended.failure["node"]) == ("deploy", "node2")
    assert "node2" in ended.failure["message"]
    assert ended.file("nodes/node1/services/steady.log") == "up\n"
    assert ended.services["steady"]["state"] == "running"
    other = ended.step("deploy", "node1")
    assert other["failure"]["error_kind"] == "dependency_failed" and "node2" in other["failure"]["message"]


def assert_cleanup_is_clean():
    cleaned = run_command("cleanup", "--all", "-i", LAB_INVENTORY)
    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
    assert {node: leavings(node) for node in NODES} == {node: [] for node in NODES}


@pytest.mark.tries(3)
def test_f29_an_engine_that_is_killed_is_named_and_cleanup_is_clean_once_it_is_back(live):
    with live(TWO) as going:
        going.waits_for(service="slow", state="started")
        with engine_down("node2"):
            done_at = time.time()
            ended = going.ended()
    assert_names_the_node(ended, "docker_daemon_down")
    assert ended.summary["exit_code"] == 7 and "not clean: node2;" in ended.summary["reasons"][0]
    assert ended.step("deploy", "node2")["t"] - done_at <= 15.0
    assert leavings("node1") == [] and leavings("node2") != []
    assert_cleanup_is_clean()


@pytest.mark.tries(3)
def test_f29_an_engine_that_is_frozen_is_named_in_time_and_cleaned_once_it_goes_on(live):
    with live(TWO) as going:
        going.waits_for(service="slow", state="started")
        with engine_frozen("node2"):
            done_at = time.time()
            going.waits_for(step="deploy", node="node2", phase="end", ok=False)
        ended = clean(going.ended())
    assert_names_the_node(ended, "docker_timeout")
    assert ended.summary["exit_code"] == 5
    assert ended.step("deploy", "node2")["t"] - done_at <= 15.0
    assert ended.file("nodes/node2/services/slow.log") == "loading\n"


@pytest.mark.tries(3)
@pytest.mark.parametrize(("during", "how"), [("deploy", "TERM"), ("test", "KILL")])
def test_f29_an_engine_that_is_started_again_is_to_blame_for_what_ended_with_it(live, during, how):
    with live(TWO if during == "deploy" else TWO | {"slow": service(node="node2")}, ENDLESS) as going:
        if during == "deploy":
            going.waits_for(service="slow", state="started")
        else:
            going.waits_for_test()
        on_node("node2", f"kill -{how} {ENGINE}")
        ended = clean(going.ended())
    assert ended.ends == ("error", 5, "docker_daemon_down"), ended.screen
    assert (ended.failure["step"], ended.failure["service"]) == (during, "slow")
    assert "the Docker engine of node2 went away and was started again" in ended.failure["message"]
    assert len(ended.starts("node1")["steady"]) == 1


# -- services that fail ---------------------------------------------------------------------------------------------


SERVES = "python3 -u -m http.server {port} & echo up; wait"
ASKS = "python3 -c \"import urllib.request as r; r.urlopen('http://$OTHER:{port}', timeout=5)\" && " + UP
ON_HOST = {"node": "node1", "network_mode": "host"}


def test_services_on_the_network_of_their_node_find_the_others_and_are_found(to_the_end):
    services = {
        "engine": service(SERVES.format(port=18300), check={"kind": "http", "port": 18300}, **ON_HOST),
        "worker": service(SERVES.format(port=18301), node="node1", ports=[18301]),
        "front": service(
            ASKS.format(port=18300), needs=["engine"], node="node1", environment={"OTHER": "${TESTCELL_HOST_ENGINE}"}
        ),
        "reader": service(
            ASKS.format(port=18301), needs=["worker"], environment={"OTHER": "${TESTCELL_HOST_WORKER}"}, **ON_HOST
        ),
    }
    ended = to_the_end(services)
    assert ended.ends == ("pass", 0, ""), ended.screen
    assert ended.details["verify"]["node1"]["foreign"] == []


def test_f39_a_node_whose_services_wait_for_a_failed_one_elsewhere_says_whose_fault_it_is(to_the_end):
    services = {
        "db": service("echo no disk; exit 3", node="node1"),
        "app": service(node="node2", needs=["db"]),
        "web": service(node="node3", needs=["app"]),
    }
    ended = to_the_end(services)
    assert ended.ends == ("fail", 1, "container_exited"), ended.screen
    assert (ended.failure["node"], ended.failure["service"]) == ("node1", "db")
    assert ended.failure["message"].endswith("app, web cannot start")
    for node, name in (("node2", "app"), ("node3", "web")):
        assert ended.record(name, node)["State"]["StartedAt"] == NEVER
        held = ended.step("deploy", node)["failure"]
        assert held["error_kind"] == "dependency_failed"
        assert held["message"] == f"{name} on {node} cannot start: db failed on node1"


def test_a_retry_costs_the_service_of_one_node_and_the_others_wait_for_it(to_the_end):
    recovers = f"if {FIRST}; then touch /tmp/again; echo not yet; exit 3; fi; {UP}"
    services = {
        "aside": service(node="node1"),
        "db": service(recovers, node="node2"),
        "app": service(node="node3", needs=["aside", "db"]),
    }
    ended = to_the_end(services, deployment={"retry_strategy": {"service_level_retries": 1, "retry_delay": 0}})
    assert ended.ends == ("pass", 0, ""), ended.screen
    assert {name: entry["tries"] for name, entry in ended.services.items()} == {"aside": 1, "db": 2, "app": 1}
    assert [len(ended.starts(node)[name]) for name, node in (("aside", "node1"), ("db", "node2"))] == [1, 2]
    assert len(set(ended.starts("node2")["db"])) == 1
    assert ended.services["app"]["started_s"] >= ended.services["db"]["ready_s"]
    assert any(line.startswith("service db needed 2 starts") for line in ended.details["warnings"])


def test_no_two_services_of_a_node_are_in_their_start_when_one_a_node_may_be(to_the_end):
    services = {f"{letter}{n}": service(node=f"node{n}") for n in (1, 2) for letter in "abc"}
    limits = {"max_concurrent_services": 0, "max_concurrent_services_per_node": 1}
    ended = to_the_end(services, deployment={"concurrent_execution": limits})
    assert ended.ends == ("pass", 0, ""), ended.screen
    spans = {
        node: sorted((s["started_s"], s["running_s"]) for s in ended.services.values() if s["node"] == node)
        for node in ("node1", "node2")
    }
    for found in spans.values():
        assert all(before[1] <= after[0] for before, after in zip(found, found[1:], strict=False))
    assert any(a[0] < b[1] and b[0] < a[1] for a in spans["node1"] for b in spans["node2"]), spans


@pytest.mark.tries(3)
def test_f30_a_killed_shim_on_one_node_ends_the_test_on_another(live):
    with live(TWO | {"slow": service(node="node2")}, ENDLESS, test={"node": "node3"}) as going:
        going.waits_for_test()
        done_at = time.time()
        find = "docker inspect -f '{{.State.Pid}}' $(docker ps -q --filter label=testcell.run)"
        shim = on_node("node2", f"ps -o ppid= -p $({find})").strip()
        assert "containerd-shim" in on_node("node2", f"cat /proc/{shim}/cmdline")
        on_node("node2", f"kill -KILL {shim}")
        ended = clean(going.ended())
    assert ended.ends == ("fail", 1, "service_died"), ended.screen
    assert (ended.failure["step"], ended.failure["service"]) == ("test", "slow")
    assert "service slow on node2 died" in ended.failure["message"]
    assert ended.moment(service="slow", state="died") - done_at <= 2.0
    assert ended.step("test", "node3")["t"] - done_at <= 4.0
    assert ended.file("test.log") == "began\n"
