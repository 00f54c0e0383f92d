# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of the schema language for amounts with a unit, and for keys that have another name elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..problems import KeyPath, describe
from ._nodes import Node
from ._specs import Float, Int, Str, Walk
from .sizes import ALLOWED, parse_size

_WITH_UNIT = re.compile(r"(?P<number>-?[0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(?P<unit>%|[A-Za-z/]{1,12})")


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of memory with its unit; the value is the number of bytes."""

    wanted: str = "a size with its unit, in quotes"

    def takes(self, node: Node) -> bool:
        return Str().takes(node)

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        if node.kind != "scalar" or not isinstance(node.value, str):
            meant = f'"{node.text}GB"' if re.fullmatch(r"[0-9]{1,6}", node.text) else ""
            return walk.mistyped(path, node, self.wanted, ALLOWED, meant)
        size = parse_size(node.value)
        if size is None:
            return walk.bad(path, "is not a size", got=describe(node.value), allowed=ALLOWED)
        return size


@dataclass(frozen=True, slots=True)
class Measure:
    """A number whose unit is in the name of its key; one that is written with a unit is refused with the number meant."""

    number: Int | Float

    @property
    def wanted(self) -> str:
        return self.number.wanted

    def takes(self, node: Node) -> bool:
        return self.number.takes(node)

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        written = _WITH_UNIT.fullmatch(node.text) if isinstance(node.value, str) else None
        if written is None:
            return self.number.check(walk, path, node)
        wanted = f"{self.wanted} without {written['unit']!r}, the unit is in the name of the key"
        return walk.mistyped(path, node, wanted, self.number.rule, written["number"])


@dataclass(frozen=True, slots=True)
class Renamed:
    """A key that other tools have and ours calls something else."""

    instead: str
    reason: str
    wanted: str = "nothing"

    def takes(self, node: Node) -> bool:
        return False

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        return walk.bad(path, f"is not a key here: {self.reason}", suggestion=self.instead, at="key")
