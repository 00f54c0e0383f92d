# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.board import Board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.lead import Lead

# c waits for a and b; a is on n1, the others on n2.
GRAPH = {"a": ("n1", ()), "b": ("n2", ()), "c": ("n2", ("a", "b"))}


class Table:
    """A lead at a board, and the notes of nodes that do what they are told."""

    def __init__(self, folder, build, graph=None, estimates=None, **fields):
        graph = graph or GRAPH
        services = [
            build.service(name, node=node, needs=needs, estimate_s=(estimates or {}).get(name, 1.0))
            for name, (node, needs) in graph.items()
        ]
        self.now, self.said = 1000.0, []
        self.board = Board(folder)
        case = build.case(services=services, **fields)
        self.lead = Lead(case, self.board, "run-1", lambda: self.now, lambda text, fields: self.said.append(text))

    def orders(self):
        """Let the lead look, and return service -> try of all orders so far."""
        self.lead.look()
        return {name: note["try"] for name, note in self.board.notes("order.").items()}

    def note(self, name, state, number=1, **fields):
        self.board.post(f"service.{name}", {"state": state, "try": number, **fields})

    def fail(self, name, number=1, kind="container_exited", **fields):
        self.note(name, "failed", number, error_kind=kind, **fields)


@pytest.fixture
def table(tmp_path, build):
    return lambda **fields: Table(tmp_path, build, **fields)


def test_a_service_is_ordered_when_all_that_it_needs_is_ready(table):
    at = table()
    assert at.orders() == {"a": 1, "b": 1}
    at.note("a", "ready")
    at.note("b", "running")
    assert set(at.orders()) == {"a", "b"} and at.board.read("deployed") is None
    at.note("b", "ready")
    assert at.orders()["c"] == 1
    at.note("c", "ready")
    at.orders()
    assert at.board.read("deployed") == {"t": 1000.0}


def test_a_slot_covers_the_start_and_not_the_waiting(table):
    limits = {"services": 1, "services_per_node": 0, "health_checks": 0}
    at = table(limits=limits, estimates={"b": 9.0})
    assert at.orders() == {"b": 1}, "the longest way to the end goes first"
    at.now += 3.0
    at.note("b", "running")
    assert at.orders() == {"a": 1, "b": 1}
    assert at.board.read("order.a") == {"t": 1003.0, "try": 1, "runnable_at": 1000.0, "clean_first": False}


def test_f39_a_failed_service_is_given_up_and_names_those_that_it_holds(table):
    at = table()
    at.orders()
    at.fail("a")
    at.note("b", "ready")
    assert set(at.orders()) == {"a", "b"}
    assert at.board.read("given-up.a")["held"] == ["c"]
    assert at.board.read("deployed") is None and at.lead.next_due_s() is None


def test_only_the_failed_service_is_ordered_again_after_its_delay(table):
    at = table(retry={"retries": 1, "delay_s": 30, "only_failed": True})
    at.orders()
    at.note("b", "ready")
    at.fail("a")
    assert at.orders() == {"a": 1, "b": 1} and at.lead.next_due_s() == 30.0
    at.now += 30.0
    assert at.orders() == {"a": 2, "b": 1}
    at.fail("a", 1)
    assert at.board.read("given-up.a") is None, "what an earlier try left says nothing of this one"
    at.note("a", "ready", 2)
    assert at.orders()["c"] == 1 and any("a is tried again" in text for text in at.said)


def test_what_became_of_a_start_is_kept_when_another_one_follows(table):
    at = table(retry={"retries": 1, "delay_s": 30, "only_failed": True})
    at.orders()
    at.fail("a", detail="exited with 3", t=1002.0)
    at.now += 30.0
    at.orders()
    kept = at.board.read("again.a.1")
    assert (kept["service"], kept["try"], kept["ordered_at"], kept["t"]) == ("a", 1, 1000.0, 1002.0)
    assert (kept["error_kind"], kept["detail"]) == ("container_exited", "exited with 3")
    assert at.board.read("again.b.1") is None


def test_a_second_failure_is_the_last_where_one_retry_is_allowed(table):
    at = table(retry={"retries": 1, "delay_s": 0, "only_failed": True})
    at.orders()
    at.fail("a")
    assert at.orders()["a"] == 2
    at.fail("a", 2)
    at.orders()
    assert at.board.read("given-up.a") is not None


def test_all_services_are_ordered_again_where_that_is_asked_for(table):
    at = table(retry={"retries": 1, "delay_s": 0, "only_failed": False})
    at.orders()
    at.note("b", "ready")
    at.fail("a")
    assert at.orders() == {"a": 2, "b": 2}
    assert at.board.read("again.b.1")["detail"] == "all services were started again with a"
    at.note("a", "ready", 2)
    assert "c" not in at.orders(), "b has to be ready once more"
    at.note("b", "ready", 2)
    assert at.orders()["c"] == 1


KINDS = [
    ("image_not_found", {}),
    ("port_conflict", {"holder": {"pid": 7, "program": "nginx", "run": "", "container": ""}}),
]


@pytest.mark.parametrize(("kind", "fields"), KINDS, ids=[row[0] for row in KINDS])
def test_what_a_new_start_cannot_mend_is_not_tried_again(table, kind, fields):
    at = table(retry={"retries": 3, "delay_s": 0, "only_failed": True})
    at.orders()
    at.fail("a", 1, kind, **fields)
    at.orders()
    assert at.board.read("given-up.a") is not None


def test_f40_a_port_held_by_a_leftover_is_cleaned_and_tried_at_once(table):
    at = table()
    at.orders()
    at.fail("a", 1, "port_conflict", holder={"container": "old", "run": "run-0", "pid": None, "program": "", "port": 1})
    assert at.orders()["a"] == 2 and at.board.read("order.a")["clean_first"] is True


def test_a_service_that_dies_after_it_was_ready_is_no_deployment(table):
    at = table()
    at.orders()
    for name in ("a", "b"):
        at.note(name, "ready")
    at.orders()
    at.fail("a")
    at.note("c", "ready")
    at.orders()
    assert at.board.read("given-up.a") is not None and at.board.read("deployed") is None
