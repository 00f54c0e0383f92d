# SPDX-License-Identifier: MIT
"""A Docker engine that is frozen for a minute, or dies again and again, while a run deploys, tests or cleans."""

from __future__ import annotations

import time

import pytest
from cellruns import LAB_INVENTORY, NODES, leavings, on_node, run_command
from deployments import UP, WRITES, make_project, running, service
from node_engine import freeze_engine, kill_again_and_again, resurrect

pytestmark = [pytest.mark.docker, pytest.mark.lab]

ENDLESS = "echo began; sleep 200\n"
LOADING = "echo loading; " + UP.replace("echo up", ":")
STEADY = {"steady": service(node="node1")}
PHASES = {"deploy": LOADING, "test": UP}
# What the catalogue allows for a node to be clean once its engine is back.
RTO_S = 60.0
# Ten seconds of a probe, the two between probes, and what a loaded machine adds.
NOTICED_S = 20.0
ENDS_S = 200


@pytest.fixture
def live(lab, results, tmp_path):
    """Start a service on node1, one on node2, and a script; give the run that goes on."""

    def start(command, script, **more):
        services = STEADY | {"slow": service(command, node="node2", **more)}
        project = make_project(tmp_path / "project", services, script, test={"timeout": 300})
        return running(lab, results, project)

    return start


def reach(going, phase):
    """Wait until the run is in this phase on node2."""
    if phase == "test":
        going.waits_for_test()
    else:
        wanted = {
            "deploy": {"service": "slow", "state": "started"},
            "clean": {"step": "stop", "phase": "begin", "node": "node2"},
        }
        going.waits_for(**wanted[phase])


@pytest.fixture
def at_length(request):
    """Whether faults last as long as the catalogue says, which is so where each is tried as often as it says."""
    return request.config.getoption("all_tries")


def left():
    return {node: leavings(node) for node in NODES}


NOTHING = {node: [] for node in NODES}


def clean_at(ended, node):
    """Return when a node was proved to be clean, by the run or else by the cleanup after it; nothing is left anywhere then."""
    if ended.details["verify"][node]["clean"]:
        at = ended.step("verify", node)["t"]
    else:
        cleaned = run_command("cleanup", "--all", "--lift", "-i", LAB_INVENTORY)
        assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
        at = float(on_node(node, "date +%s.%N"))
    assert left() == NOTHING, ended.screen
    return at


def assert_named(ended, kind, phase):
    """The node whose engine was away is to blame within the time of the probes, and the evidence of the other is there."""
    assert ended.ends[::2] == ("error", kind), ended.screen
    assert (ended.failure["step"], "node2" in ended.failure["message"]) == (phase, True), ended.screen
    assert ended.file("nodes/node1/services/steady.log") == "up\n"


def waited_for(ended):
    return any("did not answer and was waited for" in line for line in ended.details["warnings"])


SOMETIMES = [pytest.param("deploy", marks=pytest.mark.long), "test"]


@pytest.mark.tries(3)
@pytest.mark.parametrize("phase", SOMETIMES)
def test_f29_an_engine_that_is_frozen_for_a_minute_is_named_at_once_and_its_node_is_clean_soon_after(
    live, phase, at_length
):
    with live(PHASES[phase], ENDLESS) as going:
        reach(going, phase)
        began = time.time()
        thawed = freeze_engine("node2", 60 if at_length else 14)
        failed = going.waits_for(step=phase, node="node2", phase="end", ok=False)
        ended = going.ended(ENDS_S)
        thawed_at = thawed()
    assert_named(ended, "docker_timeout", phase)
    assert failed["t"] - began <= NOTICED_S
    assert clean_at(ended, "node2") - thawed_at <= RTO_S
    assert ended.file("nodes/node2/services/slow.log") == ("loading\n" if phase == "deploy" else "up\n")
    assert not at_length or waited_for(ended)


@pytest.mark.long
@pytest.mark.tries(3)
def test_f29_an_engine_that_is_frozen_while_its_node_is_cleaned_costs_time_and_nothing_else(live):
    with live(UP, WRITES) as going:
        reach(going, "clean")
        thawed = freeze_engine("node2", 60)
        ended = going.ended(ENDS_S)
        thawed_at = thawed()
    assert ended.ends == ("pass", 0, ""), ended.screen
    assert clean_at(ended, "node2") - thawed_at <= RTO_S


@pytest.mark.tries(3)
@pytest.mark.parametrize("phase", SOMETIMES)
def test_f29_an_engine_that_dies_again_and_again_and_starts_its_containers_is_named(live, phase, at_length):
    times = 10 if at_length else 2
    with live(PHASES[phase], ENDLESS, restart="always") as going:
        reach(going, phase)
        policies = on_node("node2", "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' $(docker ps -q)")
        assert policies.split() == ["no"], "a restart policy of the scenario's is not used"
        resurrect("node2")
        over = kill_again_and_again("node2", times)
        ended = going.ended(ENDS_S)
        running_then, back_at = over()
    assert_named(ended, "docker_daemon_down", phase)
    assert running_then[0] == 1 and (not at_length or running_then[1] == 1), "the engine has started the service again"
    assert clean_at(ended, "node2") - back_at <= RTO_S
