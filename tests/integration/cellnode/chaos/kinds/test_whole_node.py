# SPDX-License-Identifier: MIT
"""F16, F18: faults of a whole node's network, on a node of the lab's image: it is never cut off from its keepers."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NODE = "testcell/node:1"
# One step of an event, in a process of its own on the node.
STEP = """import json, sys
from pathlib import Path
sys.path.insert(0, "/cellnode.pyz")
from cellnode.chaos import kinds
from cellnode.chaos.fault import Aim, Place
from cellnode.context import Context, RunRef
from cellnode.engine import connect
from cellnode.errors import CellError
asked = json.load(sys.stdin)
root = Path("/var/tmp/testcell-test")
root.mkdir(mode=0o700, exist_ok=True)
ctx = Context(root, RunRef(asked["run"], "001_it"))
place, aim = Place(ctx, connect({}), root / "event", "event.0"), Aim("", "", 0, asked["params"])
fault, step, record = kinds.find(asked["kind"]), asked["step"], asked["record"]
call = {"lacking": (place, aim.params), "prepare": (place, aim), "undo": (place, record), "left": (place, record)}
try:
    answer = getattr(fault, step)(*call.get(step, (place, aim, record)))
    print(json.dumps({"answer": vars(answer) if step == "effect" else answer}))
except CellError as exc:
    print(json.dumps({"error": [exc.kind, exc.message]}))
"""
# A service of the node that is no SSH.
SERVICE = "import http.server as h; h.HTTPServer(('', 9000), h.BaseHTTPRequestHandler).serve_forever()"


@dataclass
class Node:
    """A node of its own, and one event on it."""

    name: str
    address: str
    docker: Any
    kind: str = "network_cut"
    params: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def answer(self, step: str) -> dict[str, Any]:
        """Return what a step says."""
        asked = {"kind": self.kind, "step": step, "params": self.params, "record": self.record, "run": self.run}
        argv = ["docker", "exec", "-i", self.name, "python3", "-I", "-S", "-E", "-c", STEP]
        done = subprocess.run(argv, input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def step(self, name: str) -> Any:
        """Return the answer of a step, which must be none of the errors."""
        found = self.answer(name)
        assert "answer" in found, found
        return found["answer"]

    def rules(self) -> list[str]:
        """Return the rules of the node that are ours."""
        saved = self.docker("exec", self.name, "iptables-save").splitlines()
        return [line for line in saved if "testcell-" in line]

    def felt(self, kind: str, **params: Any) -> dict[str, Any]:
        """Go through control and injection; return what is measured."""
        self.kind, self.params, self.record = kind, params, {}
        assert self.step("lacking") == ""
        control = self.step("effect")
        assert not control["applied"] and control["why"], control
        self.record = self.step("prepare")
        self.step("inject")
        effect = self.step("effect")
        assert effect["applied"], effect
        return effect["measured"]

    def ended(self) -> None:
        """Undo it twice; nothing is left."""
        for _ in range(2):
            self.step("undo")
            assert self.step("left") == []
        assert self.rules() == []
        assert not self.step("effect")["applied"]

    def connects(self, port: int) -> bool:
        """Return whether a connection to a port of the node comes about within 1 s."""
        try:
            socket.create_connection((self.address, port), timeout=1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def node(docker_cli, network, program: Path):
    """A node that runs sshd and another service, and no engine."""
    if not docker_cli("images", "-q", NODE, check=False):
        pytest.skip(f"the image {NODE} is absent (make images)")
    name = f"testcell-chaos-{uuid.uuid4().hex[:8]}"
    start = 'ssh-keygen -A >/dev/null; mkdir -p /run/sshd; /usr/sbin/sshd; exec python3 -c "$SERVICE"'
    may = ("--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")
    words = (*may, "--network", network, "-e", f"SERVICE={SERVICE}", "--entrypoint", "sh")
    docker_cli("run", "-d", "--name", name, *words, NODE, "-c", start)
    docker_cli("cp", str(program), f"{name}:/cellnode.pyz")
    address = docker_cli("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
    made = Node(name, address, docker_cli)
    deadline = time.monotonic() + 30
    while not (made.connects(22) and made.connects(9000)):
        assert time.monotonic() < deadline, "the node's services do not listen"
    yield made
    docker_cli("rm", "-fv", name)


@pytest.mark.parametrize("direction", ["both", "in", "out"])
def test_a_cut_node_is_still_reached_by_ssh(node, direction):
    """F16: an open session goes on and a new one comes about; everything else is dead, and alive again after the undo."""
    with closing(socket.create_connection((node.address, 22), timeout=20)) as session:
        banner = session.recv(200)
        assert banner.startswith(b"SSH-2.0-")
        measured = node.felt("network_cut", direction=direction)
        assert measured["loss_round_trip_pct"] == 100
        session.sendall(b"SSH-2.0-test\r\n")
        assert session.recv(4096)  # the offer of algorithms
        assert node.connects(22)
        assert not node.connects(9000)
        node.ended()
    assert node.connects(9000)


def test_the_nodes_own_traffic_within_is_untouched(node):
    """Loopback works while the node is cut."""
    node.felt("network_cut")
    ask = "import socket; socket.create_connection(('127.0.0.1', 9000), timeout=5)"
    node.docker("exec", node.name, "python3", "-c", ask)
    node.ended()


def test_a_port_that_the_plan_names_stays_open_too(node):
    node.felt("network_cut", keep_ports=[9000])
    assert node.record["keep"] == [22, 9000]
    assert node.connects(9000)
    node.ended()


def test_a_node_that_nobody_could_reach_any_more_is_not_cut(node):
    """Without sshd, and without a port that the plan names."""
    node.docker("exec", node.name, "sh", "-c", "kill $(cat /run/sshd.pid)")
    deadline = time.monotonic() + 20
    while node.connects(22):
        assert time.monotonic() < deadline
    kind, message = node.answer("prepare")["error"]
    assert kind == "chaos_unsupported"
    assert message.startswith("no sshd is seen on this node; a fault of the whole node would cut it off. ")
    assert node.rules() == []


def test_a_lossy_node(node):
    """F18."""
    assert 8 <= node.felt("network_loss", loss_pct=20, direction="in")["loss_round_trip_pct"] <= 36
    node.ended()


def test_a_slow_node(node):
    """F18: by rules, since a queue would hold up the sessions of its keepers, too."""
    measured = node.felt("network_rate", rate_kbit=512)
    assert 0 < measured["rate_round_trip_kbit"] <= 1024 < measured["before_round_trip_kbit"]
    assert node.connects(22)
    node.ended()


def test_a_node_without_an_answer_from_outside_is_not_cut(node):
    """F67: what cannot be measured is not injected."""
    node.params = {"probe": "127.255.255.254", "interfaces": ["eth0"]}
    node.docker("exec", node.name, "iptables", "-A", "OUTPUT", "-p", "icmp", "-j", "DROP")
    kind, message = node.answer("prepare")["error"]
    assert kind == "chaos_unsupported"
    assert message.startswith("no address outside answers an echo request (asked: 127.255.255.254)")
