# SPDX-License-Identifier: MIT
"""Whole runs of services that are shell lines: made for one test, watched while they run, and read afterwards."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass

import yaml
from cellruns import ROOT, Ended, newest, run_site, running_site

IMAGE = "testcell/engine-sim:1"
NAME = "made"
DEADLINE_S = 60
STEP_S = 0.02
UP = "echo up; trap 'exit 0' TERM; sleep 600 & wait"
FIRST = "[ ! -e /tmp/again ]"  # whether a container is in its first life: its files outlive it
WRITES = 'echo data >"$SCENARIO_RESULT_PATH/data.txt"\n'


def service(command=UP, /, *, needs=(), node="auto", check=None, ports=(), image=IMAGE, **more):
    """Return a service: a shell line, ready when its log says `up`; more: keys for the Compose file."""
    compose = {"image": image, "entrypoint": ["sh", "-c", command.replace("$", "$$")], **more}
    if ports:
        compose["ports"] = [f"{port}:{port}" for port in ports]
    check = check or {"kind": "log", "pattern": "^up$"}
    return compose, {"node": node, "depends_on": list(needs), "health_check": check}


def make_project(folder, services, script=WRITES, *, deployment=None, test=None, **sections):
    """Write a project of one scenario and return its folder. deployment, test, sections: more of its metadata."""
    scenario = folder / "scenarios" / NAME
    scenario.mkdir(parents=True)
    shutil.copy(ROOT / "site.yml", folder)
    test = {"node": "local", "timeout": 60, "grace": 1, **(test or {})}
    metadata = {
        "name": NAME,
        "deployment": {"services": [{"name": n, **entry} for n, (_, entry) in services.items()], **(deployment or {})},
        "test_execution": test,
        "service_health_check": {"startup_timeout": 40},
        "benchmark": {"client": "script"},
        **sections,
    }
    (scenario / "metadata.yml").write_text(yaml.safe_dump(metadata, sort_keys=False))
    compose = {"services": {name: entry for name, (entry, _) in services.items()}}
    (scenario / "docker-compose.yml").write_text(yaml.safe_dump(compose, sort_keys=False))
    (scenario / "run_test.sh").write_text(f"#!/bin/sh\nset -eu\n{script}")
    (scenario / "run_test.sh").chmod(0o755)
    return folder


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Wait until condition() holds and return what it gives; fail naming what was waited for."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(STEP_S)
    raise AssertionError(f"waited {deadline_s} s in vain: {what}")


@dataclass(frozen=True)
class Result(Ended):
    """A run that has ended, and what its one case says of it."""

    @property
    def details(self):
        return json.loads(self.file("result_summary.json"))

    @property
    def failure(self):
        return self.details["failure"]

    @property
    def ends(self):
        """Return verdict, exit code and the kind of the first failure, "" when there is none."""
        return self.summary["verdict"], self.summary["exit_code"], (self.failure or {}).get("error_kind", "")

    @property
    def services(self):
        return {entry["name"]: entry for entry in self.details["services"]}

    @property
    def journal(self):
        return [json.loads(line) for line in (self.folder / "journal.jsonl").read_text().splitlines()]

    def starts(self, node="local"):
        """Return service -> the container of each start that the node's engine tells of, in order."""
        found = {}
        for line in self.file(f"nodes/{node}/services/events.jsonl").splitlines():
            event = json.loads(line)
            if event["Action"] == "start":
                name = event["Actor"]["Attributes"]["com.docker.compose.service"]
                found.setdefault(name, []).append(event["Actor"]["ID"])
        return found

    def record(self, service, node="local"):
        """Return the engine's record of a service's container."""
        return json.loads(self.file(f"nodes/{node}/services/{service}.inspect.json"))

    def moment(self, **fields):
        """Return when the journal tells of this, in seconds since 1970."""
        return next(entry["t"] for entry in self.journal if fields.items() <= entry.items())

    def step(self, name, node):
        """Return the entry with which a step ended."""
        wanted = {"step": name, "node": node, "phase": "end"}
        return next(entry for entry in self.journal if wanted.items() <= entry.items())


def run(inventory, results, project, **variables):
    """Run the scenario to its end."""
    done = run_site(inventory, results, testcell_project_dir=project, scenario=NAME, **variables)
    return Result(done.rc, done.screen, done.folder)


class Live:
    """A run that goes on."""

    def __init__(self, process, results):
        self._process = process
        self._results = results

    def journal(self):
        folder = newest(self._results)
        path = folder / "journal.jsonl" if folder else None
        return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []

    def waits_for(self, **fields):
        """Wait until the journal tells of this; return the entry."""

        def told():
            assert self._process.poll() is None, self._screen()
            return next((entry for entry in self.journal() if fields.items() <= entry.items()), None)

        return wait_until(told, fields)

    def waits_for_test(self):
        """Wait until the script has started."""
        wait_until(lambda: any("started, at most" in e.get("message", "") for e in self.journal()), "the test")

    def container(self, service):
        """Return the id of a service's container on this machine."""
        run_id = newest(self._results).name
        return docker("ps", "-aq", *labelled(run_id), *labelled(service, "com.docker.compose.service"))

    def ended(self, deadline_s=DEADLINE_S):
        """Wait for the end of the run and return it."""
        self._process.wait(timeout=deadline_s)
        return Result(self._process.returncode, self._screen(), newest(self._results))

    def _screen(self):
        return (self._results.parent / "screen.txt").read_text(errors="replace")


@contextmanager
def running(inventory, results, project, **variables):
    """Start the scenario; give the run that goes on."""
    with running_site(inventory, results, testcell_project_dir=project, scenario=NAME, **variables) as process:
        yield Live(process, results)


def docker(*words):
    """Return what a Docker command on this machine prints."""
    done = subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def pause(container):
    """Pause a container; the engine gives up on one that does not stand still soon enough on a busy machine."""

    def paused():
        done = subprocess.run(["docker", "pause", container], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 or "unable to freeze" in done.stderr, done.stderr
        return done.returncode == 0

    wait_until(paused, f"{container} stands still")


def labelled(value, key="testcell.run"):
    return "--filter", f"label={key}={value}"


def left_by(run_id):
    """Return the ids of containers, networks and volumes of a run on this machine."""
    kinds = ("container ls -aq", "network ls -q", "volume ls -q")
    return [line for kind in kinds for line in docker(*kind.split(), *labelled(run_id)).split()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
