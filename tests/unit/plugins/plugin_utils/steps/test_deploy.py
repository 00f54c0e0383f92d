# SPDX-License-Identifier: MIT
"""The workers of all nodes at one board, each with a node that does what it is told, or fails as the table says."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import deploy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure

COMPOSE = "services:\n  a: {image: 'x:1'}\n  b: {image: 'x:1'}\n"
EXIT = {"state": "failed", "error_kind": "container_exited", "detail": "exited with code 3", "exit_code": 3}
HALF_KNOWN = {**EXIT, "complete": False}
WHOLE = {**EXIT, "state": "explained", "log_tail": ["boom"]}


class Node:
    """The calls to a node besides the deployment itself."""

    python, line = "python3", None
    pulls = ()
    makes_s = MappingProxyType({})

    def __init__(self):
        self.reaped = 0

    def hearing(self, on_event):
        self.on_event = on_event
        return self

    def call(self, op, **args):
        return getattr(self, op)(**args)

    def compose(self, **args):
        self.composed = args
        time.sleep(self.makes_s.get(tuple(args["services"]), 0.0))
        for event in self.pulls:
            self.on_event(event)
        return {"containers": [{"service": name} for name in args["services"]], "images": [], "warnings": []}

    def reap(self):
        self.reaped += 1


class Deployment:
    """Services that run and are ready as soon as they are started. fates: service -> events of its first, second ... try."""

    def __init__(self, fates, log):
        self.fates, self.log, self.news, self.tries = fates, log, [], {}

    def order(self, start, again):
        self.log += [*start, *(f"{name} again" for name in again)]
        for name in (*start, *again):
            self.tries[name] = self.tries.get(name, 0) + 1
            fates = self.fates.get(name, [])
            fate = fates[self.tries[name] - 1] if len(fates) >= self.tries[name] else [{"state": "ready"}]
            self.news += [{"service": name, **event} for event in ({"state": "running"}, *fate)]

    def events(self):
        news, self.news = self.news, []
        return news

    def watched(self):
        return []

    def renew(self):
        pass

    def finish(self):
        return {name: {"state": "running", "detail": "port 1 is closed"} for name in self.tries}


@pytest.fixture
def run(make_cell, build, tmp_path, monkeypatch):
    """Return a function that runs the workers of all nodes and gives (node -> result or failure, order of starts, board)."""
    (tmp_path / "docker-compose.yml").write_text(COMPOSE)

    def workers(services, fates=None, **fields):
        log = []
        case = build.case(services=services, directory=str(tmp_path), **fields)
        monkeypatch.setattr(deploy, "deployment", lambda client, checks, limits: Deployment(fates or {}, log))
        monkeypatch.setattr(deploy, "replace", lambda client, **changes: client)
        cells = {node: make_cell(case, node=node, client=Node()) for node in case.nodes}
        for cell in cells.values():
            cell.clock = time.time
        with ThreadPoolExecutor(4) as pool:
            ended = dict(zip(cells, pool.map(attempt, cells.values())))
        return ended, log, cells

    return workers


def attempt(cell):
    try:
        return deploy.run(cell)
    except StepFailure as exc:
        cell.board.claim("failure", {"message": str(exc), "node": cell.node, "error_kind": exc.kind})
        return exc


def test_services_start_in_dependency_order_and_are_told_to_the_board(run, build):
    ended, log, cells = run([build.service("b", needs=["a"]), build.service("a")])
    assert log == ["a", "b"]
    assert ended["n1"]["containers"] == 2 and set(ended["n1"]["ready_after_s"]) == {"a", "b"}
    notes = cells["n1"].board.notes("service.")
    assert {name: note["state"] for name, note in notes.items()} == {"a": "ready", "b": "ready"}
    assert notes["b"]["runnable_at"] <= notes["b"]["started_at"] <= notes["b"]["running_at"] <= notes["b"]["t"]
    composed = cells["n1"].client.composed
    assert composed["services"] == ["b", "a"]
    assert composed["override"]["services"]["a"]["labels"]["testcell.run"] == "20260101_000000"


@pytest.mark.parametrize(
    ("files", "image", "known"),
    [
        pytest.param(("c.yml",), "x:1", {"a": "x:1"}, id="written"),
        pytest.param(("c.yml",), "x:${TAG}", {}, id="by-a-variable"),
        pytest.param(("c.yml",), "", {}, id="elsewhere"),
        pytest.param(("c.yml", "d.yml"), "x:1", {}, id="two-files"),
    ],
)
def test_only_an_image_that_can_be_no_other_is_known_before_compose_is_asked(build, files, image, known):
    service = build.service("a", image=image)
    assert deploy.known_images(build.case(services=[service], compose_files=files), [service]) == known


def test_a_chain_over_three_nodes_is_followed_and_all_nodes_end_together(run, build):
    places = ("n1", "n2", "local")
    chain = [build.service(f"s{n}", node=places[n % 3], needs=[f"s{n - 1}"] if n else []) for n in range(9)]
    ended, log, _cells = run(chain)
    assert log == [f"s{n}" for n in range(9)]
    assert all(isinstance(result, dict) for result in ended.values())


def test_a_failed_service_is_named_with_its_last_log_lines_and_its_dependants_never_start(run, build):
    services = [build.service("a"), build.service("b", needs=["a"]), build.service("c", node="n2", needs=["b"])]
    ended, log, cells = run(services, {"a": [[HALF_KNOWN, WHOLE]]})
    failure = ended["n1"]
    assert (failure.kind, failure.service, failure.evidence) == ("container_exited", "a", ("boom",))
    assert str(failure) == "service a on n1: exited with code 3; b, c cannot start" and log == ["a"]
    assert (ended["n2"].kind, str(ended["n2"])) == ("dependency_failed", "c on n2 cannot start: a failed on n1")
    assert cells["n1"].board.read("service.a")["state"] == "failed"


WAITING = {"state": "waiting", "waited_s": 30.0, "detail": "HTTP 503"}


def test_why_a_service_is_not_ready_is_said_while_it_starts(run, build):
    _ended, _log, cells = run([build.service("a")], {"a": [[WAITING, {"state": "ready"}, WAITING]]})
    entries = map(json.loads, (cells["n1"].plan.run_dir / "journal.jsonl").read_text().splitlines())
    told = [(entry["message"], entry.get("state")) for entry in entries]
    words, ready = ("a is not ready after 30 s: HTTP 503", None), (told[-1][0], "ready")
    assert told == [("a started", "started"), words, ready]
    assert cells["n1"].board.read("service.a")["state"] == "ready"


def test_a_retry_starts_the_failed_service_alone(run, build):
    services = [build.service("a"), build.service("b"), build.service("c", node="n2", needs=["a", "b"])]
    ended, log, cells = run(services, {"a": [[EXIT]]}, retry={"retries": 1, "delay_s": 0, "only_failed": True})
    assert sorted(log[:2]) == ["a", "b"] and log[2:] == ["a again", "c"]
    assert all(isinstance(result, dict) for result in ended.values())
    assert cells["n1"].board.read("service.a")["try"] == 2


def test_f40_a_stranger_s_port_is_named_with_pid_and_program(run, build):
    holder = {"port": 8000, "pid": 4242, "program": "nginx", "container": "", "run": ""}
    taken = {"state": "failed", "error_kind": "port_conflict", "detail": "port is taken", "holder": holder}
    ended, log, _cells = run(
        [build.service("a")], {"a": [[taken]]}, retry={"retries": 2, "delay_s": 0, "only_failed": True}
    )
    assert "port 8000 is held by nginx (pid 4242)" in str(ended["n1"]) and log == ["a"]


def test_f40_our_own_leftover_is_cleaned_before_one_more_start(run, build):
    holder = {"port": 8000, "pid": None, "program": "", "container": "old", "run": "20250101_000000"}
    taken = {"state": "failed", "error_kind": "port_conflict", "detail": "port is taken", "holder": holder}
    ended, log, cells = run([build.service("a")], {"a": [[taken]]})
    assert isinstance(ended["n1"], dict) and log == ["a", "a again"] and cells["n1"].client.reaped == 1


def test_the_time_limit_names_who_is_late_and_why(run, build):
    services = [build.service("a"), build.service("b", needs=["a"])]
    ended, _log, _cells = run(services, {"a": [[]]}, startup_timeout_s=0.5)
    assert str(ended["n1"]) == "not ready on n1 within 0.5 s: a (port 1 is closed), b (waits for a)"
    assert ended["n1"].kind == "health_timeout"


def test_f29_an_error_of_the_node_names_it(make_cell, build):
    def fails(_op, **_args):
        raise NodeError("docker_daemon_down", "no engine answers", {"stderr": "gone"})

    node = Node()
    node.call = fails
    cell = make_cell(build.case(services=[build.service("a")], compose_files=()), client=node)
    with pytest.raises(NodeError, match=r"^node n1: no engine answers$") as caught:
        deploy.run(cell)
    assert (caught.value.kind, caught.value.detail) == ("docker_daemon_down", {"stderr": "gone"})
    assert str(caught.value.on("n1")) == "node n1: no engine answers"


TWO_NODES = {"deployment_timeout_s": 30, "startup_timeout_s": 1}


def test_a_node_that_pulls_for_long_costs_the_others_none_of_their_time(run, build, monkeypatch):
    monkeypatch.setattr(Node, "makes_s", {("prefill",): 1.6})
    services = [build.service("decode", needs=["prefill"]), build.service("prefill", node="n2")]
    ended, log, _ = run(services, **TWO_NODES)
    assert log == ["prefill", "decode"]
    assert {node: result["containers"] for node, result in ended.items()} == {"n1": 1, "n2": 1}


def test_a_node_that_makes_no_containers_at_all_is_named_by_the_others(run, build, monkeypatch):
    monkeypatch.setattr(Node, "makes_s", {("prefill",): 4.0})
    services = [build.service("decode", needs=["prefill"]), build.service("prefill", node="n2")]
    ended, _, _ = run(services, deployment_timeout_s=1, startup_timeout_s=1)
    assert (ended["n1"].kind, str(ended["n1"])) == ("dependency_failed", "the containers on n2 were not made in time")


def test_what_is_pulled_is_told_before_it_is_there(run, build, monkeypatch):
    monkeypatch.setattr(Node, "pulls", [{"services": ["a", "b"], "images": ["x:1", "y:2"]}])
    _, _, cells = run([build.service("a")])
    told = [entry["message"] for entry in journal.read(cells["n1"].plan.run_dir) if entry["phase"] == "event"]
    assert told[0] == "n1 pulls x:1, y:2 for a, b"


def test_a_node_without_services_has_nothing_to_deploy(make_cell, build):
    cell = make_cell(build.case(services=[build.service("a")]), node="n2", client=Node())
    assert deploy.run(cell) == {"containers": 0, "ready_after_s": {}}
