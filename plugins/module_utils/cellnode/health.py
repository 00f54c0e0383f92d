# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How this node is, for those who look while others work: its facts, and the containers of runs with their state.

It only reads. No lease is taken or renewed, and the engine is asked for its lists and for the records of our own
containers, never for logs, statistics or commands in a container.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .context import Context
from .engine import Engine, connect
from .errors import CellError
from .facts import ENGINE_LIMIT_S, facts
from .objects import CASE, RUN, SCENARIO, Container, containers, started_at

RECORD_LIMIT_S = 2.0  # a record waits for the container's own lock, which its start and its end hold for a while
WORKERS = 4
ENDED = ("exited", "dead")
Json = dict[str, Any]


def health(ctx: Context, args: Json) -> Json:
    """Return the node's facts with {services, services_error, answered_unix}; args: those of `facts`.

    answered_unix: the node's clock when the answer was ready.
    """
    answer = facts(ctx, args)
    answer.update(_services(ctx, answer["engine"]))
    return {**answer, "answered_unix": ctx.clock.unix()}


def _services(ctx: Context, engine: Json) -> Json:
    """Return the containers of every run with what its engine knows of them; an engine that is away is not asked twice."""
    if not engine["ok"]:
        return {"services": [], "services_error": engine["error"]}
    try:
        client = connect(ctx.environ, ENGINE_LIMIT_S)
        found = containers(client, [RUN], ENGINE_LIMIT_S)
    except CellError as exc:
        return {"services": [], "services_error": exc.message}
    with ThreadPoolExecutor(WORKERS) as pool:
        records = list(pool.map(lambda container: _record(client, container), found))
    now = ctx.clock.unix()
    return {"services": [_service(*pair, now) for pair in zip(found, records)], "services_error": ""}


def _record(engine: Engine, container: Container) -> Json:
    """Return the record of a container, {} where it is gone or does not come in time."""
    try:
        return engine.inspect(container.id, RECORD_LIMIT_S)
    except CellError:
        return {}


def _service(container: Container, record: Json, now: float) -> Json:
    """Return one container of a run as its service; what only an absent record could tell is None."""
    state = record.get("State") or {}
    ended = container.state in ENDED
    return {
        "run": container.labels.get(RUN, ""),
        "scenario": container.labels.get(SCENARIO, ""),
        "case": container.labels.get(CASE, ""),
        "service": container.service,
        "container": container.name,
        "image": container.image,
        "state": container.state,
        "health": container.health,
        "exit_code": state.get("ExitCode") if ended else None,
        "oom": bool(state.get("OOMKilled")) if ended else False,
        "restarts": record.get("RestartCount"),
        "age_s": _since(container.created, now),
        "up_s": _since(started_at(record), now) if container.state == "running" else None,
        "ports": sorted({port for _, port in container.ports}),
    }


def _since(then: float | None, now: float) -> float | None:
    return None if then is None else round(max(0.0, now - then), 1)


OPS: dict[str, Callable[[Context, Json], Json]] = {"health": health}
