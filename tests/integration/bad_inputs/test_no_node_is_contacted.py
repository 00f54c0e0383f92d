# SPDX-License-Identifier: MIT
"""F37: what is wrong in a file is told before any node is contacted, through the command line and through site.yml.

The node of these tests is a port that counts who connects. Ids name the rows of the catalogue of bad inputs.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cellruns import ansible_command, environment, run_command

from testcell import starting

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="a node is contacted over ssh")

FOLDER = "scenarios/001_example"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHAJ4lvCC1TUBJuJdgCMm9ZrW0Yf7yD1jwOPx5mPHdQy"
IN_ALL_S = 90
SERVICE = "    image: testcell/engine-sim:1\n"
WRONG = [
    pytest.param("services: {}\n", "docker-compose.yml:1:11: services: no service is defined", id="B47"),
    pytest.param(f"services:\n  engine:\n{SERVICE}    comand: x\n", "engine.comand: unknown key", id="B42"),
    pytest.param("services:\n  engine:\n    image: bb:${TAG}\n", "engine.image: variable TAG is not set", id="B44"),
    pytest.param(
        f"services:\n  engine:\n{SERVICE}  engine:\n{SERVICE}", "services.engine: duplicate key 'engine'", id="B46"
    ),
    pytest.param(
        f"services:\n  engine:\n{SERVICE}    privileged: true\n", "engine.privileged: not allowed by policy", id="B50"
    ),
    pytest.param(
        f"services:\n  engine:\n{SERVICE}    depends_on: [engine]\n", "a service cannot wait for itself", id="B29"
    ),
]


@dataclass
class Node:
    """A node that answers nobody: a port with a count of those that connected, each of which is sent away."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    callers: int = 0

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def listen(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self.listener.accept()
                self.callers += 1
                caller.close()

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    thread = threading.Thread(target=made.listen, daemon=True)
    thread.start()
    yield made
    made.close()
    thread.join(5)


@pytest.fixture
def project(tmp_path: Path, node: Node, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that is right and runs all it has on the node; no engine answers on this machine."""
    folder = tmp_path / "project"
    starting.start(folder)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{node.port} {KEY}\n")
    (folder / "hosts").write_text(
        f"node1 ansible_host=127.0.0.1 ansible_port={node.port} testcell_node_root={tmp_path}/root"
        f" ansible_ssh_common_args='-o UserKnownHostsFile={folder}/known_hosts'\n"
    )
    metadata = folder / FOLDER / "metadata.yml"
    metadata.write_text(
        metadata.read_text().replace("node: auto\n", "node: node1\n").replace("node: local", "node: node1")
    )
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    return folder


def command(project: Path) -> tuple[int, str]:
    done = run_command("run", "example", "-i", "hosts", cwd=project, timeout=IN_ALL_S)
    return done.returncode, done.stdout + done.stderr


def playbook(project: Path, name: str = "site.yml", **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        ansible_command(project / "hosts", {"scenario": "example", **variables}, name),
        cwd=project,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=IN_ALL_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("compose", "words"), WRONG)
def test_a_wrong_compose_file_is_told_before_any_node_is_contacted(
    project: Path, node: Node, compose: str, words: str
) -> None:
    (project / FOLDER / "docker-compose.yml").write_text(compose)
    for door, code in ((command, 3), (playbook, 2)):
        ended, said = door(project)
        assert ended == code and words in said
    assert node.callers == 0
    assert not (project / "results").exists() and not (project.parent / "root").exists()


CHAOS = [
    pytest.param("events: [{kind: kil, at_s: 1}]\n", "did you mean kill?", id="B73"),
    pytest.param("events: [{kind: kill, at_s: 1, duration_s: 1, target: {node: node9}}]\n", "does not use the node 'node9'", id="B74"),
    pytest.param("events: [{kind: kill, at_s: 1, duration_s: 1, target: {node: node1}}]\n", "takes down all services (1 of 1: engine)", id="B74-total"),
    pytest.param("events: [{kind: kill, at_s: 99, duration_s: 1, target: {node: node1}}]\n", "is past the end", id="B75"),
]  # fmt: skip


@pytest.mark.parametrize(("chaos", "words"), CHAOS)
def test_a_wrong_chaos_plan_is_told_before_any_node_is_contacted(
    project: Path, node: Node, chaos: str, words: str
) -> None:
    """B73, B74, B75"""
    (project / FOLDER / "chaos.yml").write_text(chaos)
    with (project / FOLDER / "metadata.yml").open("a") as metadata:
        metadata.write("soak: {chaos_plan: chaos.yml}\n")
    asked = {"soak_profile": "soak_smoke", "topologies": "single_chaos", "duration_secs": "60"}
    ended, said = playbook(project, "playbooks/soak.yml", **asked)
    assert ended == 2 and words in said, said
    assert node.callers == 0
    assert not (project / "results").exists() and not (project.parent / "root").exists()


def test_the_node_of_these_tests_sees_who_contacts_it(project: Path, node: Node) -> None:
    ended, said = command(project)
    assert ended == 5, said
    assert node.callers > 0
