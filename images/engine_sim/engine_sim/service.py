# SPDX-License-Identifier: MIT
"""One running service: a role behind its server, in its condition, with what happens in the background."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

from engine_sim import __version__, crash, logs
from engine_sim.api import ApiError
from engine_sim.app import App, Route
from engine_sim.completions import for_ever
from engine_sim.condition import Condition
from engine_sim.faults import FaultPlan
from engine_sim.leaks import Leaks
from engine_sim.limiter import TokenBucket
from engine_sim.metrics import process_text
from engine_sim.progress import Progress
from engine_sim.reports import Reports
from engine_sim.router import Router
from engine_sim.server import HttpServer
from engine_sim.settings import Settings
from engine_sim.wire import Request, Responder
from engine_sim.worker import Worker

logger = logging.getLogger("engine_sim.service")

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
GRACE_S = 0.7


class Service:
    """One service; `leave` ends the process with an exit code when a fault says so."""

    def __init__(self, settings: Settings, leave: Callable[[int], object] = os._exit) -> None:
        plan = FaultPlan(settings.faults, settings.role, settings.name)
        self.settings = settings
        self.faults = plan.for_process()
        self.app: App = Router(settings, plan) if settings.role == "router" else Worker(settings, plan)
        self.leaks = Leaks(self.faults)
        limit = self.faults.get("rate_limit")
        self._bucket = TokenBucket(limit.amount, limit.second, time.monotonic) if limit else None
        self.condition = Condition(self.faults, time.monotonic, lambda kind, code: crash.die(kind, code, leave))
        self.progress = Progress(self.faults, lambda: self.condition.uptime_s)
        self._reports = Reports(settings, self.faults, self.progress, lambda: self.condition.uptime_s, self.app.heads)
        self._active = plan.active
        self._server = HttpServer(self._handle)
        self._background: list[asyncio.Task[None]] = []
        self._created = int(time.time())
        self._routes = {
            ("GET", "/health"): Route(self._serve_health),
            ("GET", "/metrics"): Route(self._serve_metrics),
            ("GET", "/v1/models"): Route(self._serve_models),
            ("GET", "/version"): Route(self._serve_version),
            **self.app.routes,
        }

    async def start(self) -> int:
        """Listen and begin what runs in the background; return the port."""
        settings = self.settings
        logger.info("engine-sim %s role=%s name=%s model=%s", __version__, settings.role, settings.name, settings.model)
        for fault in self._active:
            logger.warning("fault on: %s", fault)
        self._reports.go_on()
        port = await self._server.start(settings.host, settings.port)
        flood = self.faults.get("log_flood")
        jobs = [self.app.run(), self.leaks.run(), self._reports.run(), self._crash_in_time()]
        if flood:
            jobs.append(logs.flood(flood.amount, int(flood.second)))
        self._background = [asyncio.get_running_loop().create_task(job) for job in jobs]
        logger.info("Started server process, listening on http://%s:%d", settings.host, port)
        return port

    async def stop(self) -> None:
        """End within the grace: no new request, those at work may finish, then everything is dropped."""
        self.condition.stopping = True
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._server.stop(GRACE_S)
        self._reports.write()
        self.leaks.close()
        logger.info("Finished server process after %d requests", self.condition.requests)

    async def _crash_in_time(self) -> None:
        """Crash when the time for it has come."""
        fault = self.faults.get("crash_after_s")
        if fault is not None:
            await asyncio.sleep(fault.amount)
            self.condition.crash(int(fault.second))

    async def _handle(self, request: Request, responder: Responder) -> None:
        """Answer a request as the condition of the service lets it."""
        if self.condition.hung:
            await for_ever()
        try:
            await self._route(request, responder)
        except ApiError as error:
            logger.error("%s %s: %d %s: %s", request.method, request.path, error.status, error.kind, error)
            await responder.json(error.status, error.body(), error.headers)
        except ConnectionError:
            raise
        except Exception:
            logger.exception("%s %s failed inside the server", request.method, request.path)
            if responder.status is None:
                failure = ApiError(500, "InternalServerError", "The server failed; its log has the traceback.")
                await responder.json(500, failure.body())
            else:
                responder.reset()

    async def _route(self, request: Request, responder: Responder) -> None:
        """Find the route of a request and take it."""
        route = self._routes.get((request.method, request.path))
        if route is None:
            allowed = [method for method, path in self._routes if path == request.path]
            if allowed:
                raise ApiError(405, "MethodNotAllowedError", f"use {', '.join(allowed)}", headers={"allow": allowed[0]})
            raise ApiError(404, "NotFoundError", f"no such path: {request.path[:200]}")
        if not route.counted:
            await route.handle(request, responder)
            return
        await self._admit()
        self.progress.begin()
        whole = False
        try:
            await route.handle(request, responder)
            whole = responder.status == 200 and responder.finished and not responder.broken
        finally:
            self.progress.end(whole)
            self.leaks.after_request()

    async def _admit(self) -> None:
        """Let an inference request in, or meet it with what the service's condition has for it."""
        if self.condition.unready:
            raise ApiError(
                503, "ServiceUnavailableError", f"The engine is {self.condition.unready}.", headers={"retry-after": "1"}
            )
        dead = self.condition.dead
        if dead == "hang":
            await for_ever()
        if dead:
            message = "EngineCore encountered an issue. See stack trace (above) for the root cause."
            raise ApiError(500, "EngineDeadError", message)
        wait_s = self._bucket.wait_s() if self._bucket else 0.0
        if wait_s > 0:
            headers = {"retry-after-ms": f"{wait_s * 1000:.0f}"}
            raise ApiError(429, "RateLimitError", "The rate limit is reached.", headers=headers)
        self.condition.count_request()

    async def _serve_health(self, request: Request, responder: Responder) -> None:
        unready, missing = self.condition.unready, self.app.missing()
        state = {"status": unready or missing or "ok", "role": self.settings.role, "name": self.settings.name}
        await responder.json(503 if unready or missing else 200, state)

    async def _serve_metrics(self, request: Request, responder: Responder) -> None:
        await responder.send(200, (self.app.scrape() + process_text()).encode(), METRICS_TYPE)

    async def _serve_models(self, request: Request, responder: Responder) -> None:
        settings = self.settings
        model = {
            "id": settings.model,
            "object": "model",
            "created": self._created,
            "owned_by": "engine-sim",
            "root": settings.model,
            "parent": None,
            "max_model_len": settings.max_model_len,
        }
        await responder.json(200, {"object": "list", "data": [model]})

    async def _serve_version(self, request: Request, responder: Responder) -> None:
        await responder.json(200, {"version": __version__})
