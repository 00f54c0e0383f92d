# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and stop the containers of a case over the engine's socket."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import ports, procs, supervise
from .context import Context
from .engine import Engine, connect, engine_of
from .errors import CellError
from .listeners import meet
from .objects import RUN, Container, by_service, containers, of_case, of_run
from .params import integer, texts
from .request import flag

WORKERS = 8
LAG_LIMIT_S = 3.0
START_LIMIT_S = 120.0  # many starts at once wait for each other in the engine
RUNNING = ("running", "restarting", "paused")
_PORT = re.compile(r"(?:Bind for|listen tcp[46]?|bind host port(?: for)?) \[?([0-9a-fA-F.:]*?)\]?:(\d+)(?:/tcp|:| |$)")


def start(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Start the services' containers, all at once: {started: {service: ...}}.

    One that runs already is left alone; args.again: it is ended first.
    """
    engine, wanted, again = connect(ctx.environ), texts(args, "services"), flag(args, "again", False)
    found = by_service(containers(engine, of_case(ctx.needed_run)))
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = list(pool.map(lambda service: _answer_of_start(ctx, engine, found.get(service, []), again), wanted))
    return {"started": dict(zip(wanted, answers))}


def _answer_of_start(ctx: Context, engine: Engine, found: list[Container], again: bool) -> dict[str, Any]:
    """Return {ok, error_kind, error, at_unix, containers, changed[, holder]} of one service's start."""
    answer = {
        "containers": [container.id for container in found],
        "changed": again or any(container.state != "running" for container in found),
    }
    if ctx.check and found:
        return {"ok": True, "error_kind": "", "error": "", "at_unix": None, **answer}
    fault = start_service(engine, found, again)
    at_unix = None if fault else round(ctx.clock.unix(), 3)
    return {"ok": not fault, "error_kind": "", "error": "", "at_unix": at_unix, **answer, **fault}


def start_service(engine: Engine, found: list[Container], again: bool = False) -> dict[str, Any]:
    """Start the containers of a service; return {} or {error_kind, error[, holder]} of the first that did not start.

    again: those that run are ended first.
    """
    if not found:
        return {"error_kind": "container_gone", "error": "no container was made for this service"}
    for container in found:
        try:
            _begin(engine, container, again)
        except CellError as exc:
            return {"error_kind": exc.kind, "error": exc.message, **_holder(engine, exc)}
    return {}


def _begin(engine: Engine, container: Container, again: bool) -> None:
    """Start one container; a paused one is woken before it is ended, since it cannot take the signal."""
    if not again:
        return engine.start(container.id, START_LIMIT_S)
    if container.state == "paused":
        engine.unpause(container.id)
    return engine.restart(container.id, START_LIMIT_S)


def _holder(engine: Engine, error: CellError) -> dict[str, Any]:
    """Return who holds the port that a start could not have: {holder: {port, address, pid, program, container, run}}."""
    match = _PORT.search(error.message) if error.kind == "port_conflict" else None
    if not match:
        return {}
    address, port = match.group(1), int(match.group(2))
    holder: dict[str, Any] = {"port": port, "address": address, "pid": None, "program": "", "container": "", "run": ""}
    for entry in ports.listening():
        if entry["port"] == port and meet(entry["address"], address):
            holder.update(pid=entry["pid"], program=entry["program"])
    for container in containers(engine, []):
        if any(public == port and meet(host, address) for host, public in container.ports):
            holder.update(container=container.name, run=container.labels.get(RUN, ""))
    return {"holder": holder}


def stop(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Stop every container of the run and end its processes: {stopped: [names], processes: n, errors: [...]}."""
    engine, grace = engine_of(ctx), integer(args, "timeout_s", 10, 0, 3600)
    running = _running(ctx, engine)
    if ctx.check:
        return {"stopped": [], "would_stop": [found.name for found in running], "processes": 0, "errors": []}
    killed, errors = end_processes(ctx)
    failed = in_parallel(running, lambda found: _stop_one(engine, found, grace))
    left = {found.name for found in ctx.clock.drained(lambda: _running(ctx, engine), LAG_LIMIT_S)}
    missed = [_error("process_leak", name, "still runs after stop and kill") for name in sorted(left - set(failed))]
    stopped = [found.name for found in running if found.name not in left]
    return {"stopped": stopped, "processes": killed, "errors": errors + list(failed.values()) + missed}


def _running(ctx: Context, engine: Engine) -> list[Container]:
    """Return the run's containers that the engine's list shows as running; the list lags a little behind."""
    return [found for found in containers(engine, of_run(ctx.needed_run)) if found.state in RUNNING]


def _stop_one(engine: Engine, container: Container, grace: int) -> None:
    """Stop one container; a paused one is woken first, since it cannot take the signal."""
    if container.state == "paused":
        engine.unpause(container.id)
    engine.stop(container.id, grace)


def in_parallel(found: list[Container], work: Callable[[Container], Any]) -> dict[str, dict[str, Any]]:
    """Do work for each container at once and return the errors by container name; gone ones are no error."""
    errors: dict[str, dict[str, Any]] = {}

    def guarded(container: Container) -> None:
        try:
            work(container)
        except CellError as exc:
            if exc.kind != "container_gone":
                errors[container.name] = _error(exc.kind, container.name, exc.message)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(guarded, found))
    return errors


def end_processes(ctx: Context) -> tuple[int, list[dict[str, Any]]]:
    """End the run's units, the supervisors first asked; return how many processes are gone and what would not go."""
    report = supervise.end_units(ctx, ctx.needed_run.id)
    errors = [_error("process_leak", str(proc.pid), procs.cmdline(proc.pid)) for proc in report.survivors]
    return report.gone, errors


def _error(kind: str, what: str, message: str) -> dict[str, Any]:
    return {"error_kind": kind, "what": what, "error": message}


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"start": start, "stop": stop}
