# SPDX-License-Identifier: MIT
"""Health: containers of runs as services, the engine's own disk, and a lease that nobody touches."""

from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import health
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

NOW = 1_000_000.0
UP = {"ok": True, "error": "", "root_dir": ""}
LABELS = {"testcell.run": "r1", "testcell.scenario": "s", "testcell.case": "c-1", "com.docker.compose.service": "web"}


class Engine:
    """An engine that lists one container and gives its record, or fails to."""

    def __init__(self, state="running", status="Up 2 minutes (healthy)", record=None, labels=LABELS):
        ports = [{"IP": "0.0.0.0", "PublicPort": 80, "PrivatePort": 8080}, {"PrivatePort": 9}]
        self.listed = {"Id": "id1", "Names": ["/p-web-1"], "Labels": labels, "State": state, "Status": status}
        self.listed.update(Image="x:1", ImageID="sha256:1", Created=NOW - 120, Ports=ports)
        self.record = record
        self.asked = []

    def containers(self, labels, _timeout=None):
        self.asked.append(("containers", labels))
        if isinstance(self.listed, CellError):
            raise self.listed
        return [self.listed]

    def inspect(self, container, _timeout=None):
        self.asked.append(("inspect", container))
        if self.record is None:
            raise CellError("docker_timeout", "the container's lock is held")
        return self.record


@pytest.fixture
def services(monkeypatch, tmp_path):
    """Return a function that gives what health says of an engine's containers."""

    def of(engine, facts=UP):
        monkeypatch.setattr(health, "connect", lambda *_: engine)
        clock = Clock(unix=lambda: NOW)
        return health._services(Context(tmp_path / "root", clock=clock), facts)

    return of


def record(**state):
    return {"RestartCount": 3, "State": {"StartedAt": "1970-01-12T13:46:10Z", **state}}


STATES = [
    pytest.param(
        Engine(record=record()),
        {"state": "running", "health": "healthy", "restarts": 3, "up_s": 30.0, "exit_code": None, "oom": False},
        id="well",
    ),
    pytest.param(
        Engine(status="Up 2 minutes"),
        {"state": "running", "health": "", "restarts": None, "up_s": None},
        id="no-record",
    ),
    pytest.param(
        Engine("exited", "Exited (137) 3 seconds ago", record(ExitCode=137, OOMKilled=True)),
        {"state": "exited", "exit_code": 137, "oom": True, "up_s": None},
        id="killed-for-memory",
    ),
    pytest.param(
        Engine("restarting", "Restarting (1) 1 second ago", record(ExitCode=1)),
        {"state": "restarting", "exit_code": None, "restarts": 3, "up_s": None},
        id="restarting",
    ),
    pytest.param(Engine("created", "Created", {"State": {}}), {"state": "created", "up_s": None}, id="never-started"),
]


@pytest.mark.parametrize(("engine", "told"), STATES)
def test_a_container_of_a_run_is_told_as_its_service(services, engine, told):
    answer = services(engine)
    (found,) = answer["services"]
    assert {key: found[key] for key in told} == told
    who = {"run": "r1", "scenario": "s", "case": "c-1", "service": "web", "container": "p-web-1", "image": "x:1"}
    assert {key: found[key] for key in who} == who
    assert (found["age_s"], found["ports"], answer["services_error"]) == (120.0, [80], "")


def test_the_engine_is_asked_for_lists_and_records_only(services):
    engine = Engine(record=record())
    services(engine)
    assert engine.asked == [("containers", ["testcell.run"]), ("inspect", "id1")]


def test_an_engine_that_is_away_is_not_asked_again(services):
    engine = Engine()
    assert services(engine, {"ok": False, "error": "no socket"}) == {"services": [], "services_error": "no socket"}
    assert engine.asked == []


def test_a_list_that_cannot_be_made_is_said(services):
    engine = Engine()
    engine.listed = CellError("docker_timeout", "no answer in 5 s")
    assert services(engine) == {"services": [], "services_error": "no answer in 5 s"}


def lease_files(cell):
    """Return name -> (bytes, time stamp) of every file of the lease."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in cell.root.glob("lease*")}


@pytest.mark.parametrize("op", ["health", "facts"])
@pytest.mark.parametrize("check", [True, False], ids=["check", "no-check"])
@pytest.mark.parametrize("named", [True, False], ids=["by-the-holder-s-name", "by-nobody"])
def test_looking_neither_takes_nor_renews_the_lease(cell, op, check, named):
    held = cell.call("lease", action="acquire", ttl_s=60)
    before, run = lease_files(cell), {**cell.run, "epoch": held["epoch"]}
    cell.check, cell.run = check, run if named else None
    answer = cell.call(op, deep=False)
    assert lease_files(cell) == before
    assert (answer["lease"]["run"], answer["lease"]["held"]) == (run["id"], True)


def test_looking_at_a_node_nobody_has_used_leaves_nothing_there(cell):
    cell.check, cell.run = True, None
    answer = cell.call("health", deep=False)
    assert (answer["lease"]["state"], os.listdir(cell.root)) == ("free", [])
    assert answer["answered_unix"] >= answer["time_unix"]
