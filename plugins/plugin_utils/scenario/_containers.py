# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the schema language that hold other words: lists, mappings, and a choice of types."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import Any

from ..problems import KeyPath, describe, listing, nearest
from ._nodes import Node
from ._specs import MISSING, Free, Key, Name, Spec, Str, Walk

_MOST_PLACES = 3
_ANY_KEY = Str(max=256)


@dataclass(frozen=True, slots=True)
class Seq:
    """A list. one: a single value may stand for a list of one. words: where all is text, a comma list may stand for it."""

    item: Spec
    min: int = 0
    max: int = 1000
    unique: bool = False
    one: bool = False
    words: bool = False
    wanted: str = "a list"

    def takes(self, node: Node) -> bool:
        return node.kind == "sequence" or (self.one and self.item.takes(node))

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        if node.kind != "sequence":
            if not (self.one and self.item.takes(node)):
                return walk.mistyped(path, node, self.wanted)
            only = self.item.check(walk, path, node)
            return MISSING if only is MISSING else [only]
        if not self.min <= len(node.entries) <= self.max:
            allowed = f"{self.min}..{self.max} items"
            walk.bad(path, "has too few or too many items", got=describe(node.data()), allowed=allowed)
        values = [self.item.check(walk, (*path, index), entry) for index, entry in enumerate(node.entries[: self.max])]
        if self.unique:
            self._find_twins(walk, path, values)
        return [value for value in values if value is not MISSING]

    @staticmethod
    def _find_twins(walk: Walk, path: KeyPath, values: list[Any]) -> None:
        for index, value in enumerate(values):
            first = next((i for i in range(index) if values[i] == value), None) if value is not MISSING else None
            if first is not None:
                line, _ = walk.document.mark((*path, first))
                walk.bad((*path, index), f"is given twice; first at line {line}", got=describe(value, path))


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping with free keys of one form (key: a Str or Name) and values of one spec."""

    value: Spec
    key: Str | Name = _ANY_KEY
    max: int = 1000
    nullable: bool = False
    wanted: str = "a mapping"

    def takes(self, node: Node) -> bool:
        return node.kind == "mapping"

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        if node.kind != "mapping":
            return walk.mistyped(path, node, self.wanted)
        if len(node.items) > self.max:
            return walk.bad(path, "has too many keys", got=str(len(node.items)), allowed=f"up to {self.max}")
        data = {}
        for name, (key, value) in node.items.items():
            if key.plain and not isinstance(key.value, str):
                continue  # reported by the reader: the key must be quoted
            wrong = self.key.wrong(name)
            if wrong:
                walk.bad((*path, name), f"key {wrong}", got=describe(name), allowed=self.key.rule, at="key")
                continue
            null = value.kind == "scalar" and value.value is None
            data[name] = None if null and self.nullable else self.value.check(walk, (*path, name), value)
        return {name: value for name, value in data.items() if value is not MISSING}


@dataclass(frozen=True, slots=True, init=False)
class OneOf:
    """A value of one of several types; the first spec that takes the type checks it."""

    specs: tuple[Spec, ...]

    def __init__(self, *specs: Spec) -> None:
        object.__setattr__(self, "specs", specs)

    @property
    def wanted(self) -> str:
        return " or ".join(spec.wanted for spec in self.specs)

    def takes(self, node: Node) -> bool:
        return any(spec.takes(node) for spec in self.specs)

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        fitting = next((spec for spec in self.specs if spec.takes(node)), None)
        return walk.mistyped(path, node, self.wanted) if fitting is None else fitting.check(walk, path, node)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping with known keys. extra: spec of unknown keys (None refuses them); prefix: unknown keys let through."""

    keys: MappingOf[str, Key | Spec]
    extra: Spec | None = None
    prefix: str = ""
    wanted: str = "a mapping"

    def keyed(self) -> dict[str, Key]:
        """Return the keys, a bare spec made an optional key."""
        return {name: key if isinstance(key, Key) else Key(key) for name, key in self.keys.items()}

    def takes(self, node: Node) -> bool:
        return node.kind == "mapping"

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        if node.kind != "mapping":
            wanted = self.wanted if path else f"{self.wanted}, the top level of the file"
            return walk.mistyped(path, node, wanted, listing(list(self.keys)))
        keys = self.keyed()
        data = {}
        for name, key in keys.items():
            data[name] = self._item(walk, path, node, name, key)
        old = {name for key in keys.values() for name in key.deprecated}
        for name in [n for n in node.items if n not in keys and n not in old]:
            data[name] = self._unknown(walk, (*path, name), node.items[name][1])
        return {name: value for name, value in data.items() if value is not MISSING}

    def _item(self, walk: Walk, path: KeyPath, node: Node, name: str, key: Key) -> Any:
        used = [n for n in (name, *key.deprecated) if n in node.items]
        for twin in used[1:]:
            walk.bad((*path, twin), f"means the same as {used[0]!r}; give one of them", at="key")
        if not used:
            if key.required:
                walk.bad(path, f"required key {name!r} is missing", allowed=key.spec.wanted, at="key")
            return default_of(key) if walk.fill else MISSING
        if used[0] != name:
            walk.bad((*path, used[0]), f"is an older name, write {name!r}", severity="warning", at="key")
        value = node.items[used[0]][1]
        if key.nullable and value.kind == "scalar" and value.value is None:
            return None
        checked = key.spec.check(walk, (*path, used[0]), value)
        return default_of(key) if checked is MISSING and walk.fill else checked

    def _unknown(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        name = str(path[-1])
        if self.prefix and name.startswith(self.prefix):
            return Free().check(walk, path, node)
        if self.extra is not None:
            return self.extra.check(walk, path, node)
        near, elsewhere = nearest(name, self.keys), places_of(name, walk.spec)
        if elsewhere and not (near and nearest(name, [near], cutoff=0.85)):
            where = listing([parent or "the top level" for parent, _ in elsewhere[:_MOST_PLACES]])
            full = " or ".join(place for _, place in elsewhere[:_MOST_PLACES])
            return walk.bad(path, f"key is at the wrong level, it belongs to {where}", suggestion=full, at="key")
        if not near:
            far = nearest(name, [key for _, key in _places(walk.spec, "")], cutoff=0.85)
            near = places_of(far, walk.spec)[0][1] if far else ""
        return walk.bad(path, "unknown key", allowed=listing(sorted(self.keys), most=40), suggestion=near, at="key")


def default_of(key: Key) -> Any:
    """Return a fresh copy of a key's default; a mapping's default has the defaults of its own keys filled in."""
    value = copy.deepcopy(key.default) if key.default is not MISSING else MISSING
    if isinstance(value, dict) and isinstance(key.spec, Mapping):
        filled = {name: default_of(inner) for name, inner in key.spec.keyed().items()} | value
        return {name: inner for name, inner in filled.items() if inner is not MISSING}
    return list(value) if isinstance(value, tuple) else value


def places_of(name: str, spec: Spec) -> list[tuple[str, str]]:
    """Return (parent, full path) of each place where a key of this name is known, in the order of the schema."""
    return [(parent, f"{parent}.{key}" if parent else key) for parent, key in _places(spec, "") if key == name]


def _places(spec: Spec, parent: str) -> Iterator[tuple[str, str]]:
    if isinstance(spec, Mapping):
        for name, key in spec.keyed().items():
            yield parent, name
            yield from _places(key.spec, f"{parent}.{name}" if parent else name)
    elif isinstance(spec, Seq):
        yield from _places(spec.item, f"{parent}[]")
    elif isinstance(spec, MapOf):
        yield from _places(spec.value, f"{parent}.NAME" if parent else "NAME")
    elif isinstance(spec, OneOf):
        for inner in spec.specs:
            yield from _places(inner, parent)
