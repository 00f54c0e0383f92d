# SPDX-License-Identifier: MIT
"""The watch tells deaths and sickness once, and at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import watch
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef


class Engine:
    """An engine of scripted looks: each event moves on to the next list of (service, state, status)."""

    def __init__(self, *looks) -> None:
        self.looks = list(looks)
        self.lag = 0
        self.waits = 0

    def containers(self, _labels, _timeout=None):
        return [
            {
                "Id": service,
                "Names": [f"/{service}"],
                "State": state,
                "Status": status,
                "Labels": {"com.docker.compose.service": service},
            }
            for service, state, status in self.looks[0]
        ]

    def events(self, _since, _until, _labels, _timeout, _kinds):
        self.waits += 1
        if len(self.looks) > 1:
            self.looks.pop(0)
            yield {"Action": "die"}

    def inspect(self, name):
        code = {"oom": 137}.get(name, 4)
        return {"Id": name, "State": {"ExitCode": code, "OOMKilled": name == "oom"}, "Config": {}}

    def log_tail(self, _container, _tty, lines):
        return ["last words"]


@pytest.fixture
def ask(monkeypatch):
    def run(engine, *services, known=(), wait_s=10.0):
        now = [0.0]
        clock = Clock(unix=lambda: now[0], monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
        monkeypatch.setattr(watch, "connect", lambda _environ, _timeout: engine)
        context = Context(Path("/x"), RunRef("r", "s"), clock=clock)
        return watch.watch(context, {"services": list(services), "known": list(known), "wait_s": wait_s})

    return run


UP = ("a", "running", "Up 1 second")


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        pytest.param(("a", "exited", "Exited (4)"), "service_died", id="F30-died"),
        pytest.param(("oom", "exited", "Exited (137)"), "container_oom", id="53-oom"),
    ],
)
def test_a_death_is_told_with_code_and_last_words(ask, now, kind):
    answer = ask(Engine([(now[0], "running", "Up")], [now]), now[0])
    assert [one["error_kind"] for one in answer["died"]] == [kind]
    assert answer["died"][0]["log_tail"] == ["last words"]


@pytest.mark.parametrize(
    ("state", "status", "kind"),
    [
        ("running", "Up 9 seconds (unhealthy)", "service_unhealthy"),
        ("paused", "Up 9 seconds (Paused)", "service_unhealthy"),
        ("restarting", "Restarting (1)", "service_flapping"),
    ],
)
def test_sickness_is_told(ask, state, status, kind):
    answer = ask(Engine([UP], [("a", state, status)]), "a")
    assert [one["error_kind"] for one in answer["unhealthy"]] == [kind]
    assert answer["died"] == []


def test_a_container_that_vanished_is_dead(ask):
    assert ask(Engine([UP], []), "a")["died"][0]["error_kind"] == "container_gone"


def test_an_event_that_comes_before_the_list_shows_it_is_not_lost(ask):
    class Lagging(Engine):
        def containers(self, labels, timeout=None):
            if self.waits and self.lag < 3:
                self.lag += 1
                return [{"Id": "a", "Names": ["/a"], "State": "running", "Labels": {"com.docker.compose.service": "a"}}]
            return super().containers(labels, timeout)

    engine = Lagging([UP], [("a", "exited", "Exited (4)")])
    assert ask(engine, "a")["died"][0]["exit_code"] == 4
    assert engine.waits == 1


def test_known_trouble_and_other_services_are_not_told(ask):
    engine = Engine([UP, ("b", "exited", ""), ("c", "exited", "")])
    assert ask(engine, "a", "b", known=["b"], wait_s=0) == {"died": [], "unhealthy": []}
