# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import deploy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure

COMPOSE = "services:\n  a: {image: 'x:1'}\n  b: {image: 'x:1'}\n"


class Engine:
    """A node whose services become ready at the second question, or end as the table says."""

    python = "python3"

    def __init__(self, fates=None, broken=()):
        self.fates = fates or {}
        self.broken = broken
        self.asked = {}
        self.order = []

    def call(self, op, **args):
        return getattr(self, op)(**args)

    def compose(self, **args):
        self.composed = args
        return {"containers": [{"service": name} for name in args["services"]], "images": [], "warnings": []}

    def start(self, services):
        self.order += services
        ok = {
            name: {"ok": name not in self.broken, "error_kind": "port_conflict", "error": "taken"} for name in services
        }
        return {"started": ok}

    def ready(self, checks, known, wait_s):
        states = {}
        for check in checks:
            name = check["service"]
            self.asked[name] = self.asked.get(name, 0) + 1
            fate = self.fates.get(name, "ready")
            state = {"state": fate if self.asked[name] > 1 else "starting"}
            if state["state"] == "failed":
                state.update(
                    detail="exited with 3", error_kind="container_exited", exit_code=3, oom=False, log_tail=["boom"]
                )
            states[name] = state
        return {"states": states}


@pytest.fixture
def scenario(tmp_path):
    (tmp_path / "docker-compose.yml").write_text(COMPOSE)
    return str(tmp_path)


def test_services_start_in_dependency_order_and_are_told_to_the_board(make_cell, build, scenario):
    services = [build.service("b", needs=["a"]), build.service("a")]
    engine = Engine()
    cell = make_cell(build.case(services=services, directory=scenario), client=engine)
    result = deploy.run(cell)
    assert engine.order == ["a", "b"]
    assert result["containers"] == 2 and set(result["ready_after_s"]) == {"a", "b"}
    assert {name: note["state"] for name, note in cell.board.notes("service.").items()} == {"a": "ready", "b": "ready"}
    assert engine.composed["services"] == ["b", "a"]
    assert engine.composed["override"]["services"]["a"]["labels"]["testcell.run"] == "20260101_000000"


def test_a_service_waits_for_one_on_another_node(make_cell, build, scenario):
    services = [build.service("a", node="n2"), build.service("b", needs=["a"])]
    engine = Engine()
    cell = make_cell(build.case(services=services, directory=scenario), client=engine)
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        assert engine.order == []
        if len(slept) == 3:
            cell.board.post("service.a", {"state": "ready"})

    cell.sleep = sleep
    deploy.run(cell)
    assert engine.order == ["b"] and len(slept) == 3


def test_a_failed_service_is_named_with_its_last_log_lines(make_cell, build, scenario):
    engine = Engine({"a": "failed"})
    services = [build.service("a"), build.service("b", needs=["a"])]
    cell = make_cell(build.case(services=services, directory=scenario), client=engine)
    with pytest.raises(StepFailure, match="exited with 3") as caught:
        deploy.run(cell)
    assert (caught.value.kind, caught.value.service, caught.value.evidence) == ("container_exited", "a", ("boom",))
    assert engine.order == ["a"]
    assert cell.board.read("service.a")["state"] == "failed"


def test_f40_a_service_that_cannot_start_fails_at_once(make_cell, build, scenario):
    cell = make_cell(build.case(services=[build.service("a")], directory=scenario), client=Engine(broken=("a",)))
    with pytest.raises(StepFailure, match="taken") as caught:
        deploy.run(cell)
    assert caught.value.kind == "port_conflict"


def test_f39_dependants_of_a_service_failed_elsewhere_never_start_and_say_whose_fault_it_is(make_cell, build, scenario):
    services = [build.service("a", node="n2"), build.service("b", needs=["a"])]
    engine = Engine()
    cell = make_cell(build.case(services=services, directory=scenario), client=engine)
    cell.board.post("service.a", {"state": "failed"})
    cell.board.claim("failure", {"message": "service a on n2: exited", "node": "n2"})
    with pytest.raises(StepFailure, match="b waits for a: service a on n2: exited") as caught:
        deploy.run(cell)
    assert caught.value.kind == "dependency_failed"
    assert engine.order == []


def test_the_time_limit_names_who_is_late_and_why(make_cell, build, scenario):
    services = [build.service("a", node="n2"), build.service("b", needs=["a"]), build.service("c")]
    cell = make_cell(build.case(services=services, directory=scenario, startup_timeout_s=30), client=Engine())
    with pytest.raises(StepFailure, match=r"within 30 s: b \(waits for a\)") as caught:
        deploy.run(cell)
    assert caught.value.kind == "health_timeout"


def test_a_node_without_services_has_nothing_to_deploy(make_cell, build, scenario):
    cell = make_cell(build.case(services=[build.service("a")], directory=scenario), node="n2", client=Engine())
    assert deploy.run(cell) == {"containers": 0, "ready_after_s": {}}
