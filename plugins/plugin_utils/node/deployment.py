# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services of one node while they are deployed: orders go there, and what becomes of them comes back.

Over a link the node tells at once what happens. Without one it is asked again and again, which is slower and no less
right. Events are mappings with `service`, `state` (running, ready, failed) and what the node knows of it. Now and then one
says why a service is not ready: `waiting`, after `waited_s` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from .client import NodeClient, lost, once
from .link import Link, LinkError

Event = dict[str, Any]
T = TypeVar("T")
POLL_S = 0.1
FIRST_WORD_S = 30.0  # as minder.FIRST_WORD_S of the node's program


class Deployment(Protocol):
    """Services of one node on their way to ready."""

    def order(self, start: list[str], again: list[str]) -> None:
        """Start services, and start others anew that failed or are to be started from scratch."""

    def events(self) -> list[Event]:
        """Return what has happened since the last call."""

    def watched(self) -> list[Link]:
        """Return what is readable when something has happened; empty where only asking helps."""

    def renew(self) -> None:
        """Keep the lease of the node."""

    def finish(self) -> Mapping[str, Mapping[str, Any]]:
        """Let go of the services, which go on running, and return the last state of each."""


def deployment(client: NodeClient, checks: list[dict[str, Any]], limits: Mapping[str, Any]) -> Deployment:
    """Return the deployment of the services that checks name. limits: max_health_checks, limit_s of one service."""
    if client.line is None:
        return _Asked(client, checks, float(limits["limit_s"]))
    return _Told(client, {"checks": checks, **limits})


class _Told:
    """A deployment over a link. Where the link is lost, a new one is given all orders once more: they say what is wanted."""

    def __init__(self, client: NodeClient, args: dict[str, Any]) -> None:
        self._client = client
        self._args = args
        self._started: list[str] = []
        self._link: Link | None = None
        self._broken = False
        self._name = ""
        self._states: Mapping[str, Mapping[str, Any]] | None = None
        self._lives: dict[str, int] = {}

    def order(self, start: list[str], again: list[str]) -> None:
        self._started += [name for name in start if name not in self._started]
        self._tell({"start": start} if start else {})
        self._tell({"again": again} if again else {})
        for name in again:
            self._lives[name] = self._lives.get(name, 1) + 1

    def events(self) -> list[Event]:
        """Return what has happened; what the node said of a life before it was told to begin another is over."""
        heard = self._client.persist(
            lambda: self._on_link(lambda link: [self._event(message) for message in link.heard(self._name, 0.0)])
        )
        return [event for event in heard if event.get("life", 1) >= self._lives.get(str(event.get("service")), 1)]

    def watched(self) -> list[Link]:
        return [self._client.persist(lambda: self._on_link(lambda link: link))]

    def renew(self) -> None:
        self._tell({"renew": True})

    def finish(self) -> Mapping[str, Mapping[str, Any]]:
        if self._states is None:
            self._states = {}
            self._states = self._last_states()
        return self._states

    def _last_states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the states that the operation ends with, {} where it has ended by itself or cannot be asked."""
        if self._link is None:
            return {}
        try:
            self._link.tell(self._name, {"finish": True})
            *_, last = self._link.answers(self._name)
        except LinkError:
            self._lose()
            return {}
        states: Mapping[str, Mapping[str, Any]] = last.get("result", {}).get("states", {})
        return states

    def _event(self, message: dict[str, Any]) -> Event:
        """Return an event; the operation ends only when it is told to, so its end is an error."""
        event: Event = message["event"] if "event" in message else self._client.result(message)
        return event

    def _on_link(self, use: Callable[[Link], T]) -> T:
        """Use the link, a new one where it is lost; a loss is raised as a NodeError, and whoever persists tries again."""
        try:
            return use(self._open())
        except LinkError as exc:
            self._lose()
            raise lost(exc) from None

    def _open(self) -> Link:
        """Return the link. In place of one that broke a new one is proved: a link opens also where no node answers."""
        if self._link is None:
            if self._broken:
                replace(self._client, persist=once).call("lease", action="show")
            self._link = self._client.open()
            self._name = self._link.send(self._client.request("deploy", self._args))
            if self._started:
                self._link.tell(self._name, {"start": self._started})
        return self._link

    def _tell(self, message: dict[str, Any]) -> None:
        if message:
            self._client.persist(lambda: self._on_link(lambda link: link.tell(self._name, message)))

    def _lose(self) -> None:
        self._link, self._broken, self._lives = None, True, {}
        if self._client.line is not None:
            self._client.line.lose()


class _Asked:
    """A deployment by single calls."""

    def __init__(self, client: NodeClient, checks: list[dict[str, Any]], limit_s: float) -> None:
        self._client = client
        self._checks = {str(check["service"]): check for check in checks}
        self._limit_s = limit_s
        self._states: dict[str, dict[str, Any]] = {}
        self._news: list[Event] = []
        self._next_word_s: dict[str, float] = {}

    def order(self, start: list[str], again: list[str]) -> None:
        for names, anew in ((start, False), (again, True)):
            if names:
                self._start(names, anew)

    def _start(self, names: list[str], anew: bool) -> None:
        for name, answer in self._client.call("start", services=names, again=anew)["started"].items():
            state = "running" if answer["ok"] else "failed"
            self._note({**answer, "service": name, "state": state, "t": answer["at_unix"], "detail": answer["error"]})

    def events(self) -> list[Event]:
        pending = [name for name, event in self._states.items() if event["state"] == "running"]
        if pending:
            self._ask(pending)
        news, self._news = self._news, []
        return news

    def watched(self) -> list[Link]:
        return []

    def renew(self) -> None:
        """Do nothing: each call renews the lease."""

    def finish(self) -> Mapping[str, Mapping[str, Any]]:
        return self._states

    def _ask(self, names: Iterable[str]) -> None:
        checks = [self._checks[name] for name in names]
        answer = self._client.call("ready", checks=checks, known={}, wait_s=POLL_S)
        for name, state in answer["states"].items():
            event = {**self._states[name], **state, "service": name}
            if state["state"] != "starting":
                self._note(event)
            elif state["since_s"] > self._limit_s:
                self._note(
                    {**event, "state": "failed", "error_kind": "health_timeout", "detail": _late(event, self._limit_s)}
                )
            else:
                self._wait(self._states[name], state)

    def _wait(self, known: dict[str, Any], state: Mapping[str, Any]) -> None:
        """Keep why a service is not ready, and say it when it is time, each time after twice as long."""
        known["detail"] = state["detail"]
        if state["since_s"] >= self._next_word_s.get(known["service"], FIRST_WORD_S):
            self._next_word_s[known["service"]] = 2 * state["since_s"]
            self._news.append({**known, "state": "waiting", "waited_s": state["since_s"]})

    def _note(self, event: Event) -> None:
        self._next_word_s.pop(event["service"], None)
        self._states[event["service"]] = event
        self._news.append(event)


def _late(event: Event, limit_s: float) -> str:
    return f"not ready within {limit_s:g} s of its start: {event.get('detail') or 'starting'}"
