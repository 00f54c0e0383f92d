# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a chaos plan to the injections of one case: when, where and what, decided before any node is asked for anything.

The same plan, services and seed give the same schedule. Each event draws from a stream of its own, so that an event that is
added, moved or removed does not change what the others draw.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

from ..deploy.placement import LOCAL
from ..problems import InputError, Problem, describe, listing
from . import chaos_plan
from .chaos_plan import ChaosPlan, Event, Spot
from .kinds_table import KINDS

MOST_INJECTIONS = 5000
# A random time is drawn anew where it cannot be; a plan that is too tight is refused.
MOST_DRAWS = 200
_DOWN = ("dies", "stalls")


@dataclass(frozen=True)
class Injection:
    """One fault. at_s: seconds after the load began; service: "" where the node itself is hit, or the load comes from it."""

    id: str
    kind: str
    at_s: float
    duration_s: float
    node: str
    service: str
    params: dict[str, Any]
    recovery_s: float
    expected: bool

    @property
    def until_s(self) -> float:
        """Return when it is undone."""
        return self.at_s + self.duration_s


@dataclass
class _Made:
    """What has been decided so far. injections: by time. events: id of an injection -> the event that it comes from."""

    injections: list[Injection] = field(default_factory=list)
    events: dict[str, Event] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0

    def add(self, event: Event, new: Sequence[Injection]) -> None:
        """Keep injections of an event."""
        for one in new:
            insort(self.injections, one, key=_at_s)
            self.events[one.id] = event
        self.counts[event.name] += len(new)
        self.longest_s = max(self.longest_s, event.duration_s)

    def beside(self, new: Injection) -> list[Injection]:
        """Return the injections that last at a moment at which a new one does."""
        first = bisect_left(self.injections, new.at_s - self.longest_s, key=_at_s)
        last = bisect_right(self.injections, new.until_s, key=_at_s)
        return [old for old in self.injections[first:last] if old.until_s >= new.at_s]


def _at_s(one: Injection) -> float:
    return one.at_s


def schedule(
    plan: ChaosPlan,
    duration_s: float,
    services: Mapping[str, Spot],
    seed: int,
    *,
    test_node: str = LOCAL,
    nodes: Sequence[str] = (),
) -> tuple[Injection, ...]:
    """Return the injections of a soak of duration_s seconds, sorted by time; raise InputError with all that is wrong.

    services: name -> where it is placed, those that stay for the whole test. test_node: from where extra load comes. nodes: those
    of the case beside the services' own. Refused are targets that match nothing, times past the end, faults of one target that
    cannot be there at once, and, without `allow_total`, what would leave nothing of a role, of the services or of the nodes.
    """
    known = tuple(dict.fromkeys([*(spot.node for spot in services.values()), test_node, *nodes]))
    problems = chaos_plan.target_problems(plan, services, known)
    if problems:
        raise InputError(problems)
    made = _Made()
    for event in sorted(plan.events, key=lambda event: event.random_count is not None):
        _add(made, plan, event, duration_s, services, seed, test_node)
    found = tuple(sorted(made.injections, key=lambda one: (one.at_s, one.id)))
    if not plan.allow_total and not made.problems:
        made.problems += _outages(plan, made, found, services)
    if made.problems:
        raise InputError(made.problems)
    return found


def _add(
    made: _Made,
    plan: ChaosPlan,
    event: Event,
    duration_s: float,
    services: Mapping[str, Spot],
    seed: int,
    test_node: str,
) -> None:
    """Add the injections of one event, or what is wrong with it."""
    targets = [(test_node, "")] if event.target is None else chaos_plan.matches(event, services)
    wrong = _past_the_end(plan, event, duration_s) or _at_controller(plan, event, targets)
    times = [] if wrong else [0.0] * event.random_count if event.random_count else list(_times(event, duration_s))
    wrong = wrong or _too_many(plan, made, event, len(times), len(targets))
    if wrong is not None:
        made.problems.append(wrong)
        return
    chance = random.Random(f"{seed}:{event.name}")
    for at_s in times:
        chosen = _chosen(event, targets, chance)
        draw = partial(_drawn, made, plan, event, duration_s, chosen, services, chance)
        found = draw() if event.random_count else _at(made, event, at_s, chosen)
        clash = next(((new, old) for new in found for old in _clashing(made, new, event)), None)
        if clash is not None or not found:
            made.problems.append(_overlap(plan, event, *clash) if clash else _no_room(plan, event))
            return
        made.add(event, found)


def _too_many(plan: ChaosPlan, made: _Made, event: Event, times: int, targets: int) -> Problem | None:
    count = targets if event.target is None or event.target.count is None else event.target.count
    if len(made.injections) + times * count <= MOST_INJECTIONS:
        return None
    message, allowed = "makes too many injections", f"up to {MOST_INJECTIONS} in all"
    return plan.document.problem(event.path, message, got=f"{times} times on {count} targets", allowed=allowed)


def _times(event: Event, duration_s: float) -> Iterator[float]:
    if event.at_s is not None:
        yield event.at_s
        return
    every = event.every_s or duration_s
    first = every if event.from_s is None else event.from_s
    last = _last(event, duration_s)
    yield from (first + turn * every for turn in range(int((last - first) // every) + 1))


def _last(event: Event, duration_s: float) -> float:
    """Return the latest moment at which an event may begin."""
    return duration_s - event.lasts_s if event.until_s is None else event.until_s


def _past_the_end(plan: ChaosPlan, event: Event, duration_s: float) -> Problem | None:
    """Return that an event would not be over, with its recovery, when the soak ends, or would never happen."""
    latest = duration_s - event.lasts_s
    inner = () if event.random_count is None else ("random",)
    if event.at_s is not None:
        key, value = ("at_s",), event.at_s
    elif event.until_s is not None:
        key, value = (*inner, "until_s"), event.until_s
    else:
        first = event.every_s if event.from_s is None and event.every_s is not None else event.from_s or 0.0
        key = (
            (*inner, "from_s")
            if event.from_s is not None
            else ("every_s",)
            if event.every_s is not None
            else ("random",)
        )
        value = first
    if value <= latest:
        return None
    message = (
        f"is past the end: undone after {event.duration_s:g} s and recovered {event.recovery_s:g} s later, this is over"
        f" at {value + event.lasts_s:g} s, and the soak lasts {duration_s:g} s"
    )
    allowed = f"up to {latest:g} seconds" if latest >= 0 else f"a soak of {value + event.lasts_s:g} seconds or more"
    return plan.document.problem((*event.path, *key), message, got=f"{value:g} s", allowed=allowed)


def _chosen(event: Event, targets: Sequence[tuple[str, str]], chance: random.Random) -> list[tuple[str, str]]:
    """Return the targets of one time, as many as the event counts, in file order."""
    count = event.target.count if event.target is not None else None
    if count is None:
        return list(targets)
    picked = sorted(chance.sample(range(len(targets)), count))
    return [targets[place] for place in picked]


def _at(made: _Made, event: Event, at_s: float, chosen: Sequence[tuple[str, str]]) -> list[Injection]:
    before = made.counts[event.name]
    return [
        Injection(
            id=f"{event.name}.{before + number}",
            kind=event.kind.name,
            at_s=at_s,
            duration_s=event.duration_s,
            node=node,
            service=service,
            params=dict(event.params),
            recovery_s=event.recovery_s,
            expected=event.expected,
        )
        for number, (node, service) in enumerate(chosen)
    ]


def _drawn(
    made: _Made,
    plan: ChaosPlan,
    event: Event,
    duration_s: float,
    chosen: Sequence[tuple[str, str]],
    services: Mapping[str, Spot],
    chance: random.Random,
) -> list[Injection]:
    """Return injections at a time that meets no other fault of their targets and leaves something, [] where none is found."""
    first, last = event.from_s or 0.0, _last(event, duration_s)
    for _ in range(MOST_DRAWS):
        found = _at(made, event, round(chance.uniform(first, last), 3), chosen)
        outage = not plan.allow_total and _makes_an_outage(made, found, services)
        if not outage and not any(_clashing(made, new, event) for new in found):
            return found
    return []


def _clashing(made: _Made, new: Injection, event: Event) -> list[Injection]:
    """Return the faults that cannot be there at the same time: of the same group, or on something that dies with its target."""
    return [old for old in made.beside(new) if _collide(new, event, old, made.events[old.id])]


def _collide(new: Injection, event: Event, old: Injection, other: Event) -> bool:
    if "load" in (event.kind.aims, other.kind.aims):
        return event.kind.name == other.kind.name
    same = (new.node, new.service) == (old.node, old.service)
    # What dies takes the faults of its container along, and a node's engine those of all its containers.
    within = new.node == old.node and (_takes_all(new, event) or _takes_all(old, other))
    deadly = "dies" in (event.kind.does, other.kind.does)
    return (same and (deadly or event.kind.group == other.kind.group)) or within


def _takes_all(one: Injection, event: Event) -> bool:
    return not one.service and event.kind.doing(one.params) in _DOWN


def _is_down(one: Injection) -> bool:
    return KINDS[one.kind].doing(one.params) in _DOWN


def _no_room(plan: ChaosPlan, event: Event) -> Problem:
    key = (*event.path, "random", "count")
    message = "finds no room among the other faults of its targets; have fewer, shorter ones, or a longer soak"
    return plan.document.problem(key, message, got=describe(event.random_count))


def _overlap(plan: ChaosPlan, event: Event, new: Injection, other: Injection) -> Problem:
    key = (*event.path, "at_s" if event.at_s is not None else "every_s")
    message = (
        f"overlaps {other.id} on {_told(other.node, other.service)}: {new.id} lasts from {new.at_s:g} to {new.until_s:g} s,"
        f" {other.id} from {other.at_s:g} to {other.until_s:g} s, and one could not be undone without the other"
    )
    return plan.document.problem(key, message)


def _at_controller(plan: ChaosPlan, event: Event, targets: Sequence[tuple[str, str]]) -> Problem | None:
    """Return that a node as a whole is hit that the run itself cannot do without."""
    if plan.allow_total or event.kind.aims == "load" or (LOCAL, "") not in targets:
        return None
    message = (
        f"matches the controller, {LOCAL} (1 of {len(targets)} targets), which the run itself needs;"
        " name another node or a service, or set allow_total"
    )
    return plan.document.problem((*event.path, "target"), message, allowed="allow_total: true")


def _told(node: str, service: str) -> str:
    return f"{service} on {node}" if service else node


def _outages(
    plan: ChaosPlan, made: _Made, found: Sequence[Injection], services: Mapping[str, Spot]
) -> Iterator[Problem]:
    """Yield the events with which nothing of a role, of the services or of the nodes would be left, each once."""
    told: set[str] = set()
    at_once: list[Injection] = []
    for at_s, group in groupby(filter(_is_down, found), key=_at_s):
        begun = list(group)
        at_once = [*_lasting(at_once, at_s), *begun]
        gone = _total(at_once, services)
        events = {made.events[one.id].name: made.events[one.id] for one in begun}
        for event in events.values() if gone else ():
            if event.name not in told:
                told.add(event.name)
                others = [other.id for other in at_once if made.events[other.id] is not event]
                beside = f", together with {listing(others)}" if others else ""
                message = f"takes down {gone} at {at_s:g} s{beside}; aim at fewer, or allow it"
                yield plan.document.problem((*event.path, "target"), message, allowed="allow_total: true")


def _lasting(down: Sequence[Injection], moment: float) -> list[Injection]:
    return [one for one in down if one.at_s <= moment <= one.until_s]


def _makes_an_outage(made: _Made, new: Sequence[Injection], services: Mapping[str, Spot]) -> bool:
    """Return whether new injections, none of which is an outage by itself, become one with others that last then."""
    if not _is_down(new[0]) or _total(new, services):
        return False
    down = [one for one in (*made.beside(new[0]), *new) if _is_down(one)]
    begun = {one.at_s for one in down if one.at_s >= new[0].at_s}
    return any(_total(_lasting(down, moment), services) for moment in begun)


def _total(at_once: Sequence[Injection], services: Mapping[str, Spot]) -> str:
    """Return what is wholly down while these faults last, "" where something of everything is left."""
    nodes = {one.node for one in at_once if not one.service}
    down = {name for name, spot in services.items() if spot.node in nodes} | {
        one.service for one in at_once if one.service
    }
    used = {spot.node for spot in services.values()}
    if used <= nodes and used:
        return f"all nodes ({len(used)} of {len(used)}: {listing(sorted(used))})"
    if set(services) <= down:
        return f"all services ({len(down)} of {len(services)}: {listing(sorted(down))})"
    for role in sorted({spot.role for spot in services.values() if spot.role}):
        of_role = [name for name, spot in services.items() if spot.role == role]
        if down.issuperset(of_role):
            return f"all of role {role} ({len(of_role)} of {len(of_role)}: {listing(of_role)})"
    return ""


def for_node(injections: Sequence[Injection], node: str) -> list[dict[str, Any]]:
    """Return the schedule of one node as its program takes it."""
    return [
        {key: value for key, value in asdict(one).items() if key != "node"} for one in injections if one.node == node
    ]


def of_data(data: Sequence[Mapping[str, Any]]) -> tuple[Injection, ...]:
    """Return injections from plain data, as a run's plan keeps them."""
    return tuple(Injection(**one) for one in data)


def wanted_kinds(injections: Sequence[Injection]) -> dict[str, dict[str, list[Any]]]:
    """Return node -> what is asked of it before the run: `kinds` and `services`; each once, by time.

    A kind has its `params`, and `whole` where it would be aimed at services and is to hit the node itself.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for one in injections:
        asked = found.setdefault(one.node, {"kinds": [], "services": []})
        wanted: dict[str, Any] = {"kind": one.kind, "params": one.params}
        if KINDS[one.kind].whole and not one.service:
            wanted["whole"] = True
        asked["kinds"] += [wanted] if wanted not in asked["kinds"] else []
        asked["services"] += [one.service] if one.service and one.service not in asked["services"] else []
    return found
