# SPDX-License-Identifier: MIT
"""A case whose faults really happen: containers of its own, a load that has begun, and what was told of each event."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import procs

WEB = """
services:
  web:
    image: IMAGE
    command: ["sh", "-c", "mkdir -p /tmp/w; echo ok > /tmp/w/health; sleep 3600 & exec httpd -f -p 80 -h /tmp/w"]
  idle:
    image: IMAGE
    command: ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]
"""
CHECKS = {"web": {"kind": "http", "port": 80, "path": "/health"}}
LONG_S = 120.0


def wait_until(
    check: Callable[[], Any], what: str, limit_s: float = 60.0, shown: Callable[[], object] = lambda: ""
) -> Any:
    """Return the first true answer of check; fail when there is none in time, with what is shown then."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not in {limit_s} s: {what} {shown()}"
        time.sleep(0.02)


@dataclass
class Soak:
    """The faults of one case."""

    cell: Any
    docker: Callable[..., str]
    again: Callable[[], dict[str, Any]] = dict

    @property
    def folder(self) -> Path:
        """Return where a soak's files lie."""
        return self.cell.case_dir / "soak"

    def call(self, action: str, **args: Any) -> dict[str, Any]:
        """Return what one action of the operation answers."""
        return self.cell.call("chaos", action=action, **args)

    def begin(self, *events: dict[str, Any], duration_s: float = LONG_S, **more: Any) -> None:
        """Start the units, and the load."""
        schedule = [
            {"at_s": 0.0, "duration_s": 0.2, "service": "web", "params": {}, "recovery_s": 30, **one} for one in events
        ]
        args = {"schedule": schedule, "checks": CHECKS, "duration_s": duration_s, **more}
        self.again = lambda: self.call("begin", **args)
        assert self.again() == {"started": True, "existing": False}
        self.mark(duration_s)

    def mark(self, duration_s: float = LONG_S) -> None:
        """Say that the load has begun."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        begin = {"t": time.time(), "b": now, "boot_id": procs.boot_id(), "duration_s": duration_s}
        (self.folder / "begin.new").write_text(json.dumps(begin))
        (self.folder / "begin.new").rename(self.folder / "begin.json")

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Return the whole lines of chaos.jsonl, of one event or of all."""
        path = self.folder / "chaos.jsonl"
        text = path.read_text() if path.exists() else ""
        found = [json.loads(line) for line in text.split("\n")[:-1]]
        return [line for line in found if event in ("", line["id"])]

    def phases(self, event: str) -> list[str]:
        """Return the phases of an event, in order."""
        return [line["phase"] for line in self.lines(event)]

    def line(self, event: str, phase: str, limit_s: float = 60.0) -> dict[str, Any]:
        """Return the line of a phase, once it is there."""
        wait_until(lambda: phase in self.phases(event), f"{phase} of {event}", limit_s, self.lines)
        return next(line for line in self.lines(event) if line["phase"] == phase)

    def over(self, event: str) -> list[str]:
        """Return the phases of an event once it is over."""
        ends = {"recovered", "unsupported", "not_applied", "target_gone", "not_recovered", "failed", "not_reached"}
        wait_until(lambda: ends & set(self.phases(event)), f"{event} is over", shown=self.lines)
        return self.phases(event)

    def container(self, service: str = "web") -> str:
        """Return the id of a service's container."""
        wanted = (f"testcell.run={self.cell.run['id']}", f"com.docker.compose.service={service}")
        return self.docker("ps", "-aq", "--no-trunc", *(f"--filter=label={label}" for label in wanted))

    def status_of(self, name: str) -> dict[str, Any]:
        """Return the status file of a unit."""
        return json.loads((self.cell.case_dir / "unit" / name / "status.json").read_text())

    def kill_unit(self, name: str) -> None:
        """Kill a unit and its supervisor at one blow, as a machine does that is out of memory."""
        status = self.status_of(name)
        for pid in (status["supervisor_pid"], status["pid"]):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: procs.identify(status["pid"]) is None, f"{name} is gone")

    def records(self) -> list[dict[str, Any]]:
        """Return the records that are on disk."""
        folder = self.cell.root / "chaos" / self.cell.run["id"]
        return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


@pytest.fixture
def soak(cell, any_compose, docker_cli) -> Soak:
    """A case of two services that run, before its load begins."""
    cell.up(WEB, any_compose)
    assert cell.state(service="web", **CHECKS["web"])["state"] == "ready"
    return Soak(cell, docker_cli)


@pytest.fixture
def make_soak(cell, docker_cli) -> Callable[[], Soak]:
    """The function that returns the soak of a case whose containers were made otherwise."""
    return lambda: Soak(cell, docker_cli)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """wait_until for tests."""
    return wait_until


@pytest.fixture
def inspect(docker_cli):
    """The function that returns a container's record."""
    return lambda name: json.loads(docker_cli("inspect", name))[0]
