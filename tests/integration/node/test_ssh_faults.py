# SPDX-License-Identifier: MIT
"""Nodes that cannot be reached, or not any more: what it is called, how often it is tried, and that it ends."""

from __future__ import annotations

import socket
import subprocess
import threading
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.deployment import deployment
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from sshd import make_key

pytestmark = pytest.mark.docker

NOTICED_WITHIN_S = 15
# Whoever has not noticed by then hangs.
HANGS_AFTER_S = 40
TRIES = 4


def failure(way, op="lease", **args):
    """Return the error that a question to the node ends with."""
    with pytest.raises(NodeError) as caught:
        way.client.call(op, **(args or {"action": "show"}))
    return caught.value


def answers(way):
    return way.client.call("lease", action="show")["state"] == "free"


def close_port(node):
    node.stop()


def change_host_key(node):
    node.change_host_key()
    node.restart()


def forget_host_key(node):
    node.known_hosts.write_text("")


def revoke(node):
    node.revoke()


REFUSED = {
    "host key changed": (change_host_key, "ssh_hostkey"),
    "host key unknown": (forget_host_key, "ssh_hostkey"),
    "key revoked": (revoke, "ssh_auth"),
}


@pytest.mark.tries(10)
@pytest.mark.parametrize("over_link", [True, False], ids=["link", "command"])
@pytest.mark.parametrize("fault", REFUSED.values(), ids=[f"F19 {name}" for name in REFUSED])
def test_a_key_that_is_refused_is_tried_once(make_node, make_wire, reach, fault, over_link):
    spoil, kind = fault
    node = make_node()
    wire = make_wire(node)
    spoil(node)
    error = failure(reach(node, wire, over_link=over_link))
    assert (error.kind, wire.begun) == (kind, 1)
    assert str(error).startswith("node node1: ")


@pytest.mark.tries(10)
def test_f19_a_key_of_somebody_else_is_tried_once(make_node, make_wire, reach, tmp_path):
    node = make_node()
    wire = make_wire(node)
    error = failure(reach(node, wire, key=make_key(tmp_path / "other")))
    assert (error.kind, wire.begun) == ("ssh_auth", 1)


@pytest.mark.tries(10)
def test_f19_a_port_where_nobody_listens_is_tried_again(make_node, reach):
    node = make_node()
    close_port(node)
    way = reach(node)
    assert (failure(way).kind, way.reconnected) == ("ssh_refused", TRIES - 1)


@pytest.mark.tries(10)
def test_f19_a_name_that_is_not_known_is_one_of_dns(make_node, reach):
    assert failure(reach(make_node(), host="no-such-node.invalid")).kind == "dns_failure"


def the_only_place(node):
    """Return a connection that has the one place for a login; those that end take a moment to give it back."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        silent = socket.create_connection((node.host, node.port))
        if silent.recv(4) == b"SSH-":
            return silent
        silent.close()
    raise AssertionError("no place for a login in 20 s")


@pytest.mark.tries(10)
def test_f19_a_node_with_no_place_left_for_a_login_drops_it_and_is_tried_again(make_node, reach):
    node = make_node(max_startups="1")
    way = reach(node)
    with the_only_place(node):
        error = failure(way)
        assert (error.kind, way.reconnected) == ("ssh_dropped", TRIES - 1)
    the_only_place(node).close()
    assert answers(way)


@pytest.mark.tries(10)
@pytest.mark.parametrize("over_link", [True, False], ids=["link", "command"])
def test_f19_a_node_whose_sshd_is_started_again_is_reached_again(make_node, reach, over_link):
    node = make_node()
    way = reach(node, over_link=over_link)
    assert answers(way)
    node.restart()
    assert answers(way)
    assert way.reconnected == int(over_link)


SILENT = {"F14 both ways": ("requests", "replies"), "F16 replies": ("replies",), "F16 requests": ("requests",)}


@pytest.mark.tries(17)  # of each way to fall silent three paths notice: 50 tries and one more
def test_f14_f16_a_node_that_falls_silent_has_timed_out_on_every_path(make_node, reach):
    """All at once, since each takes its time: an answer that is waited for, a deployment, and a new command."""
    found, asked = {}, []
    for name, directions in SILENT.items():
        node = make_node()
        link, told, command = reach(node), reach(node), reach(node, over_link=False)
        for way in (link, told, command):
            assert answers(way)
        told.client.run = {"id": "r1", "scenario": "s", "case": "", "attempt": 1}
        told.client.run["epoch"] = told.client.call("lease", action="acquire", ttl_s=60)["epoch"]
        deploying = deployment(told.client, [], {"max_health_checks": 1, "limit_s": 60})
        deploying.order([], [])
        deploying.watched()
        node.spoil(*directions)
        for path, work in (
            ("answer", lambda way=link: way.client.call("lease", action="show")),
            ("deployment", lambda one=deploying: listen(one)),
            ("command", lambda way=command: way.client.call("lease", action="show")),
        ):
            asked.append(threading.Thread(target=note, args=(found, (name, path), work), daemon=True))
    began = time.monotonic()
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join(max(0.0, HANGS_AFTER_S - (time.monotonic() - began)))
    paths = ("answer", "deployment", "command")
    assert {key: kind for key, (kind, _) in found.items()} == dict.fromkeys(
        [(name, path) for name in SILENT for path in paths], "ssh_timeout"
    )
    assert max(seconds for _, seconds in found.values()) <= NOTICED_WITHIN_S, found


def listen(deploying):
    end = time.monotonic() + HANGS_AFTER_S
    while time.monotonic() < end:
        deploying.events()
        time.sleep(0.05)


def note(found, key, work):
    began = time.monotonic()
    try:
        work()
    except NodeError as exc:
        found[key] = (exc.kind, round(time.monotonic() - began, 1))


USER_ARGS = {
    "a master that is left open": "-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={socket}",
    "no limits at all": "-o ControlPath={socket}",
}


@pytest.mark.tries(10)
@pytest.mark.parametrize("args", USER_ARGS.values(), ids=[f"F15 {name}" for name in USER_ARGS])
def test_f15_a_revoked_key_gets_nowhere_whatever_connection_is_still_open(make_node, reach, tmp_path, args):
    node = make_node()
    control = tmp_path / "c"
    common = f"-F /dev/null -p {node.port} -i {node.key} -o UserKnownHostsFile={node.known_hosts} -S {control}"
    subprocess.run(["ssh", *common.split(), "-fNM", f"root@{node.host}"], check=True, timeout=30, capture_output=True)
    try:
        given = args.format(socket=control)
        for over_link in (True, False):
            assert answers(reach(node, args=given, over_link=over_link))
        node.revoke()
        shared = ["ssh", *common.split(), f"root@{node.host}", "true"]
        assert subprocess.run(shared, check=False, timeout=30).returncode == 0, (
            "the master still serves the revoked key"
        )
        kinds = {failure(reach(node, args=given, over_link=over_link)).kind for over_link in (True, False)}
        assert kinds == {"ssh_auth"}
    finally:
        subprocess.run(["ssh", "-S", str(control), "-O", "exit", "x"], check=False, timeout=30, capture_output=True)


@pytest.mark.tries(10)
def test_f15_a_socket_without_its_master_is_no_hindrance(make_node, reach, tmp_path):
    control = tmp_path / "c"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(control))
    assert control.exists()
    way = reach(make_node(), args=f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={control}")
    assert answers(way)
