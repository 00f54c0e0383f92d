# SPDX-License-Identifier: MIT
"""Where the crash sweep runs: this machine as one node, or the lab's three over SSH; what runs there and what is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import rig
from overhead import Sleeper
from rig import BIN, IMAGE, INVENTORY, NODES, ROOT, Project, Scenario

CASES = ("first", "second")
DECOYS = ("testcell-decoy", "first-sleeper-1")
DECOY = "crash-sweep.decoy"  # the label by which a sweep knows those of an earlier one that was killed
LABEL = "com.docker.compose.project=first"  # as if they were of a scenario of the sweep
LIMIT_S = 120.0
SETTLE_S = 3.0
HERE = "here"
LAB_ROOT = "/var/tmp/testcell-0"
# A line for each time that a test was run to its end.
SCRIPT = 'echo "$TESTCELL_RUN_ID" >> {ledger}'
# Objects by label, folders of runs, marked processes, and programs that wait for requests; read from standard input, so
# that this process itself is none of them.
SEEN = """
import glob, os, subprocess
root = {root!r}
for kind in ("container ls -aq", "network ls -q", "volume ls -q"):
    words = ["docker", *kind.split(), "--filter", "label=testcell.run"]
    print(subprocess.run(words, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout)
if os.path.isdir(root + "/runs"):
    print("\\n".join(os.listdir(root + "/runs")))
for path in glob.glob("/proc/[0-9]*"):
    try:
        with open(path + "/environ", "rb") as environ, open(path + "/cmdline", "rb") as command:
            if b"TESTCELL_UNIT=" in environ.read() or root.encode() in command.read():
                print("process-" + os.path.basename(path))
    except OSError:
        pass
"""
Shell = Callable[[str, Sequence[str], str], str]


@dataclass(frozen=True)
class Cell:
    """Nodes and a project of two scenarios for them. shell: what a command prints on a node, given its standard input.

    root: of the nodes; ledgers: the folder on the first node where tests leave their lines; others: what was on the nodes
    before, of runs that are not this sweep's.
    """

    name: str
    nodes: tuple[str, ...]
    project: Project
    inventory: Path
    root: str
    ledgers: str
    shell: Shell
    others: frozenset[str] = frozenset()

    def start(self) -> subprocess.Popen[bytes]:
        """Start a run as a user does, in a session of its own."""
        given = {
            "testcell_project_dir": self.project.folder,
            "scenario": ",".join(CASES),
            "results_dir": self.project.folder / "results",
        }
        words = [BIN / "ansible-playbook", "-i", self.inventory, ROOT / "site.yml"]
        command = [*map(str, words), "-e", json.dumps({name: str(value) for name, value in given.items()})]
        return self._started(command)

    def begun(self, *words: str) -> subprocess.Popen[bytes]:
        """Start our command line, in a session of its own."""
        return self._started(self.words(*words))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run our command line to its end."""
        return subprocess.run(self.words(*words), capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def ledger(self, case: str) -> list[str]:
        """Return the run of each time that a case's test was run to its end."""
        return self.shell(
            self.nodes[0], ("sh", "-c", f"cat {self.ledgers}/{case}.ledger 2>/dev/null; true"), ""
        ).split()

    def left(self) -> list[str]:
        """Return what of ours is on the nodes, when what ends by itself has had a moment for that."""
        deadline = time.monotonic() + SETTLE_S
        while (found := self.seen() - self.others) and time.monotonic() < deadline:
            time.sleep(0.05)
        return sorted(found)

    def strangers(self) -> dict[str, str]:
        """Return node and name -> id and start of the stranger's containers that run."""
        format_ = "{{.Name}} {{.Id}} {{.State.StartedAt}} {{.State.Running}}"
        words = ("sh", "-c", f"docker inspect -f '{format_}' {' '.join(DECOYS)}; true")
        return {node: self.shell(node, words, "") for node in self.nodes}

    def seen(self) -> frozenset[str]:
        """Return what of any run is on the nodes now."""
        program = SEEN.format(root=self.root)
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            found = pool.map(lambda node: self.shell(node, ("python3", "-I", "-"), program).split(), self.nodes)
            return frozenset(f"{node}: {what}" for node, seen in zip(self.nodes, found, strict=True) for what in seen)

    def words(self, *words: str) -> list[str]:
        """Return a call of our command line."""
        return [str(BIN / "testcell"), "-C", str(self.project.folder), *words, "-i", str(self.inventory)]

    def _started(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return subprocess.Popen(
            command,
            cwd=self.project.folder,
            env={**kept, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def _here(_node: str, words: Sequence[str], stdin: str) -> str:
    command = [sys.executable if word == "python3" else word for word in words]
    return subprocess.run(command, input=stdin, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S).stdout


def _in_lab(node: str, words: Sequence[str], stdin: str) -> str:
    return rig.on_node(node, *words, stdin=stdin)


@contextmanager
def local() -> Iterator[Cell]:
    """Give a cell whose one node is this machine, with a folder of its own as the node's root."""
    with rig.project() as project:
        root = project.folder / "node"
        inventory = project.folder / "hosts"
        inventory.write_text(f"{HERE} ansible_connection=local testcell_node_root={root}\n")
        yield from _furnished(Cell("local", (HERE,), project, inventory, str(root), str(project.folder), _here))


@contextmanager
def lab() -> Iterator[Cell]:
    """Give a cell of the lab's nodes, which are up."""
    with rig.project() as project:
        yield from _furnished(
            Cell("lab", NODES, project, INVENTORY, LAB_ROOT, f"/tmp/crash-sweep-{os.getpid()}", _in_lab)
        )


def _furnished(cell: Cell) -> Iterator[Cell]:
    """Give a cell with its scenarios and a stranger's containers, which are taken away in the end."""
    shutil.copy(ROOT / "site.yml", cell.project.folder)
    for name in CASES:
        script = SCRIPT.format(ledger=f"{cell.ledgers}/{name}.ledger")
        services = tuple(Sleeper(f"sleeper-{node}", node=node) for node in cell.nodes)
        cell.project.write(Scenario(name, services, script=script, test_node=cell.nodes[0]))
    try:
        cell.shell(cell.nodes[0], ("mkdir", "-p", cell.ledgers), "")
        for node in cell.nodes:
            _no_decoys(cell, node)
            for name in DECOYS:
                words = ("docker", "run", "-d", "--name", name, "--label", f"{DECOY}=1", "--label", LABEL)
                cell.shell(node, (*words, "--entrypoint", "sleep", IMAGE, "7200"), "")
        yield replace(cell, others=cell.seen())
    finally:
        cell.command("cleanup", "--all")
        for node in cell.nodes:
            _no_decoys(cell, node)
        if cell.name == "lab":
            cell.shell(cell.nodes[0], ("rm", "-rf", cell.ledgers), "")


def _no_decoys(cell: Cell, node: str) -> None:
    cell.shell(node, ("sh", "-c", f"docker ps -aq --filter label={DECOY} | xargs -r docker rm -f"), "")
