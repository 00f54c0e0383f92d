# SPDX-License-Identifier: MIT
"""The roles that are engines: single does all, prefill also sends KV, decode also receives it."""

from __future__ import annotations

from engine_sim import transfer
from engine_sim.api import Call
from engine_sim.app import Route, Routes
from engine_sim.completions import Completions
from engine_sim.engine import Engine, Ticket
from engine_sim.faults import Drawn, FaultPlan
from engine_sim.kv import Kv
from engine_sim.metrics import EngineMetrics
from engine_sim.settings import Settings


class Worker:
    """An engine with its routes."""

    def __init__(self, settings: Settings, plan: FaultPlan) -> None:
        self.engine = Engine(settings, EngineMetrics(settings.model))
        self.routes = self._routes(settings.role, plan)

    def _routes(self, role: str, plan: FaultPlan) -> Routes:
        receiver = transfer.Receiver(self.engine) if role == "decode" else None
        completions = Completions(self.engine, plan, receiver.cache_of if receiver else self._own_cache)
        routes = {
            ("POST", "/v1/completions"): Route(completions.serve_text, counted=True),
            ("POST", "/v1/chat/completions"): Route(completions.serve_chat, counted=True),
        }
        if role == "prefill":
            sender = transfer.Sender(self.engine, plan)
            routes["POST", "/pd/prefill"] = Route(sender.serve_prefill, counted=True)
        if receiver:
            routes["PUT", "/pd/kv"] = Route(receiver.serve_kv)
        return routes

    async def _own_cache(self, call: Call, ticket: Ticket, faults: Drawn) -> Kv | None:
        """Return the KV of a call, computed here."""
        await self.engine.read_prompt(ticket)
        return self.engine.compute_kv(call.prompt)

    def missing(self) -> str:
        """Return what the role lacks to work; an engine lacks nothing."""
        return ""

    def scrape(self) -> str:
        """Return the engine's metrics."""
        return self.engine.scrape()

    def heads(self) -> dict[str, int]:
        """Return the requests handed to workers: there are none."""
        return {}

    async def run(self) -> None:
        """Do what the role does in the background: nothing."""
