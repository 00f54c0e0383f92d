# SPDX-License-Identifier: MIT
"""Nodes behind an sshd of their own, reached as a step of a run reaches them: by our action over Ansible's connection."""

from __future__ import annotations

import configparser
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader, init_plugin_loader, shell_loader
from ansible.template import Templar
from ansible_collections.enginelab.testcell.plugins.action._node import NodeAction
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.board import Board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.client import NodeClient
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.line import Line, ending_all
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.persistence import Persistence
from sshd import IMAGE, Sshd
from wire import Wire

ROOT = Path(__file__).resolve().parents[3]
NAME = "node1"


class Asking(NodeAction):
    """An action that only asks the node."""

    def run(self, tmp=None, task_vars=None):
        return {}


class Reach:
    """A way to a node. client: the node's program as a step calls it, which makes no pause between tries.

    over_link: whether it is asked over a link or by a command a call. reconnected: how often it was tried again.
    """

    def __init__(self, node: Sshd, folder: Path, host: str, port: int, key: Path, over_link: bool, args: str) -> None:
        self.reconnected = 0
        self.board = Board(folder)
        self.connection = connection(node, host, port, key, args)
        self.action = action(self.connection)
        self.client: NodeClient = self.action.client(
            {"inventory_hostname": NAME, "testcell_node_root": "/tmp/root"}, "me", None
        )
        self.client.reconnect = self._count
        self.client.persist = Persistence(NAME, self._count, lambda _pause_s: None, time.monotonic)
        self.line = Line(self.board, NAME, lambda: self.action.kept_open(self.client.serving()), os.getpid())
        if over_link:
            self.client.line = self.line

    def _count(self) -> None:
        self.reconnected += 1

    def close(self) -> None:
        self.line.lose()
        with ending_all(self.board):
            pass


def configured_ssh_args() -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "ansible.cfg")
    return parser["ssh_connection"]["ssh_args"]


def connection(node: Sshd, host: str, port: int, key: Path, args: str):
    """Return Ansible's ssh connection with options as an inventory gives them."""
    found = connection_loader.get("ansible.builtin.ssh", PlayContext(), os.devnull)
    common = f"-F /dev/null -o UserKnownHostsFile={node.known_hosts} -o GlobalKnownHostsFile=/dev/null"
    options = {
        "ansible_host": host, "ansible_port": port, "ansible_user": "root", "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": f"{common} -o IdentitiesOnly=yes",
        "ansible_ssh_args": args or configured_ssh_args(), "ansible_pipelining": True,
    }  # fmt: skip
    found.set_options(var_options=options)
    found.set_option("host_key_checking", False)  # as AWX and ansible-runner have it by themselves
    found._shell = shell_loader.get("sh")
    return found


def action(way) -> Asking:
    loader = DataLoader()
    task = SimpleNamespace(
        check_mode=False, async_val=0, args={}, environment=[], become=False, diff=False, no_log=False, action="x"
    )
    return Asking(
        task=task, connection=way, play_context=PlayContext(), loader=loader, templar=Templar(loader),
        shared_loader_obj=None,
    )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _plugins():
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False, timeout=30).returncode:
        pytest.skip(f"{IMAGE} is not there; make it with `make images`")
    init_plugin_loader([str(ROOT / "collections")])


@pytest.fixture
def make_node(tmp_path):
    """Return a function that starts a node; all end with the test."""
    made = []

    def make(**settings) -> Sshd:
        node = Sshd(tmp_path / f"sshd{len(made)}", **settings)
        made.append(node)
        node.start()
        return node

    yield make
    for node in made:
        node.stop()


@pytest.fixture
def make_wire():
    """Return a function that puts a wire before a node; all are closed with the test."""
    made = []

    def make(node: Sshd, **settings) -> Wire:
        made.append(Wire((node.host, node.port), **settings))
        node.know(*made[-1].address)
        return made[-1]

    yield make
    for wire in made:
        wire.close()


@pytest.fixture
def reach(tmp_path):
    """Return a function that makes a way to a node, by its wire where one is given; all are closed with the test."""
    made = []

    def make(node: Sshd, wire: Wire | None = None, *, over_link=True, host="", port=0, key=None, args="") -> Reach:
        place = wire.address if wire else (node.host, node.port)
        folder = tmp_path / f"board{len(made)}"
        folder.mkdir()
        way = Reach(node, folder, host or place[0], port or place[1], key or node.key, over_link, args)
        made.append(way)
        return way

    yield make
    for way in made:
        way.close()
