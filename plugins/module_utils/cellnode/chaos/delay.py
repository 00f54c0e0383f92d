# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault of a slow network: each packet, or each piece of a TCP connection, arrives later.

By netem of the kernel; where it has none, by a proxy of ours inside the container's network namespace.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from ..errors import CellError
from . import exchange, naming, netns, network, queues, rules, values, workers
from .fault import Aim, Effect, Place
from .rules import Chain

TABLE = "nat"
MARK_BASE = 0x7E570000  # of the proxy's own connections, which are not led back to it
MOST_MS = 60_000.0
DRAIN_LIMIT_S = 3.0
Json = dict[str, Any]


class Delay:
    """Each direction waits delay_ms, more or less by up to jitter_ms."""

    kind = "network_delay"

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return why this node can do it neither with netem nor with rules that lead to a proxy."""
        environ = place.ctx.environ
        found = values.problem(lambda: _checked(params)) or network.missing_tools(environ)
        if found or not without_netem(environ):
            return found
        return netns.tried(environ, "iptables", "-w", rules.WAIT_S, "-t", TABLE, *_trial("PREROUTING"))

    def prepare(self, place: Place, aim: Aim) -> Json:
        """Return where and how it is done, and how long an exchange takes without it."""
        _checked(aim.params)
        if not aim.service:
            message = "network_delay needs a service: a whole node would hold up the sessions of its keepers, too"
            raise CellError("chaos_unsupported", message)
        known, key = netns.record(aim), naming.key(place)
        with netns.needed(place, known) as door:
            links = netns.links(door)
            address = network.answering(door, aim, links)
            before = exchange.exchange_ms(door, address, exchange.CONNECT_S)
            if before is None:
                raise CellError("chaos_unsupported", f"service {aim.service}: no connection to {address} comes about")
            devices = network.queue_places(place, door, links, aim.params, without_netem(place.ctx.environ))
            return {
                "ns": known,
                "params": dict(aim.params),
                "address": address,
                "addresses": netns.addresses(links, "inet"),
                "before_ms": before,
                "seed": aim.params.get("seed", random.SystemRandom().getrandbits(31)),
                "devices": devices,
                "handle": queues.handle(key),
                "token": workers.new_token(place),
                "mark": MARK_BASE | int(key[:4], 16),
                "tables": rules.Tables(("iptables",), TABLE, f"testcell-{key}", naming.comment(place)).as_dict(),
            }

    def inject(self, place: Place, aim: Aim, undo: Json) -> None:
        """Put the queues on the devices, or start the proxy and lead connections to it."""
        with netns.needed(place, undo["ns"]) as door:
            if undo["devices"]:
                network.put_queues(place, door, undo, netem(undo))
                return
            port = workers.start(place, undo["token"], _spec(undo), {"net_fd": door.fd or 0})["port"]
            rules.install(door, rules.of(undo["tables"]), chains(undo, port))

    def effect(self, place: Place, aim: Aim, undo: Json) -> Effect:
        """Measure the time of connecting and one byte there and back."""
        undo = undo or self.prepare(place, aim)
        params = undo["params"]
        wanted = values.number(params, "delay_ms", 1, MOST_MS) * len(values.directions(params))
        with netns.needed(place, undo["ns"]) as door:
            limit_s = exchange.CONNECT_S + 4 * wanted / 1000
            found = exchange.exchange_ms(door, undo["address"], limit_s)
        way = "netem" if undo["devices"] else "proxy"
        measured = {"exchange_ms": found, "before_ms": undo["before_ms"], "wanted_ms": wanted, "way": way}
        least = undo["before_ms"] + wanted / 2
        if found is None:
            return Effect(False, measured, f"no exchange comes about within {limit_s:.1f} s")
        why = "" if found >= least else f"an exchange takes {found:g} ms, expected at least {least:g} ms"
        return Effect(not why, measured, why)

    def undo(self, place: Place, undo: Json) -> None:
        """Take the rules away, then let the proxy pass on what it holds, then end it."""
        with netns.opened(place, undo["ns"]) as door:
            if door is not None:
                rules.uninstall(door, rules.of(undo["tables"]))
        network.take_queues(place, undo)
        workers.ask_to_end(undo["token"], place, DRAIN_LIMIT_S)
        workers.end(place, undo["token"])

    def left(self, place: Place, undo: Json) -> list[str]:
        """Return what is still there of rules, queues and proxy."""
        found = workers.left(place, undo["token"]) + network.queues_left(place, undo)
        with netns.opened(place, undo["ns"]) as door:
            return found + ([] if door is None else rules.left(door, rules.of(undo["tables"])))


def _checked(params: Mapping[str, Any]) -> None:
    values.directions(params)
    delay = values.number(params, "delay_ms", 1, MOST_MS)
    values.number(params, "jitter_ms", 0, delay, 0)
    values.whole(params, "seed", 0, (1 << 53) - 1, 0)


def without_netem(environ: Mapping[str, str]) -> str:
    """Return why tc cannot delay here."""
    words = ("root", "handle", "7001:", "netem", "delay", "1ms")
    return netns.tried(environ, "tc", "qdisc", "add", "dev", "lo", *words)


def netem(undo: Json) -> tuple[str, ...]:
    """Return the queue of a delay."""
    params = undo["params"]
    words = ["netem", "limit", "100000", "delay", f"{float(params['delay_ms']):g}ms"]
    return (*words, *([f"{float(params['jitter_ms']):g}ms"] if params.get("jitter_ms") else []))


def _trial(hook: str) -> tuple[str, ...]:
    match = ("-A", hook, "!", "-i", "lo", "-p", "tcp", "-m", "comment", "--comment", "testcell")
    return (*match, "-m", "mark", "!", "--mark", hex(MARK_BASE), "-j", "REDIRECT", "--to-ports", "1")


def chains(undo: Json, port: int) -> list[Chain]:
    """Return the chains that lead new TCP connections to the proxy: those that come in, and those that the service makes."""
    redirect = ("-p", "tcp", "-j", "REDIRECT", "--to-ports", str(port))
    not_ours = ("-m", "mark", "!", "--mark", hex(undo["mark"]))
    return [
        Chain("in", "PREROUTING", (("!", "-i", "lo"),), (redirect,)),
        Chain("out", "OUTPUT", (("!", "-o", "lo", *not_ours),), (redirect,)),
    ]


def _spec(undo: Json) -> Json:
    """Return what the proxy needs to know."""
    params = undo["params"]
    return {
        "job": "proxy",
        "ways": list(values.directions(params)),
        "delay_ms": float(params["delay_ms"]),
        "jitter_ms": float(params.get("jitter_ms") or 0),
        "seed": undo["seed"],
        "addresses": undo["addresses"],
        "mark": undo["mark"],
        "tables": undo["tables"],
        "watched": undo["ns"]["pid"],
    }


KINDS = {Delay.kind: Delay()}
