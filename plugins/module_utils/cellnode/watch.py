# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch services that should run: tell at once which one died or turned unhealthy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .context import Clock, Context
from .engine import Engine, connect
from .objects import Container, by_service, containers, death, of_case
from .params import number, texts

SIGNS = ["die", "oom", "destroy", "health_status", "pause"]
LAG_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)  # the engine tells an event before its list shows the new state


def watch(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return {died: [...], unhealthy: [...]} as soon as there is one, or empty lists after wait_s.

    args.known: services that the caller knows to be dead or unhealthy already; they are not told again.
    """
    engine, labels = connect(ctx.environ, 10.0), of_case(ctx.needed_run)
    wanted = set(texts(args, "services")) - set(texts(args, "known"))
    deadline = ctx.clock.monotonic() + number(args, "wait_s", 10, 0, 600)
    again: list[float] = []
    while True:
        since = ctx.clock.unix()
        answer = look(engine, labels, wanted, ctx.clock)
        left = deadline - ctx.clock.monotonic()
        if answer["died"] or answer["unhealthy"] or left <= 0:
            return answer
        if again:
            ctx.clock.sleep(min(again.pop(0), left))
        elif sign(engine, labels, since, ctx.clock.unix() + left, left + 5.0):
            again = list(LAG_S)
        else:
            ctx.clock.sleep(LAG_S[0])


def sign(engine: Engine, labels: list[str], since: float, until: float, timeout_s: float) -> bool:
    """Wait for the first event that may mean trouble, and return whether there was one before until."""
    return any(True for _ in engine.events(since, until, labels, timeout_s, SIGNS))


def look(engine: Engine, labels: list[str], wanted: set[str], clock: Clock) -> dict[str, Any]:
    """Return which of the wanted services do not run, are unhealthy, or are frozen."""
    found = by_service(containers(engine, labels))
    answer: dict[str, Any] = {"died": [], "unhealthy": []}
    for service in sorted(wanted):
        if service not in found:
            answer["died"].append(_gone(service))
        for container in found.get(service, []):
            _judge(engine, service, container, answer, clock)
    return answer


def _judge(engine: Engine, service: str, container: Container, answer: dict[str, Any], clock: Clock) -> None:
    """Put a container that is not as it should be into the answer."""
    if container.state not in ("running", "paused", "restarting"):
        end = death(engine, container, clock)
        kind = end.error_kind if end.oom else "service_died"
        answer["died"].append({"service": service, "container": container.name, **end.as_dict(), "error_kind": kind})
    elif container.state == "restarting":
        answer["unhealthy"].append(_sick(service, container, "service_flapping", "is restarted by the engine"))
    elif container.state == "paused":
        answer["unhealthy"].append(_sick(service, container, "service_unhealthy", "is paused"))
    elif container.health == "unhealthy":
        answer["unhealthy"].append(_sick(service, container, "service_unhealthy", "is unhealthy"))


def _sick(service: str, container: Container, kind: str, words: str) -> dict[str, Any]:
    text = f"container {container.name} {words}"
    return {"service": service, "container": container.name, "error_kind": kind, "detail": text}


def _gone(service: str) -> dict[str, Any]:
    record: dict[str, Any] = {"service": service, "container": "", "error_kind": "container_gone", "exit_code": None}
    record.update(detail="its container does not exist any more", oom=False, log_tail=[], finished_unix=None)
    return record


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"watch": watch}
