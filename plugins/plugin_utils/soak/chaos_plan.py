# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a chaos plan (YAML, of which JSON is a part) and says everything that is wrong with it, with line and key.

read = chaos_plan.read(Path("scenarios/002_pd/chaos.yml"))       # raises nothing; read.plan is None where it is wrong
problems = chaos_plan.target_problems(read.plan, services, nodes)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..problems import InputError, KeyPath, Problem, describe, in_order, listing, nearest, show
from ..scenario import schema, strict_json
from ..scenario._measures import Measure
from ..scenario._nodes import Node
from ..scenario._specs import Walk
from ..scenario.soak_spec import LONGEST_S
from ..scenario.strict_yaml import Document
from ..scenario.strict_yaml import read as read_yaml
from .kinds_table import KINDS, LEAST_JUMP_S, OF_WHOLE_NODES, Kind

RECOVERY_S = 30.0
MOST_EVENTS = 1000
TIMES = ("at_s", "every_s", "random")
AIMS = ("service", "services", "role", "node")
_NAME_RULE = "letters, digits, '_', '-'; a letter or digit first; 1..64 characters"

_seconds = Measure(schema.Float(0, LONGEST_S, unit="seconds"))
_pause = Measure(schema.Float(1, LONGEST_S, unit="seconds"))
_name = schema.Str(max=64, pattern=r"[A-Za-z0-9][A-Za-z0-9_-]*", rule=_NAME_RULE)
_word = schema.Str(max=255)
_TARGET = schema.Mapping({
    "service": _word,
    "services": schema.Seq(_word, min=1, max=200, unique=True),
    "role": _word,
    "node": _word,
    "whole": schema.Bool(),
    "count": schema.Int(1, 1000),
})  # fmt: skip
_RANDOM = schema.Mapping({
    "count": schema.Key(schema.Int(1, 10_000), required=True),
    "from_s": _seconds,
    "until_s": _seconds,
})  # fmt: skip


@dataclass(frozen=True)
class Spot:
    """Where a service is. node: "" while that is not decided; role: "" where it has none."""

    node: str
    role: str = ""


@dataclass(frozen=True)
class Target:
    """What may be hit: by names of services, by role, or a node; exactly one is set. count: how many of them, None is all.

    whole: the node itself, where a kind would aim at the services on it.
    """

    services: tuple[str, ...] = ()
    role: str = ""
    node: str = ""
    count: int | None = None
    whole: bool = False


@dataclass(frozen=True)
class Event:
    """One event of a plan. Of at_s, every_s and random_count one is set; from_s and until_s belong to the last two.

    index: its place in the file, from 0. Times are seconds after the load began, durations seconds.
    """

    index: int
    name: str
    kind: Kind
    duration_s: float
    recovery_s: float
    expected: bool
    params: Mapping[str, Any]
    target: Target | None
    at_s: float | None = None
    every_s: float | None = None
    random_count: int | None = None
    from_s: float | None = None
    until_s: float | None = None

    @property
    def path(self) -> KeyPath:
        """Return where it stands in the file."""
        return ("events", self.index)

    @property
    def lasts_s(self) -> float:
        """Return the time from its beginning until all is to be well again."""
        return self.duration_s + self.recovery_s


@dataclass(frozen=True)
class ChaosPlan:
    """A plan that is right in itself. seed: None where the file gives none."""

    document: Document
    seed: int | None
    allow_total: bool
    events: tuple[Event, ...] = field(default_factory=tuple)

    @property
    def needs_seed(self) -> bool:
        """Return whether anything in it is left to chance."""
        return any(event.random_count or (event.target and event.target.count) for event in self.events)


@dataclass(frozen=True)
class Read:
    """A plan, None where one of the problems is an error."""

    plan: ChaosPlan | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _EventSpec:
    """One event; which parameters it may have depends on its kind."""

    kinds: Mapping[str, Kind]
    wanted: str = "a mapping"

    def takes(self, node: Node) -> bool:
        return node.kind == "mapping"

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        found = node.items.get("kind") if node.kind == "mapping" else None
        kind = self.kinds.get(str(found[1].value)) if found else None
        return schema.Mapping(_event_keys(self.kinds, kind)).check(walk, path, node)


def _event_keys(kinds: Mapping[str, Kind], kind: Kind | None) -> dict[str, schema.Key | schema.Spec]:
    params: schema.Spec = kind.spec if kind else schema.MapOf(schema.Free())
    return {
        "name": _name,
        "kind": schema.Key(schema.Choice(*kinds), required=True),
        "at_s": _seconds,
        "every_s": _pause,
        "from_s": _seconds,
        "until_s": _seconds,
        "random": _RANDOM,
        "duration_s": _seconds,
        "target": _TARGET,
        "recovery_s": schema.Key(_seconds, default=RECOVERY_S),
        "expected": schema.Key(schema.Bool(), default=True),
        "params": schema.Key(params, default={}),
    }


def spec(kinds: Mapping[str, Kind] = KINDS) -> schema.Mapping:
    """Return the schema of a plan's file."""
    return schema.Mapping({
        "schema_version": schema.Key(schema.Int(1, 1), default=1),
        "seed": schema.Int(0, 2**63 - 1),
        "allow_total": schema.Key(schema.Bool(), default=False),
        "events": schema.Key(schema.Seq(_EventSpec(kinds), min=1, max=MOST_EVENTS), required=True),
    })  # fmt: skip


def read(path: Path, *, root: Path | None = None, kinds: Mapping[str, Kind] = KINDS) -> Read:
    """Return the plan in a file with everything that is wrong with it by itself; no service and no node is looked at."""
    try:
        document = strict_json.read(path, root=root) if path.suffix == ".json" else read_yaml(path, root=root)
    except InputError as exc:
        return Read(None, exc.problems)
    return check(document, kinds)


def check(document: Document, kinds: Mapping[str, Kind] = KINDS) -> Read:
    """Return the plan that a document is, with everything that is wrong with it by itself."""
    checked = schema.check(document, spec(kinds))
    data = checked.data or {}
    entries = list(_entries(document, data))
    problems = [*checked.problems, *_name_problems(document, entries)]
    for index, entry in entries:
        if entry.get("kind") in kinds:
            problems += _event_problems(document, index, entry, kinds[entry["kind"]])
    found = in_order(problems)
    if any(problem.is_error for problem in found):
        return Read(None, found)
    events = tuple(_event(index, entry, kinds[entry["kind"]]) for index, entry in entries)
    return Read(ChaosPlan(document, data.get("seed"), data["allow_total"], events), found)


def _entries(document: Document, data: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield place in the file and content of each event that is a mapping at all."""
    node = document.node(("events",))
    mappings = [index for index, entry in enumerate(node.entries) if entry.kind == "mapping"] if node else []
    yield from zip(mappings, data.get("events", ()), strict=False)


def _event(index: int, entry: Mapping[str, Any], kind: Kind) -> Event:
    chance = entry.get("random", {})
    span = chance if "random" in entry else entry
    return Event(
        index=index,
        name=_name_of(index, entry),
        kind=kind,
        duration_s=entry.get("duration_s", 0.0),
        recovery_s=entry["recovery_s"],
        expected=entry["expected"],
        params=entry["params"],
        target=_target(entry["target"]) if "target" in entry else None,
        at_s=entry.get("at_s"),
        every_s=entry.get("every_s"),
        random_count=chance.get("count"),
        from_s=span.get("from_s"),
        until_s=span.get("until_s"),
    )


def _target(data: Mapping[str, Any]) -> Target:
    services = (data["service"],) if "service" in data else tuple(data.get("services", ()))
    return Target(services, data.get("role", ""), data.get("node", ""), data.get("count"), data.get("whole", False))


def _name_of(index: int, entry: Mapping[str, Any]) -> str:
    return str(entry.get("name", f"{entry.get('kind', 'event')}-{index + 1}"))


def _name_problems(document: Document, entries: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, entry in entries:
        name = _name_of(index, entry)
        if first.setdefault(name, index) != index:
            line, _ = document.mark(("events", first[name]))
            message = f"name {show(name)} is given twice; first at line {line}"
            yield document.problem(("events", index, "name"), message, suggestion=f"{name}-{index + 1}")


def _event_problems(document: Document, index: int, entry: Mapping[str, Any], kind: Kind) -> Iterator[Problem]:
    path: KeyPath = ("events", index)
    if not kind.undo:
        message = f"kind {kind.name} has no undo, so it is not loadable"
        yield document.problem((*path, "kind"), message)
    yield from _time_problems(document, path, entry)
    yield from _duration_problems(document, path, entry, kind)
    yield from _aim_problems(document, path, kind)
    yield from _whole_problems(document, path, entry, kind)
    yield from _parameter_problems(document, path, entry, kind)


def _time_problems(document: Document, path: KeyPath, entry: Mapping[str, Any]) -> Iterator[Problem]:
    given = [key for key in TIMES if document.has((*path, key))]
    if not given:
        yield document.problem(path, f"says not when; give one of {listing(TIMES)}")
    for key in given[1:]:
        yield document.problem((*path, key), f"cannot be given together with {given[0]}", at="key")
    span = (*path, "random") if "random" in entry else path
    for key in ("from_s", "until_s"):
        if document.has((*path, key)) and not document.has((*path, "every_s")):
            near = f"random.{key}" if "random" in given else "every_s"
            message = "has a meaning only beside every_s"
            yield document.problem((*path, key), message, suggestion=near, at="key")
    limits = entry.get("random", entry)
    begin, until = limits.get("from_s"), limits.get("until_s")
    if begin is not None and until is not None and until < begin:
        message = f"is before from_s, which is {begin:g} s"
        yield document.problem((*span, "until_s"), message, got=describe(until), allowed=f"{begin:g} or more")


def _duration_problems(document: Document, path: KeyPath, entry: Mapping[str, Any], kind: Kind) -> Iterator[Problem]:
    if kind.ends_itself:
        return
    if not document.has((*path, "duration_s")):
        message = f"duration_s is missing: without it {kind.name} would never be undone"
        yield document.problem(path, message, allowed="above 0 seconds")
    elif entry.get("duration_s") == 0:
        message = f"{kind.name} for no time is no fault"
        yield document.problem((*path, "duration_s"), message, got=describe(0), allowed="above 0 seconds")
    every = entry.get("every_s")
    if every is not None and every <= entry.get("duration_s", 0.0):
        message = f"begins again before its duration of {entry['duration_s']:g} s is over"
        yield document.problem((*path, "every_s"), message, got=describe(every))


def _aim_problems(document: Document, path: KeyPath, kind: Kind) -> Iterator[Problem]:
    place = (*path, "target")
    if kind.aims == "load":
        if document.has(place):
            message = f"has no meaning for kind {kind.name}, which loads the service under test"
            yield document.problem(place, message, at="key")
        return
    given = [key for key in AIMS if document.has((*place, key))]
    if not given:
        yield document.problem(place, f"matches nothing: kind {kind.name} needs one of {listing(AIMS)}")
    for key in given[1:]:
        yield document.problem((*place, key), f"cannot be given together with {given[0]}", at="key")


def _whole_problems(document: Document, path: KeyPath, entry: Mapping[str, Any], kind: Kind) -> Iterator[Problem]:
    """Yield what is wrong where a node itself is meant, or what only such a fault can be told."""
    target, params = entry.get("target") or {}, entry.get("params") or {}
    place: KeyPath = (*path, "target", "whole")
    if target.get("whole") and not kind.whole:
        able = listing([name for name, one in KINDS.items() if one.whole])
        yield document.problem(
            place, f"kind {kind.name} cannot be done to a node itself; allowed for: {able}", at="key"
        )
    elif target.get("whole") and "node" not in target:
        yield document.problem(place, "has a meaning only beside node", at="key")
    for name in OF_WHOLE_NODES:
        if name in params and not target.get("whole"):
            message = "has a meaning only for a node itself, with target.whole: true"
            yield document.problem((*path, "params", name), message, at="key")
    if "node" in target and str(params.get("where", "")).startswith("/"):
        message = "is a path in a container, and the target is a node; name a service"
        yield document.problem((*path, "params", "where"), message, got=describe(params["where"]))


def _parameter_problems(document: Document, path: KeyPath, entry: Mapping[str, Any], kind: Kind) -> Iterator[Problem]:
    place = (*path, "params")
    given = [key for key in kind.one_of if document.has((*place, key))]
    if kind.one_of and len(given) != 1:
        message = f"kind {kind.name} needs exactly one of {listing(kind.one_of)}"
        yield document.problem(place, message, got=listing(given) or "none of them")
    if not document.has(place):
        for name, key in kind.spec.keyed().items():
            if key.required:
                yield document.problem(path, f"kind {kind.name} needs params.{name}", allowed=_rule(key.spec))
    params = entry.get("params") or {}
    if abs(params.get("jump_s", LEAST_JUMP_S)) < LEAST_JUMP_S:
        got, allowed = describe(params["jump_s"]), f"{LEAST_JUMP_S} s or more, forward or back"
        yield document.problem((*place, "jump_s"), "is no jump that can be measured", got=got, allowed=allowed)
    if params.get("jitter_ms", 0) > params.get("delay_ms", LONGEST_S):
        message = f"is more than delay_ms, which is {params['delay_ms']:g}"
        yield document.problem((*place, "jitter_ms"), message, got=describe(params["jitter_ms"]))


def _rule(wanted: schema.Spec) -> str:
    return wanted.number.rule if isinstance(wanted, Measure) else wanted.wanted


def target_problems(
    plan: ChaosPlan, services: Mapping[str, Spot], nodes: tuple[str, ...] | None = None
) -> list[Problem]:
    """Return the targets that match nothing, or less than they count. nodes: None while it is not decided what runs where."""
    return [problem for event in plan.events for problem in _unmatched(plan, event, services, nodes)]


def _unmatched(
    plan: ChaosPlan, event: Event, services: Mapping[str, Spot], nodes: tuple[str, ...] | None
) -> Iterator[Problem]:
    target = event.target
    if target is None:
        return
    document, place = plan.document, (*event.path, "target")
    roles = sorted({spot.role for spot in services.values() if spot.role})
    for index, name in enumerate(target.services):
        if name not in services:
            key = (*place, "services", index) if document.has((*place, "services")) else (*place, "service")
            near, known = nearest(name, services), listing(list(services))
            yield document.problem(key, f"unknown service {show(name)}", allowed=known, suggestion=near)
    if target.role and target.role not in roles:
        near = nearest(target.role, roles)
        message = f"matches nothing: 0 of {len(services)} services have the role {show(target.role)}"
        yield document.problem((*place, "role"), message, allowed=listing(roles), suggestion=near)
        return
    if target.node and nodes is not None and target.node not in nodes:
        near = nearest(target.node, nodes)
        message = f"matches nothing: the case does not use the node {show(target.node)}"
        yield document.problem((*place, "node"), message, allowed=listing(nodes), suggestion=near)
        return
    if target.node and nodes is None:
        return
    matching = matches(event, services)
    if target.node and not matching:
        message = f"matches nothing: 0 of {len(services)} services are on the node {show(target.node)}"
        yield document.problem((*place, "node"), message)
    elif target.count is not None and target.count > len(matching) > 0:
        message = (
            f"is more than the {len(matching)} that match: {listing([service or node for node, service in matching])}"
        )
        yield document.problem((*place, "count"), message, got=describe(target.count), allowed=f"1..{len(matching)}")


def matches(event: Event, services: Mapping[str, Spot]) -> list[tuple[str, str]]:
    """Return (node, service) of all that an event with a target may hit, in file order; service is "" for the node itself."""
    target = event.target
    if target is None:
        return []
    if target.node and (event.kind.aims != "service" or target.whole):
        return [(target.node, "")]
    hit = [
        (spot.node, name)
        for name, spot in services.items()
        if name in target.services
        or (target.role and spot.role == target.role)
        or (target.node and spot.node == target.node)
    ]
    if event.kind.aims == "node":
        return list(dict.fromkeys((node, "") for node, _ in hit))
    return hit
