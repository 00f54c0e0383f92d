# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the network: cut, lossy, slow. Of one container, inside its own network namespace, or of the whole node.

Rules of iptables, and queues of tc where they are to be had for a rate. Loopback is left alone everywhere; on a whole node
so are the ports by which it is reached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ..command import which
from ..errors import CellError
from . import exchange, naming, netns, outside, ping, queues, rules, values
from .fault import Aim, Effect, Place
from .netns import Door
from .rules import Chain

TABLE = "mangle"
HOOKS = {"in": ("PREROUTING", "-i", "--dport"), "out": ("POSTROUTING", "-o", "--sport")}
CUT_PCT = 95.0
CUT_COUNT = 200
EXPECTED_LOST = 20  # so many losses are expected of a measurement: a quarter of them is far from chance and from none
MOST_SENT = 20_000
BURST_BYTES = 3200  # two packets: what may always pass at once
ROUND_TRIP = "round_trip"
Json = dict[str, Any]


class Network(ABC):
    """What the faults of the network share. A subclass says which packets are dropped, and how it is felt."""

    kind = ""

    @abstractmethod
    def drops(self, params: Mapping[str, Any], way: str, key: str) -> tuple[str, ...]:
        """Return the match of the packets to drop in one direction."""

    def checked(self, params: Mapping[str, Any]) -> None:
        """Raise chaos_invalid for parameters that are not allowed."""
        values.directions(params)
        outside.check(params)

    @abstractmethod
    def measured(self, door: Door, undo: Json) -> dict[str, float]:
        """Return direction -> what is measured now: in and out, or round_trip for a whole node."""

    @abstractmethod
    def judged(self, undo: Json, found: Mapping[str, float]) -> Effect:
        """Return what a measurement means."""

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return why this node cannot do it, tried in a network namespace that ends with the trial."""
        environ = place.ctx.environ
        return values.problem(lambda: self.checked(params)) or missing_tools(environ) or self.tried(environ, params)

    def tried(self, environ: Mapping[str, str], params: Mapping[str, Any]) -> str:
        """Return why the tools of this fault do not work here."""
        drop = self.drops(params, "in", "0")
        argv = ("iptables", "-w", rules.WAIT_S, "-t", TABLE, "-A", "PREROUTING", "!", "-i", "lo")
        return netns.tried(environ, *argv, "-m", "comment", "--comment", "testcell", *drop, "-j", "DROP")

    def prepare(self, place: Place, aim: Aim) -> Json:
        """Return where it is done and by what name, and how the network is without it."""
        self.checked(aim.params)
        known = netns.record(aim)
        with netns.needed(place, known) as door:
            links = netns.links(door)
            tools = rules.tools(door, TABLE, bool(netns.addresses(links, "inet6")))
            key = naming.key(place)
            undo: Json = {
                "ns": known,
                "key": key,
                "params": dict(aim.params),
                "tables": rules.Tables(tools, TABLE, f"testcell-{key}", naming.comment(place)).as_dict(),
                "address": answering(door, aim, links),
                "interfaces": list(outside.interfaces(door, aim.params)) if not aim.service else [],
                "keep": list(outside.kept_ports(place, aim.params)) if not aim.service else [],
            }
            return {**undo, **self.more(place, door, links, undo)}

    def more(self, place: Place, door: Door, links: list[Json], undo: Json) -> Json:
        """Return what else a kind keeps."""
        return {}

    def inject(self, place: Place, aim: Aim, undo: Json) -> None:
        """Put the rules in place, the jumps into them last."""
        with netns.needed(place, undo["ns"]) as door:
            rules.install(door, rules.of(undo["tables"]), self.chains(undo))

    def chains(self, undo: Json) -> list[Chain]:
        """Return the chains of the fault: what is kept passes, then the drop."""
        found = []
        for way in values.directions(undo["params"]):
            hook, device, port = HOOKS[way]
            jumps: list[tuple[str, ...]] = [(device, name) for name in undo["interfaces"]] or [("!", device, "lo")]
            keep = [("-p", "tcp", port, str(number), "-j", "RETURN") for number in undo["keep"]]
            drop = (*self.drops(undo["params"], way, undo["key"]), "-j", "DROP")
            found.append(Chain(way, hook, tuple(jumps), (*keep, drop)))
        return found

    def effect(self, place: Place, aim: Aim, undo: Json) -> Effect:
        """Measure with packets of ours from both ends, or with echo requests of a whole node."""
        undo = undo or self.prepare(place, aim)
        with netns.needed(place, undo["ns"]) as door:
            judged = self.judged(undo, self.measured(door, undo))
            extra = {**self.beside(door, undo), "dropped_packets": rules.dropped(door, rules.of(undo["tables"]))}
        return Effect(judged.applied, {**judged.measured, **extra}, judged.why)

    def beside(self, door: Door, undo: Json) -> Json:
        """Return what is measured for the record only."""
        return {}

    def undo(self, place: Place, undo: Json) -> None:
        """Remove the event's rules, if the namespace is still there."""
        with netns.opened(place, undo["ns"]) as door:
            if door is not None:
                rules.uninstall(door, rules.of(undo["tables"]))

    def left(self, place: Place, undo: Json) -> list[str]:
        """Return the event's rules that are still there; with its namespace they are gone."""
        with netns.opened(place, undo["ns"]) as door:
            return [] if door is None else rules.left(door, rules.of(undo["tables"]))


class Cut(Network):
    """Everything in a direction is dropped."""

    kind = "network_cut"

    def drops(self, params: Mapping[str, Any], way: str, key: str) -> tuple[str, ...]:
        return ()

    def measured(self, door: Door, undo: Json) -> dict[str, float]:
        return lost(door, undo, CUT_COUNT)

    def judged(self, undo: Json, found: Mapping[str, float]) -> Effect:
        return judged_loss(undo, found, CUT_PCT)

    def beside(self, door: Door, undo: Json) -> Json:
        return {} if undo["interfaces"] else {"connect": exchange.connecting(door, undo["address"])}


class Loss(Network):
    """Packets in a direction are dropped at random."""

    kind = "network_loss"

    def checked(self, params: Mapping[str, Any]) -> None:
        super().checked(params)
        _loss_pct(params)

    def drops(self, params: Mapping[str, Any], way: str, key: str) -> tuple[str, ...]:
        return ("-m", "statistic", "--mode", "random", "--probability", f"{_loss_pct(params) / 100:.6f}")

    def measured(self, door: Door, undo: Json) -> dict[str, float]:
        return lost(door, undo, sample_size(_loss_pct(undo["params"])))

    def judged(self, undo: Json, found: Mapping[str, float]) -> Effect:
        return judged_loss(undo, found, _loss_pct(undo["params"]) / 4)


class Rate(Network):
    """No more than so many bytes a second get through: queued by tc where the kernel has tbf, else dropped above it."""

    kind = "network_rate"

    def checked(self, params: Mapping[str, Any]) -> None:
        super().checked(params)
        _rate_kbit(params)

    def drops(self, params: Mapping[str, Any], way: str, key: str) -> tuple[str, ...]:
        bytes_s = int(_rate_kbit(params) * 125)
        limit = ("--hashlimit-above", f"{bytes_s}b/s", "--hashlimit-burst", f"{max(bytes_s, BURST_BYTES)}b")
        return ("-m", "hashlimit", *limit, "--hashlimit-name", f"{key[:10]}-{way}")

    def tried(self, environ: Mapping[str, str], params: Mapping[str, Any]) -> str:
        without = super().tried(environ, params)
        # A whole node is slowed by rules alone: a queue would hold up the sessions of its keepers, too.
        return without and f"neither tbf nor hashlimit: {without}" if _queueless(environ, params) else ""

    def more(self, place: Place, door: Door, links: list[Json], undo: Json) -> Json:
        without = _queueless(place.ctx.environ, undo["params"])
        devices = [] if undo["interfaces"] else queue_places(place, door, links, undo["params"], without)
        if not devices:
            without = super().tried(place.ctx.environ, undo["params"])
            if without:
                raise CellError("chaos_unsupported", without)
        number = queues.handle(undo["key"])
        return {"devices": devices, "handle": number, "before": self.measured(door, undo)}

    def inject(self, place: Place, aim: Aim, undo: Json) -> None:
        if not undo["devices"]:
            return super().inject(place, aim, undo)
        with netns.needed(place, undo["ns"]) as door:
            return put_queues(place, door, undo, tbf(undo["params"]))

    def measured(self, door: Door, undo: Json) -> dict[str, float]:
        if undo["interfaces"]:
            return {ROUND_TRIP: ping.rate_kbit(undo["address"])}
        return exchange.rates(door, undo["address"])

    def judged(self, undo: Json, found: Mapping[str, float]) -> Effect:
        wanted, before = _rate_kbit(undo["params"]), undo["before"]
        why = [
            f"{way} carries {found[way]:g} kbit/s, expected at most {2 * wanted:g} and half of {before[way]:g} before"
            for way in wanted_ways(undo, found)
            if found[way] > min(2 * wanted, before[way] / 2)
        ]
        numbers = {f"rate_{way}_kbit": value for way, value in found.items()}
        numbers.update({f"before_{way}_kbit": value for way, value in before.items()})
        return Effect(not why, numbers, "; ".join(why))

    def undo(self, place: Place, undo: Json) -> None:
        super().undo(place, undo)
        take_queues(place, undo)

    def left(self, place: Place, undo: Json) -> list[str]:
        return super().left(place, undo) + queues_left(place, undo)


def missing_tools(environ: Mapping[str, str]) -> str:
    """Return which of the tools that enter a network namespace is missing."""
    missing = [name for name in ("nsenter", "unshare", "ip") if which(name, environ) is None]
    return f"{', '.join(missing)} not found (packages util-linux and iproute2)" if missing else ""


def answering(door: Door, aim: Aim, links: list[Json]) -> str:
    """Return the address that is measured at."""
    if not aim.service:
        return outside.answering(door, aim.params)
    known = netns.addresses(links, "inet") + netns.addresses(links, "inet6")
    found = exchange.reachable(door, known)
    if not found:
        message = (
            f"service {aim.service} answers at none of its addresses ({', '.join(known) or 'it has none'}) from this "
        )
        raise CellError("chaos_unsupported", message + "node, so the effect of a fault could not be measured")
    return found


def _loss_pct(params: Mapping[str, Any]) -> float:
    return values.number(params, "loss_pct", 0.1, 100)


def _rate_kbit(params: Mapping[str, Any]) -> float:
    return values.number(params, "rate_kbit", 32, 10_000_000)


def sample_size(loss_pct: float) -> int:
    """Return how many packets show a loss for sure."""
    return min(max(int(EXPECTED_LOST * 100 / loss_pct), 100), MOST_SENT)


def lost(door: Door, undo: Json, count: int) -> dict[str, float]:
    """Return direction -> percent lost of count packets."""
    if undo["interfaces"]:
        return {ROUND_TRIP: ping.loss(undo["address"], count)}
    return exchange.loss(door, undo["address"], count)


def wanted_ways(undo: Json, found: Mapping[str, float]) -> tuple[str, ...]:
    """Return the directions that the fault is in, as far as they can be told apart."""
    return (ROUND_TRIP,) if ROUND_TRIP in found else values.directions(undo["params"])


def judged_loss(undo: Json, found: Mapping[str, float], least_pct: float) -> Effect:
    """Return whether at least so much is lost in each direction of the fault."""
    why = [
        f"{way} loses {found[way]:g} %, expected at least {least_pct:g} %"
        for way in wanted_ways(undo, found)
        if found[way] < least_pct
    ]
    return Effect(not why, {f"loss_{way}_pct": value for way, value in found.items()}, "; ".join(why))


def tbf(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the queue of a rate: 10 ms of it may pass at once, two packets at least, and 400 ms may wait."""
    rate = _rate_kbit(params)
    return (
        "tbf",
        "rate",
        f"{int(rate * 1000)}bit",
        "burst",
        str(max(int(rate * 1.25), BURST_BYTES)),
        "latency",
        "400ms",
    )


def _queueless(environ: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """Return why tc cannot limit a rate here."""
    return netns.tried(environ, "tc", "qdisc", "add", "dev", "lo", "root", "handle", "7001:", *tbf(params))


def queue_places(place: Place, door: Door, links: list[Json], params: Mapping[str, Any], without: str) -> list[Json]:
    """Return the interfaces that get a queue: out is the container's end, in is the node's end of each.

    None where there is another way to take: tc cannot do it here (without says why), or an interface has no end on the node.
    """
    if without:
        return []
    node = Door(None, place.ctx.environ)
    ends = netns.links(node) if "in" in values.directions(params) else []
    found: list[Json] = []
    for way in values.directions(params):
        names = [str(link["ifname"]) if way == "out" else queues.peer(link, ends) for link in links]
        if not all(names):
            return []
        found += [{"inside": way == "out", "device": name} for name in names]
    for entry in found:
        queues.check_free(door if entry["inside"] else node, entry["device"])
    return found


def put_queues(place: Place, door: Door, undo: Json, words: Sequence[str]) -> None:
    """Put the event's queue on each of its interfaces."""
    for entry in undo["devices"]:
        where = door if entry["inside"] else Door(None, place.ctx.environ)
        queues.install(where, entry["device"], undo["handle"], words)


def take_queues(place: Place, undo: Json) -> None:
    """Take the event's queues off its interfaces, as far as both are there."""
    for entry in undo["devices"]:
        with netns.opened(place, undo["ns"] if entry["inside"] else netns.OWN) as door:
            if door is not None:
                queues.uninstall(door, entry["device"], undo["handle"])


def queues_left(place: Place, undo: Json) -> list[str]:
    """Return the event's queues that are still there."""
    found: list[str] = []
    for entry in undo["devices"]:
        with netns.opened(place, undo["ns"] if entry["inside"] else netns.OWN) as door:
            found += [] if door is None else queues.found(door, entry["device"], undo["handle"])
    return found


KINDS = {one.kind: one() for one in (Cut, Loss, Rate)}
