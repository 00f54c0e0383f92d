# SPDX-License-Identifier: MIT
"""A deployment without a link, over single calls to a node that answers as it is told here."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import minder
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import deployment

LOADS = {"state": "starting", "detail": "it loads", "exit_code": None}


class Node:
    """A client without a link. ages: after how many seconds of its start the service is looked at, one a call."""

    line = None

    def __init__(self, *ages):
        self.ages = list(ages)

    def call(self, op, **args):
        if op == "start":
            started = {"ok": True, "error": "", "at_unix": 1.0}
            return {"started": dict.fromkeys(args["services"], started)}
        age = self.ages.pop(0)
        state = {"state": "ready", "detail": "", "since_s": -age} if age < 0 else {**LOADS, "since_s": age}
        return {"states": {check["service"]: state for check in args["checks"]}}


def told(node, calls):
    """Return the states that are told, call by call, with the seconds waited."""
    asked = deployment.deployment(node, [{"service": "a"}], {"max_health_checks": 1, "limit_s": 200.0})
    asked.order(["a"], [])
    return [[(event["state"], event.get("waited_s")) for event in asked.events()] for _ in range(calls)]


RUNNING = ("running", None)
TOLD = {
    "ready at once": ((-1.0,), [[RUNNING, ("ready", None)]]),
    "before it is time": ((1.0, 29.9, -31.0), [[RUNNING], [], [("ready", None)]]),
    "again after twice as long": (
        (30.5, 31.0, 60.0, 61.0, 100.0, 122.0, -150.0),
        [[RUNNING, ("waiting", 30.5)], [], [], [("waiting", 61.0)], [], [("waiting", 122.0)], [("ready", None)]],
    ),
    "until it is late": ((40.0, 201.0), [[RUNNING, ("waiting", 40.0)], [("failed", None)]]),
}


@pytest.mark.parametrize(("ages", "words"), TOLD.values(), ids=TOLD)
def test_why_a_service_is_not_ready_is_said_now_and_then(ages, words):
    assert told(Node(*ages), len(ages)) == words


def test_the_first_word_comes_when_that_of_a_link_would():
    assert deployment.FIRST_WORD_S == minder.FIRST_WORD_S


class Link:
    """A link on which a node says what it is told to here."""

    def __init__(self):
        self.says, self.told = [], []

    def send(self, request):
        return "1"

    def tell(self, name, message):
        self.told.append(message)

    def heard(self, name, wait_s):
        said, self.says = self.says, []
        return [{"event": event} for event in said]


class Linked:
    """A client whose link may be lost."""

    line = type("Line", (), {"lose": lambda self: None})()

    def __init__(self, *links):
        self.links = list(links)

    def persist(self, work):
        return work()

    def open(self):
        return self.links.pop(0)

    def request(self, op, args):
        return {}


def said(link, *events):
    link.says = [{"service": name, "state": state, "life": life} for name, state, life in events]


def test_what_a_node_says_of_an_earlier_life_is_over():
    """It may have been said before the node was told to start the service again."""
    link = Link()
    asked = deployment.deployment(Linked(link), [{"service": "a"}, {"service": "b"}], {})
    asked.order(["a", "b"], [])
    said(link, ("a", "running", 1), ("b", "failed", 1))
    assert len(asked.events()) == 2
    asked.order([], ["a", "b"])
    said(link, ("a", "ready", 1), ("b", "running", 2), ("a", "running", 2))
    assert [(event["service"], event["state"]) for event in asked.events()] == [("b", "running"), ("a", "running")]
    asked.order([], ["b"])
    said(link, ("b", "ready", 2), ("a", "ready", 2))
    assert [(event["service"], event["state"]) for event in asked.events()] == [("a", "ready")]


def test_lives_are_counted_anew_on_a_link_that_was_made_anew():
    first, second = Link(), Link()
    asked = deployment.deployment(Linked(first, second), [{"service": "a"}], {})
    asked.order(["a"], [])
    asked.order([], ["a"])
    asked._lose()
    asked._broken = False  # no node is there to prove the link by
    said(second, ("a", "ready", 1))
    assert [event["state"] for event in asked.events()] == ["ready"]
    assert second.told == [{"start": ["a"]}]
