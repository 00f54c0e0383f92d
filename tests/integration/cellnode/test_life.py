# SPDX-License-Identifier: MIT
"""Containers are made, started in turn, found ready or dead, and gone afterwards: Compose V1 and the plugin alike."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.docker

TWO = """
version: "3.7"
services:
  db:
    image: IMAGE
    command: ["sh", "-c", "sleep 0.4; nc -ll -p 5432 -e cat"]
    restart: always
    networks: [inner]
    volumes: ["data:/data", "/anonymous"]
  web:
    image: IMAGE
    depends_on: [db]
    command: ["sh", "-c", "mkdir -p /tmp/w; echo ok > /tmp/w/health; httpd -f -p 80 -h /tmp/w"]
    networks: [inner, default]
    ports: ["127.0.0.1:PORT:80"]
networks:
  inner: {}
volumes:
  data: {}
"""


@pytest.fixture
def inspect(docker_cli):
    return lambda name: json.loads(docker_cli("inspect", name))[0]


def test_services_are_made_first_and_each_starts_when_its_turn_comes(cell, compose, free_port, nothing, inspect):
    before = cell.call("snapshot")
    made = cell.compose(TWO.replace("PORT", str(free_port)), compose)
    assert {one["service"] for one in made["containers"]} == {"db", "web"}
    assert {image["id"] for image in made["images"]} == {one["image_id"] for one in made["containers"]}
    records = {one["service"]: inspect(one["id"]) for one in made["containers"]}
    assert {record["State"]["Status"] for record in records.values()} == {"created"}
    for record in records.values():
        assert record["HostConfig"]["RestartPolicy"]["Name"] in ("no", "")
        assert record["HostConfig"]["LogConfig"]["Config"] == {"max-file": "3", "max-size": "50m"}
        assert record["Config"]["Labels"]["testcell.run"] == cell.run["id"]

    assert cell.call("start", services=["db"])["started"]["db"]["ok"]
    assert inspect(records["web"]["Id"])["State"]["Status"] == "created"
    assert cell.state(service="db", kind="tcp", port=5432)["state"] == "ready"
    assert cell.call("start", services=["web"])["started"]["web"]["at_unix"] > 0
    web = cell.state(service="web", kind="http", port=free_port, path="/health")
    assert (web["state"], web["detail"]) == ("ready", f"HTTP 200 from 127.0.0.1:{free_port}/health")
    again = cell.call("start", services=["db", "web"])["started"]
    assert [again[service]["changed"] for service in ("db", "web")] == [False, False]

    assert sorted(cell.call("stop", timeout_s=0)["stopped"]) == sorted(one["name"] for one in made["containers"])
    assert not cell.call("verify", before=before, settle_s=0)["clean"]
    removed = cell.call("clean")["removed"]
    assert (removed["containers"], removed["networks"], removed["volumes"]) == (2, 2, 1)
    assert cell.left() == nothing
    verdict = cell.call("verify", before=before)
    assert verdict["leftovers"] == verdict["errors"] == []
    assert verdict["clean"]
    assert cell.call("clean")["removed"] == dict.fromkeys(removed, 0)


def test_anonymous_volumes_go_with_their_containers(cell, any_compose, inspect, docker_cli):
    made = cell.compose(
        "services:\n  a:\n    image: IMAGE\n    command: sleep 60\n    volumes: [/scratch]\n", any_compose
    )
    name = inspect(made["containers"][0]["id"])["Mounts"][0]["Name"]
    cell.call("clean")
    assert name not in docker_cli("volume", "ls", "-q")


CRASH = """
services:
  crash:
    image: IMAGE
    command: ["sh", "-c", "echo hello; sleep 1; echo dying >&2; exit 3"]
"""


def test_a_crash_after_a_second_is_told_with_its_log_and_exit_code(cell, compose):
    assert cell.up(CRASH, compose)["crash"]["ok"]
    assert cell.state(service="crash")["state"] == "ready"
    died = cell.call("watch", services=["crash"], wait_s=20)["died"]
    assert len(died) == 1
    assert (died[0]["service"], died[0]["exit_code"], died[0]["oom"]) == ("crash", 3, False)
    assert (died[0]["error_kind"], died[0]["log_tail"]) == ("service_died", ["hello", "dying"])
    state = cell.state(service="crash")
    assert (state["state"], state["error_kind"], state["exit_code"]) == ("failed", "container_exited", 3)
    assert state["log_tail"] == ["hello", "dying"]
    assert cell.call("watch", services=["crash"], known=["crash"], wait_s=0) == {"died": [], "unhealthy": []}


def test_a_crash_before_ready_ends_the_wait_at_once(cell, any_compose, free_port):
    cell.up(CRASH, any_compose)
    check = {"service": "crash", "kind": "http", "port": free_port, "path": "/"}
    answer = cell.call("ready", checks=[check], wait_s=60)["states"]["crash"]
    assert (answer["state"], answer["exit_code"]) == ("failed", 3)
    assert answer["since_s"] < 15


def test_a_container_killed_for_memory_says_so(cell, compose):
    # busybox's tail keeps what it may have to print in memory
    text = """
services:
  eater:
    image: IMAGE
    mem_limit: 12m
    memswap_limit: 12m
    command: [tail, -c, "100000000", /dev/zero]
"""
    cell.up(text, compose)
    state = cell.state(service="eater", kind="completed")
    assert state["state"] == "failed"
    assert state["exit_code"] not in (0, None)
    if not state["oom"]:
        pytest.skip("this engine's memory control group does not tell of a kill")
    assert state["error_kind"] == "container_oom"


def test_an_unknown_command_fails_at_start(cell, any_compose):
    started = cell.up("services:\n  a:\n    image: IMAGE\n    command: [no-such-program]\n", any_compose)
    assert (started["a"]["ok"], started["a"]["error_kind"]) == (False, "container_exited")
    assert "no-such-program" in started["a"]["error"]


def test_a_port_held_by_a_stranger_is_told_with_its_holder(cell, any_compose, decoys, free_port):
    name = f"decoy-{decoys.mark[:12]}"
    stranger = decoys.container(name, "-p", f"127.0.0.1:{free_port}:80")
    text = f"services:\n  a:\n    image: IMAGE\n    command: sleep 60\n    ports: ['127.0.0.1:{free_port}:80']\n"
    started = cell.up(text, any_compose)["a"]
    assert (started["ok"], started["error_kind"]) == (False, "port_conflict")
    assert started["holder"]["container"] == name
    assert started["holder"]["port"] == free_port
    cell.call("clean")
    assert stranger[:12] in decoys.there()["containers"]


def test_a_stop_takes_term_first_and_kill_after_the_grace(cell, any_compose):
    text = """
services:
  polite:
    image: IMAGE
    command: ["sh", "-c", "trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done"]
  deaf:
    image: IMAGE
    command: ["sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"]
"""
    cell.up(text, any_compose)
    cell.call("ready", checks=[{"service": "polite"}, {"service": "deaf"}], wait_s=5)
    report = cell.call("stop", timeout_s=1)
    assert (len(report["stopped"]), report["errors"]) == (2, [])
    ends = {one["service"]: one["exit_code"] for one in cell.call("evidence", mode="basic")["containers"]}
    assert ends == {"polite": 0, "deaf": 137}
