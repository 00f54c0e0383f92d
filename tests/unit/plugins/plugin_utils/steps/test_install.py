# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import install

V2 = [{"kind": "plugin", "argv": ["docker", "compose"], "version": "2.26.1"}]
UP = {"ok": True, "installed": True, "platform": ""}
DOWN = {"ok": False, "installed": True, "error_kind": "docker_daemon_down"}
ABSENT = {**DOWN, "installed": False}
REFUSED = {"ok": False, "installed": False, "error_kind": "docker_permission"}

LACKING = [
    ("all is there", UP, V2, []),
    ("no Compose", UP, [], ["compose"]),
    ("no engine", ABSENT, V2, ["engine"]),
    ("neither", ABSENT, [], ["engine", "compose"]),
    ("an engine that is down is not absent", DOWN, V2, []),
    ("Compose beside an engine that is down", DOWN, [], []),
    ("an engine that refuses the user is not absent", REFUSED, [], []),
    ("an engine of unknown make that is down", {"ok": False, "error_kind": "docker_daemon_down"}, [], []),
]


@pytest.mark.parametrize(("engine", "compose", "parts"), [row[1:] for row in LACKING], ids=[row[0] for row in LACKING])
def test_only_what_is_absent_is_missing(engine, compose, parts):
    assert install.lacks({"engine": engine, "compose": compose}) == parts


@pytest.fixture
def cell_with(make_cell, build):
    """Return a function that builds a cell with one service on n1 and a node that gives these facts."""

    def make(node="n1", **facts):
        client = build.node(facts={"engine": UP, "compose": V2, "uid": 1000, **facts}, lease={})
        return make_cell(build.case(services=[build.service("a", node=node)], nodes=("n1", "n2")), client=client)

    return make


def test_a_node_that_lacks_nothing_costs_one_call(cell_with):
    cell = cell_with()
    assert install.find_missing(cell) == {}
    assert [op for op, _ in cell.client.calls] == ["facts"]


def test_a_node_without_services_is_not_asked(cell_with):
    cell = cell_with(node="n2", compose=[])
    assert install.find_missing(cell) == {} and cell.client.calls == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"compose": []}, {"parts": ["compose"], "engine_vendor": "", "root": False}),
        ({"compose": [], "uid": 0}, {"parts": ["compose"], "engine_vendor": "", "root": True}),
        (
            {"compose": [], "engine": {**UP, "platform": "Docker Engine - Community"}},
            {"parts": ["compose"], "engine_vendor": "Docker", "root": False},
        ),
    ],
    ids=["a user", "root", "an engine of Docker's own"],
)
def test_what_is_missing_is_said_with_what_installing_needs_to_know(cell_with, facts, expected):
    assert install.find_missing(cell_with(**facts)) == expected


def test_the_lease_lasts_as_long_as_installing_may_and_then_gets_its_own_length_back(cell_with):
    cell = cell_with(compose=[])
    cell.client.line = "a link"
    install.find_missing(cell)
    install.note(cell, ["docker-compose"], {"changed": True})
    lengths = [args["ttl_s"] for op, args in cell.client.calls if op == "lease"]
    assert lengths == [cell.plan.lease_ttl_s + install.LIMIT_S, cell.plan.lease_ttl_s]


OUTCOMES = [
    ("installed", {"changed": True}, {}, "installed p1, p2 with what it depends on"),
    ("there already", {"changed": False}, {}, "p1, p2 is installed already"),
    ("failed", {"failed": True, "msg": "No package\n 'p1'"}, {}, "installing what is missing failed: No package 'p1'"),
    (
        "reasons in a list",
        {"failed": True, "msg": "Failed to install some packages", "failures": ["No package p1 available."]},
        {},
        "failed: Failed to install some packages; No package p1 available.",
    ),
    (
        "no sudo",
        {"failed": True, "msg": "No start of json char found", "module_stderr": "sh: 1: sudo: not found\n"},
        {},
        "sh: 1: sudo: not found",
    ),
    ("lost node", {"unreachable": True, "msg": "no route"}, {}, "no route; the package manager may go on there"),
    (
        "old lists",
        {"failed": True, "msg": "No package p1"},
        {"msg": "Failed to update apt cache:"},
        "No package p1; before that, the package lists: Failed to update apt cache",
    ),
    (
        "a password of the mirror",
        {"failed": True, "msg": "cannot fetch https://me:hunter2@mirror.test/x"},
        {},
        "cannot fetch https://(not shown)@mirror.test/x",
    ),
    ("no reason", {"failed": True}, {}, "failed: no reason was given"),
]


@pytest.mark.parametrize(("result", "lists", "words"), [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES])
def test_what_became_of_it_is_kept_and_is_a_warning_of_the_report(cell_with, result, lists, words):
    cell = cell_with()
    install.note(cell, ["p1", "p2"], result, lists)
    assert words in install.told(install.kept(cell))
    message = cell.board.read("warning.install.n1")["message"]
    assert message.startswith("n1: ") and words in message and message.endswith("whatever was installed stays there")


def test_a_service_that_does_not_start_does_not_hide_what_was_installed(cell_with):
    cell = cell_with()
    install.note(cell, ["docker.io"], {"changed": True})
    install.note(cell, [], {"failed": True, "msg": "Unable to start service docker"})
    words = (
        "installed docker.io with what it depends on; installing what is missing failed: Unable to start service docker"
    )
    assert install.told(install.kept(cell)) == words


def test_a_long_reason_is_cut(cell_with):
    cell = cell_with()
    install.note(cell, [], {"failed": True, "msg": "x" * 10_000})
    assert len(install.kept(cell)["error"]) == install.LONGEST_REASON
