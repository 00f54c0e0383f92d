# SPDX-License-Identifier: MIT
"""Real nodes: three containers with their own sshd, engine and Compose, reached by an Ansible without any settings of ours."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
ENGINE_IMAGE = "testcell/engine-llama:1"
SCENARIO = ROOT / "scenarios" / "001_baseline"
pytestmark = pytest.mark.docker


def run(*command: str, timeout_s: float = 180) -> str:
    """Return what a command printed; it must end with 0."""
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    """Return an environment in which Ansible has no configuration and leaves no connection behind."""
    ansible = {
        "ANSIBLE_CONFIG": str(Path(__file__).with_name("ansible.cfg")),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    }
    return {**os.environ, **ansible, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


class Lab:
    """A lab of its own, beside any other on this machine."""

    def __init__(self, folder: Path, name: str, first_host: int, nodes: int, images: list[str]) -> None:
        self.name, self.folder = name, folder
        self.inventory = folder / "inventory" / "hosts"
        self.options = {
            "name": name,
            "first_host": first_host,
            "nodes": nodes,
            "images": images,
            "state_dir": str(folder / "keys"),
            "inventory": str(self.inventory),
        }

    def module(self, *flags: str, **options: Any) -> dict[str, Any]:
        """Return the result of the module lab_nodes."""
        arguments = json.dumps({**self.options, **options})
        interpreter = f"ansible_python_interpreter={sys.executable}"
        out = run(
            "ansible", "localhost", "-e", interpreter, "-m", "enginelab.testcell.lab_nodes", "-a", arguments, *flags
        )
        return dict(json.loads(out.split("=>", 1)[1]))

    def on(self, node: str, *command: str) -> str:
        """Return what a command printed on a node, over SSH by Ansible."""
        arguments = json.dumps({"argv": list(command)})
        out = run("ansible", "-i", str(self.inventory), node, "-m", "ansible.builtin.command", "-a", arguments)
        return out.split(">>\n", 1)[-1]

    def leftovers(self) -> list[str]:
        """Return every object of the engine with the lab's label."""
        mark = f"label=testcell.lab={self.name}"
        kinds = (["ps", "-a"], ["volume", "ls"], ["network", "ls"])
        return [line for kind in kinds for line in run("docker", *kind, "-q", "--filter", mark).split()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"), "labtest", 41, 3, [ENGINE_IMAGE])
    try:
        assert lab.module()["changed"]
        yield lab
    finally:
        lab.module(state="absent")


def test_second_up_changes_nothing(lab: Lab) -> None:
    again = lab.module()
    assert again["changed"] is False
    assert again["lab"]["actions"] == []


def test_every_node_answers_ansible_over_ssh_with_its_host_key_checked(lab: Lab) -> None:
    out = run("ansible", "-i", str(lab.inventory), "all", "-m", "ansible.builtin.ping")
    assert out.count('"ping": "pong"') == 3


def test_other_host_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    keys = lab.folder / "keys" / "known_hosts"
    lines = keys.read_text().splitlines()
    swapped = tmp_path / "known_hosts"
    swapped.write_text(f"{lines[0].split()[0]} {' '.join(lines[1].split()[1:])}\n")
    inventory = tmp_path / "hosts"
    inventory.write_text(lab.inventory.read_text().replace(str(keys), str(swapped)))
    command = ("ansible", "-i", str(inventory), "node1", "-m", "ansible.builtin.ping")
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert "Host key verification failed" in done.stdout + done.stderr


def test_both_kinds_of_compose_are_there_one_a_node(lab: Lab) -> None:
    assert "Docker Compose version" in lab.on("node1", "docker", "compose", "version")
    assert "docker-compose version 1." in lab.on("node3", "docker-compose", "version")
    for node, absent in (("node1", "docker-compose"), ("node3", "docker compose")):
        done = subprocess.run(
            ["docker", "exec", f"testcell-labtest-{node}", *absent.split(), "version"],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode != 0, f"{absent} is on {node}"


def test_engine_of_a_node_is_its_own(lab: Lab) -> None:
    assert "inner" in lab.on("node2", "docker", "run", "--name", "only-here", ENGINE_IMAGE, "echo", "inner")
    names = {
        node: lab.on(node, "docker", "ps", "--all", "--format", "{% raw %}{{.Names}}{% endraw %}")
        for node in ("node1", "node2")
    }
    assert ["only-here" in names[node] for node in ("node1", "node2")] == [False, True]
    lab.on("node2", "docker", "rm", "only-here")


def test_orphans_on_a_node_are_reaped(lab: Lab) -> None:
    lab.on("node1", "sh", "-c", "(setsid sleep 0.2 >/dev/null 2>&1 &)")
    time.sleep(0.5)
    assert "Z" not in lab.on("node1", "ps", "-eo", "stat=")


def test_engine_over_three_nodes_answers_the_controller(lab: Lab) -> None:
    address = {node["name"]: node["address"] for node in lab.module()["lab"]["nodes"]}
    hosts = f"export TESTCELL_HOST_RPC_1={address['node1']} TESTCELL_HOST_RPC_2={address['node3']}"
    compose = {"node1": "docker compose", "node2": "docker compose", "node3": "docker-compose"}
    for node, service in (("node1", "rpc-1"), ("node3", "rpc-2"), ("node2", "coordinator")):
        run("docker", "cp", str(SCENARIO / "docker-compose.yml"), f"testcell-labtest-{node}:/root/docker-compose.yml")
        lab.on(node, "sh", "-c", f"{hosts}; cd /root && {compose[node]} up -d --no-deps {service} 2>&1")
    try:
        body = json.dumps({"prompt": "Hello", "max_tokens": 8, "ignore_eos": True}).encode()
        answer = post(f"http://{address['node2']}:18080/v1/completions", body, tries=50)
        assert answer["usage"]["completion_tokens"] == 8
    finally:
        for node, program in compose.items():
            lab.on(node, "sh", "-c", f"{hosts}; cd /root && {program} down -v -t 1 2>&1")


def post(url: str, body: bytes, tries: int) -> dict[str, Any]:
    """Return the answer to a request, tried every 0.2 s until the server is there."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    for left in range(tries, 0, -1):
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return dict(json.load(response))
        except OSError:
            if left == 1:
                raise
            time.sleep(0.2)
    raise AssertionError("tries is at least 1")


def test_killed_node_comes_back_with_its_address_and_images(lab: Lab) -> None:
    before = lab.module()["lab"]["nodes"]
    run("docker", "kill", "testcell-labtest-node2")
    assert lab.module("--check")["lab"]["actions"] == ["start node2"]
    mended = lab.module()
    assert (mended["lab"]["actions"], mended["lab"]["nodes"]) == (["start node2"], before)
    assert "inner" in lab.on("node2", "docker", "run", "--rm", ENGINE_IMAGE, "echo", "inner")


def test_down_leaves_nothing_and_touches_nothing_else(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "small", "labsmall", 61, 1, [])
    run("docker", "volume", "create", "testcell-labsmall-of-somebody-else")
    try:
        assert lab.module()["changed"]
        assert len(lab.leftovers()) == 3
        assert lab.module(state="absent")["changed"]
        assert lab.leftovers() == []
        assert not any((tmp_path / "small").rglob("*"))
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.61", 22), timeout=2):
            pass
        assert lab.module(state="absent")["changed"] is False
        assert "testcell-labsmall-of-somebody-else" in run("docker", "volume", "ls", "-q")
    finally:
        lab.module(state="absent")
        run("docker", "volume", "rm", "testcell-labsmall-of-somebody-else")


def test_playbook_says_in_check_mode_what_it_would_do(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "playbooks", tmp_path / "playbooks")
    project = f"testcell_project_dir={tmp_path}"
    out = run("ansible-playbook", str(tmp_path / "playbooks" / "lab.yml"), "--check", "-v", "-e", project)
    assert "make a key pair" in out
    assert not (tmp_path / ".lab").exists()
