# SPDX-License-Identifier: MIT
"""Starting and stopping: each service has its own answer, and what holds a port is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import containers, listeners, procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.objects import parse_container

LISTENING = [
    {"port": 8000, "address": "127.0.0.1", "pid": 7, "program": "nginx"},
    {"port": 8000, "address": "127.0.0.9", "pid": 8, "program": "other"},
    {"port": 9000, "address": "127.0.0.5", "pid": 9, "program": "third"},
]
TAKEN = "driver failed: Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in use"


def box(service, state="created", ports=(), labels=None):
    marks = {"com.docker.compose.service": service, **(labels or {})}
    shown = [{"IP": host, "PublicPort": port, "PrivatePort": 80} for host, port in ports]
    return {"Id": f"id-{service}", "Names": [f"/p-{service}-1"], "State": state, "Labels": marks, "Ports": shown}


class Engine:
    """An engine of listed containers; a stop or start takes effect at once unless it is told to fail."""

    def __init__(self, *boxes, failing=None) -> None:
        self.boxes = {one["Id"]: one for one in boxes}
        self.failing = failing or {}
        self.said: list[tuple] = []

    def containers(self, _labels, _timeout=None):
        return list(self.boxes.values())

    def start(self, name, _timeout=None):
        self._do("start", name, "running")

    def restart(self, name, _timeout=None):
        self._do("restart", name, "running")

    def unpause(self, name):
        self.said.append(("unpause", name))

    def stop(self, name, grace):
        self._do("stop", name, "exited")
        self.said.append(("grace", grace))

    def _do(self, word, name, state):
        self.said.append((word, name))
        if name in self.failing:
            raise self.failing[name]
        self.boxes[name]["State"] = state


@pytest.fixture
def ask(monkeypatch):
    def run(operation, engine, check=False, **args):
        now = [0.0]
        clock = Clock(unix=lambda: 50.0, monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
        monkeypatch.setattr(containers, "connect", lambda _environ: engine)
        monkeypatch.setattr(containers, "engine_of", lambda ctx: engine)
        monkeypatch.setattr(containers.ports, "listening", lambda: LISTENING)
        monkeypatch.setattr(procs, "end_ours", lambda _root, _run: procs.KillReport())
        return getattr(containers, operation)(Context(Path("/x"), RunRef("r1", "s"), check=check, clock=clock), args)

    return run


def test_each_service_has_its_own_answer(ask):
    engine = Engine(
        box("a"), box("b", "running"), box("c"), failing={"id-c": CellError("gpu_runtime_missing", "no nvidia")}
    )
    started = ask("start", engine, services=["a", "b", "c", "d"])["started"]
    assert {name: (one["ok"], one["error_kind"]) for name, one in started.items()} == {
        "a": (True, ""),
        "b": (True, ""),
        "c": (False, "gpu_runtime_missing"),
        "d": (False, "container_gone"),
    }
    assert (started["a"]["changed"], started["b"]["changed"], started["a"]["at_unix"]) == (True, False, 50.0)


@pytest.mark.parametrize(
    ("state", "again", "said"),
    [
        ("created", False, [("start", "id-a")]),
        ("exited", True, [("restart", "id-a")]),
        ("running", True, [("restart", "id-a")]),
        ("paused", True, [("unpause", "id-a"), ("restart", "id-a")]),
    ],
)
def test_a_start_again_ends_what_runs(state, again, said):
    engine = Engine(box("a", state))
    assert containers.start_service(engine, [parse_container(box("a", state))], again) == {}
    assert engine.said == said


def test_the_request_can_ask_for_a_start_again(ask):
    engine = Engine(box("a", "running"), box("b", "exited"))
    started = ask("start", engine, services=["a", "b"], again=True)["started"]
    assert [(one["ok"], one["changed"]) for one in started.values()] == [(True, True)] * 2
    assert sorted(engine.said) == [("restart", "id-a"), ("restart", "id-b")]


OURS = [
    box("other", "running", [("127.0.0.1", 8000)], {"testcell.run": "r0"}),
    box("far", "running", [("127.0.0.9", 8000)]),
]
NGINX = {"pid": 7, "program": "nginx", "container": "", "run": ""}


@pytest.mark.parametrize(
    ("message", "boxes", "holder"),
    [
        pytest.param(TAKEN, [], {"address": "127.0.0.1", **NGINX}, id="F40-program"),
        pytest.param(
            "Bind for 127.0.0.1:8000 failed: port is already allocated",
            OURS,
            {"address": "127.0.0.1", **NGINX, "container": "p-other-1", "run": "r0"},
            id="F40-our-leftover",
        ),
        pytest.param(
            "failed to bind host port for 127.0.0.1:8000:172.18.0.2:80/tcp: address already in use",
            [],
            {"address": "127.0.0.1", **NGINX},
            id="engine-28",
        ),
        pytest.param(
            "Bind for :::8000 failed: port is already allocated",
            [],
            {"address": "::", "pid": 8, "program": "other", "container": "", "run": ""},
            id="any-address-meets-all",
        ),
        pytest.param(
            "Bind for 127.0.0.5:8000 failed: port is already allocated",
            OURS,
            {"address": "127.0.0.5", "pid": None, "program": "", "container": "", "run": ""},
            id="other-addresses-are-not-in-the-way",
        ),
    ],
)
def test_the_holder_of_a_port_is_named(ask, message, boxes, holder):
    engine = Engine(box("a"), *boxes, failing={"id-a": CellError("port_conflict", message)})
    assert ask("start", engine, services=["a"])["started"]["a"]["holder"] == {"port": 8000, **holder}


def test_a_listener_is_named_after_the_container_that_the_engine_has_it_for():
    shown = [{**entry, "container": name} for entry, name in zip(LISTENING, ("p-other-1", "p-far-1", ""))]
    assert listeners.published(Engine(*OURS), LISTENING) == shown


def test_another_failure_names_no_holder(ask):
    engine = Engine(box("a"), failing={"id-a": CellError("internal_error", "Bind for 127.0.0.1:8000")})
    assert "holder" not in ask("start", engine, services=["a"])["started"]["a"]


def test_a_stop_gives_its_grace_and_wakes_what_is_paused(ask):
    engine = Engine(box("a", "running"), box("b", "paused"), box("c", "exited"))
    answer = ask("stop", engine, timeout_s=3)
    assert sorted(answer["stopped"]) == ["p-a-1", "p-b-1"]
    assert answer["errors"] == []
    assert engine.said.index(("unpause", "id-b")) < engine.said.index(("stop", "id-b"))
    assert ("stop", "id-c") not in engine.said
    assert ("grace", 3) in engine.said


def test_a_container_that_will_not_stop_is_an_error(ask):
    words = "tried to kill container, but did not receive an exit event"
    engine = Engine(box("a", "running"), box("b", "running"), failing={"id-a": CellError("process_leak", words)})
    answer = ask("stop", engine)
    assert answer["stopped"] == ["p-b-1"]
    assert answer["errors"] == [{"error_kind": "process_leak", "what": "p-a-1", "error": words}]


def test_a_container_that_goes_away_meanwhile_is_no_error(ask):
    engine = Engine(box("a", "running"))

    def vanish(name, _grace):
        engine.boxes.clear()
        raise CellError("container_gone", f"No such container: {name}")

    engine.stop = vanish
    assert ask("stop", engine) == {"stopped": ["p-a-1"], "processes": 0, "errors": []}


def test_a_check_starts_and_stops_nothing(ask):
    engine = Engine(box("a"), box("b", "running"))
    assert ask("start", engine, check=True, services=["a"])["started"]["a"]["changed"] is True
    assert ask("stop", engine, check=True)["would_stop"] == ["p-b-1"]
    assert engine.said == []
