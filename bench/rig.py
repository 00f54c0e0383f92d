# SPDX-License-Identifier: MIT
"""What the benchmarks on real nodes share: the lab, scenarios made for one figure, runs of them, and what runs leave."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
INVENTORY = ROOT / "inventories" / "lab" / "hosts"
NODES = ("node1", "node2", "node3")
IMAGE = "testcell/engine-sim:1"
FIRST_PORT = 20100
LIMIT_S = 400
# Ansible by itself shares the connections of its tasks; ours never do.
SHARED = "-C -o ControlMaster=auto -o ControlPersist=60s"
WAIT_S = 60.0
BACKGROUND_S = 1.0

# A service of known start time: it tells when its process begins and when its port is open, by the node's clock, which
# is the controller's. {first}: what it does before it opens the port.
PROGRAM = """
import os, socket, time
time.sleep({seconds})
{first}
listener = socket.create_server(("127.0.0.1", {port}), backlog=64)
print("open", time.time(), flush=True)
while True:
    caller = listener.accept()[0]
    caller.recv(4096)
    caller.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    caller.close()
"""
# The engine puts a container that failed away with its files, so the second start of it knows of the first.
FAILS_ONCE = """
if not os.path.exists("/tmp/tried"):
    open("/tmp/tried", "w").close()
    raise SystemExit(1)
"""
# The port opens when somebody knocks at another one.
WAITS = """
gate = socket.create_server(("127.0.0.1", {port} + 1000))
gate.settimeout(60)
gate.accept()
"""
KNOCK = "import socket; socket.create_connection(('127.0.0.1', {port}), 1)"


@dataclass(frozen=True)
class Service:
    """A service that needs so many seconds until its port is open. needs: what must be ready first.

    first: a program that it runs before, such as FAILS_ONCE.
    probed: Testcell asks over HTTP; without, it runs the health check of the compose file in the container.
    """

    name: str
    seconds: float = 0.0
    needs: tuple[str, ...] = ()
    node: str = NODES[0]
    port: int = 0
    first: str = ""
    probed: bool = True
    critical: bool = True

    def compose(self, interval_s: float) -> dict[str, Any]:
        """Return the service for a compose file, with a health check every so many seconds."""
        first = self.first.format(port=self.port)
        program = PROGRAM.format(seconds=self.seconds, port=self.port, first=first)
        begin = "echo begin $$(date +%s.%N); exec python3 -I -S -c "
        knock = ["CMD", "python3", "-I", "-S", "-c", KNOCK.format(port=self.port)]
        return {
            "image": IMAGE,
            "init": True,
            "network_mode": "host",
            "entrypoint": ["sh", "-c", begin + '"$$0"', program],
            "healthcheck": {"test": knock, "interval": f"{interval_s:g}s", "timeout": "5s", "retries": 100},
            "depends_on": {name: {"condition": "service_healthy"} for name in self.needs},
        }

    def metadata(self, interval_s: float) -> dict[str, Any]:
        """Return the service for a scenario's metadata."""
        check = {"kind": "http", "port": self.port, "interval": interval_s}
        probed = {"health_check": check} if self.probed else {}
        return {"name": self.name, "node": self.node, "critical": self.critical, **probed}


def numbered(services: Sequence[Service]) -> tuple[Service, ...]:
    """Return the services with a port each."""
    return tuple(replace(service, port=FIRST_PORT + place) for place, service in enumerate(services))


@dataclass(frozen=True)
class Scenario:
    """What is deployed, how often the engine checks it, and the test that follows. extra: more metadata, by section."""

    name: str
    services: tuple[Service, ...]
    interval_s: float = 1.0
    script: str = ""
    test_node: str = NODES[0]
    deployment: Mapping[str, Any] = field(default_factory=dict)

    def compose(self) -> str:
        """Return the compose file; JSON is YAML."""
        return json.dumps({"services": {one.name: one.compose(self.interval_s) for one in self.services}}, indent=1)

    def metadata(self) -> str:
        """Return the metadata file."""
        content = {
            "name": self.name,
            "description": "made for a benchmark",
            "deployment": {"services": [one.metadata(self.interval_s) for one in self.services], **self.deployment},
            "test_execution": {"node": self.test_node, "script": "run_test.sh", "timeout": 120},
            "benchmark": {"client": "script"},
        }
        return json.dumps(content, indent=1)


@dataclass(frozen=True)
class Ran:
    """A run that is over: how long the whole call took, and its folder."""

    seconds: float
    folder: Path

    @property
    def case(self) -> Path:
        """Return the folder of the run's only case."""
        return self.folder / str(json.loads((self.folder / "summary.json").read_text())["cases"][0]["path"])

    def journal(self) -> list[dict[str, Any]]:
        """Return the entries of the journal so far."""
        path = self.folder / "journal.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(entry) for entry in text.splitlines(keepends=True) if entry.endswith("\n")]

    def summary(self) -> dict[str, Any]:
        """Return the summary of the run's only case."""
        found: dict[str, Any] = json.loads((self.case / "result_summary.json").read_text())
        return found

    def told(self, state: str, step: str = "deploy") -> list[tuple[str, float]]:
        """Return (service, when the controller noted it) for each service that came to be in a state, in order."""
        return [
            (str(entry["service"]), float(entry["t"]))
            for entry in self.journal()
            if entry["phase"] == "event" and entry["step"] == step and entry.get("state") == state
        ]

    def step_s(self, step: str) -> float:
        """Return how long a step took, from its begin on the first node to its end on the last."""
        entries = [entry for entry in self.journal() if entry["step"] == step]
        begins = [entry["t"] for entry in entries if entry["phase"] == "begin"]
        return float(max(entry["t"] for entry in entries if entry["phase"] == "end") - min(begins))

    def said(self, service: str, word: str) -> list[float]:
        """Return the moments that a service's own log has for a word, in order."""
        (log,) = self.case.glob(f"nodes/*/services/{service}.log")
        words = [text.split() for text in log.read_text().splitlines()]
        return [float(found[-1]) for found in words if word in found]

    def own_s(self, service: str) -> float:
        """Return what the last start of a service itself took: from the begin of its process to its open port."""
        return self.said(service, "open")[-1] - self.said(service, "begin")[-1]

    def engine_events(self, action: str) -> list[tuple[str, str]]:
        """Return (service, container id) for each event of the nodes' engines."""
        found = []
        for path in sorted(self.case.glob("nodes/*/services/events.jsonl")):
            for event in map(json.loads, path.read_text().splitlines()):
                if event.get("status") == action:
                    found.append((event["Actor"]["Attributes"]["com.docker.compose.service"], event["id"]))
        return found


def environment(place: Path) -> dict[str, str]:
    """Return the environment of a call of Ansible that connects anew: what its own tasks share is kept below place."""
    # As on most machines, Python keeps what it has compiled; what pip installs is compiled everywhere.
    left_out = ("ANSIBLE_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(place),
        "ANSIBLE_SSH_ARGS": SHARED,
    }


def playbook(path: Path, folder: Path, variables: Mapping[str, Any] | None = None, **environ: str) -> float:
    """Return the wall time of ansible-playbook on the lab; RuntimeError with its screen when it fails."""
    words = [str(BIN / "ansible-playbook"), "-i", str(INVENTORY), str(path), "-e", json.dumps(variables or {})]
    with tempfile.TemporaryDirectory(prefix="cp", dir="/tmp") as place:
        began = time.perf_counter()
        done = subprocess.run(
            words,
            cwd=folder,
            env={**environment(Path(place)), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        seconds = time.perf_counter() - began
        _hang_up(Path(place))
    if done.returncode != 0:
        raise RuntimeError(f"{path.name} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return seconds


def _hang_up(place: Path) -> None:
    """End the SSH connections that a call of Ansible left open for the next one."""
    for control in place.iterdir():
        subprocess.run(["ssh", "-o", f"ControlPath={control}", "-O", "exit", "x"], capture_output=True, check=False)


@dataclass(frozen=True)
class Project:
    """A folder for scenarios and their results."""

    folder: Path

    def write(self, scenario: Scenario) -> Path:
        """Put a scenario there and return its folder."""
        place = self.folder / "scenarios" / f"010_{scenario.name}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "metadata.yml").write_text(scenario.metadata())
        (place / "docker-compose.yml").write_text(scenario.compose())
        script = place / "run_test.sh"
        script.write_text(f'#!/bin/sh\n{scenario.script}\necho over > "$SCENARIO_RESULT_PATH/over.txt"\n')
        script.chmod(0o755)
        return place

    @property
    def runs(self) -> list[Path]:
        """Return the folders of the runs so far."""
        return sorted(path for path in (self.folder / "results").glob("2*") if path.is_dir())

    def run(self, scenario: Scenario, meanwhile: Callable[[Journal], None] | None = None) -> Ran:
        """Run a scenario by site.yml as a user does; RuntimeError unless it passes. meanwhile: done beside it."""
        self.write(scenario)
        results = self.folder / "results"
        given = {"testcell_project_dir": self.folder, "scenario": scenario.name, "results_dir": results}
        variables = {name: str(value) for name, value in given.items()}
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(meanwhile, Journal(self, len(self.runs))) if meanwhile else None
            seconds = playbook(ROOT / "site.yml", self.folder, variables)
            if beside:
                beside.result()
        return Ran(seconds, self.runs[-1])


@dataclass(frozen=True)
class Journal:
    """The journal of a run that goes on: the one after so many others."""

    project: Project
    others: int

    def wait(self, of: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until of is true of the entries so far; TimeoutError after a minute."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            runs = self.project.runs[self.others :]
            if runs and of(Ran(0.0, runs[0]).journal()):
                return
            time.sleep(0.05)
        raise TimeoutError("the run did not come so far within a minute")


@contextmanager
def project() -> Iterator[Project]:
    """Return a project that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="testcell-bench-") as folder:
        yield Project(Path(folder))


@contextmanager
def lab() -> Iterator[None]:
    """Have the lab's nodes up; a lab that was there before stays."""
    was_there = INVENTORY.exists()
    testcell("lab", "up", "--nodes", str(len(NODES)))
    try:
        yield
    finally:
        if not was_there:
            testcell("lab", "down")


def testcell(*words: str) -> str:
    """Return what our command line prints; CalledProcessError when it fails."""
    done = subprocess.run([str(BIN / "testcell"), *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def on_node(node: str, *words: str, stdin: str = "") -> str:
    """Return what a command on a lab node prints, past SSH; CalledProcessError when it fails."""
    command = ["docker", "exec", "-i", f"testcell-lab-{node}", *words]
    return subprocess.run(command, input=stdin, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S).stdout


def timed_on_node(node: str, program: str, *words: str) -> float:
    """Return the seconds that a Python program on a node prints last: what it takes there, without our way there."""
    return float(on_node(node, "python3", "-I", "-", *words, stdin=program).split()[-1])


def p95(values: Sequence[float]) -> float:
    """Return the nearest-rank 95th percentile."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def line(figure: str, value: float, unit: str, peer: str, peer_value: float, **rest: object) -> dict[str, object]:
    """Return one figure beside its peer. rest: target and holds, and what else belongs to it."""
    ratio = round(value / peer_value, 3) if peer_value else None
    found = {"figure": figure, "value": round(value, 4), "unit": unit, "peer": peer}
    return {**found, "peer_value": round(peer_value, 4), "ratio": ratio, **rest}


def at_most(value: float, target: float) -> dict[str, object]:
    """Return target and holds of a figure that should not be above its target."""
    return {"target": round(target, 4), "holds": value <= target}


def background() -> dict[str, object]:
    """Return how many cores others keep busy, measured for a moment in which we do nothing."""

    def ticks() -> tuple[int, int]:
        found = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(found) - found[3] - found[4], sum(found)

    before = ticks()
    time.sleep(BACKGROUND_S)
    busy, total = (after - earlier for after, earlier in zip(ticks(), before, strict=True))
    cores = os.cpu_count() or 1
    return line(
        "background", busy / total * cores, "cores busy with other things", "cores", cores, target=None, holds=None
    )


def show(figures: Iterator[dict[str, object]]) -> int:
    """Print one line a figure as it comes, and before and after them the load; return 1 when a target does not hold."""
    missed = False
    for figure in chain([background()], figures, (background() for _ in range(1))):
        print(json.dumps(figure), flush=True)
        missed |= figure["holds"] is False
    return int(missed)
