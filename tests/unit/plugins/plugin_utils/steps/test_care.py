# SPDX-License-Identifier: MIT
"""What becomes of a service that dies while the test runs."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import care

EXIT = {"service": "a", "error_kind": "container_exited", "exit_code": 3, "detail": "exited", "log_tail": ["bye"]}
SICK = {"service": "a", "error_kind": "service_unhealthy", "detail": "container a is paused"}
AGAIN = {"restart_services": 1}


@pytest.fixture
def cared(make_cell, build):
    """Return (care, its cell) of a case with one service."""

    def make(critical=True, ok=True, **fields):
        answer = {"started": {"a": {"ok": ok, "error": "" if ok else "no engine"}}}
        case = build.case(services=[build.service("a", critical=critical)], **fields)
        cell = make_cell(case, client=build.node(start=answer, facts={"engine": {"ok": True, "life": "2"}}))
        return care.Care(cell), cell

    return make


@pytest.mark.parametrize(
    ("entry", "fields", "kind", "ends"),
    [
        pytest.param(EXIT, {}, "service_died", True, id="F38-died"),
        pytest.param(SICK, {}, "service_unhealthy", True, id="F30-paused"),
        pytest.param({**EXIT, "error_kind": "container_oom"}, {}, "container_oom", True, id="53"),
        pytest.param(EXIT, {"on_service_death": "continue"}, "service_died", False, id="runs-on"),
        pytest.param(EXIT, {"recovery": AGAIN, "ok": False}, "service_died", True, id="cannot-be-started-again"),
    ],
)
def test_the_death_of_a_critical_service_is_told_and_ends_the_test_as_wanted(cared, entry, fields, kind, ends):
    made, cell = cared(**fields)
    assert made.mend(entry) is False
    note = cell.board.read("died.a")
    assert (note["error_kind"], note["node"], note["ends_test"]) == (kind, "n1", ends)
    assert (made.ended, care.must_end(cell)) == ("a" if ends else "", ends)
    assert cell.board.notes(care.RECOVERED) == {}


def test_a_service_that_is_not_critical_gives_a_warning(cared):
    made, cell = cared(critical=False)
    assert made.mend(EXIT) is False
    assert cell.board.read("warning.died-a")["message"].endswith("while the test ran; it is not critical")
    assert not care.must_end(cell) and cell.board.read("died.a") is None


EVENT = {"service": "a", "exit_code": 3}


def _told(cell):
    return [(one["service"], one["message"]) for one in journal.read(cell.plan.run_dir) if one.get("state") == "died"]


@pytest.mark.parametrize("critical", [True, False])
def test_a_death_that_was_told_at_once_is_not_told_again(cared, critical):
    made, cell = cared(critical=critical)
    made.tell(EVENT)
    first = _told(cell)
    assert len(first) == 1 and "died with exit status 3" in first[0][1]
    made.mend(EXIT)
    made.tell(EVENT)
    assert _told(cell) == first


def test_each_death_of_a_service_that_is_started_again_is_told(cared):
    made, cell = cared(recovery={"restart_services": 2})
    for _ in range(2):
        made.tell(EVENT)
        assert made.mend(EXIT)
    assert len(_told(cell)) == 2


def test_a_service_is_started_again_as_often_as_wanted_and_no_more(cared):
    made, cell = cared(recovery=AGAIN)
    assert made.mend(EXIT) is True and not care.must_end(cell)
    assert cell.board.read("recovered.a")["restarts"] == 1
    assert made.mend(EXIT) is False and care.must_end(cell)
    assert cell.board.read("recovered.a")["last"] == "died with exit status 3"


def test_f29_a_death_by_the_docker_engine_is_that_one_s_fault(cared):
    made, cell = cared()
    cell.facts["engine"] = {"life": "1"}
    made.mend(EXIT)
    note = cell.board.read("died.a")
    assert note["error_kind"] == "docker_daemon_down" and "was started again" in note["because"]


def test_a_case_that_has_failed_on_another_node_ends_the_test(cared):
    _, cell = cared()
    assert not care.must_end(cell)
    cell.board.claim("failure", {"message": "no engine"})
    assert care.must_end(cell)
