# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simple words of the schema language: frozen specs, each of which checks one node and returns its plain value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..problems import HIDDEN, KeyPath, Problem, describe, is_secret_path, listing, nearest
from ._nodes import Node
from ._scalars import Kind
from .strict_yaml import Document


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_LONGEST_SUGGESTION = 40
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WORDS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}


class Spec(Protocol):
    """What every word of the language offers."""

    @property
    def wanted(self) -> str:
        """Say what is wanted, with its article: `an integer`."""

    def takes(self, node: Node) -> bool:
        """Tell whether the node has the type that is wanted, whatever its value."""

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        """Return the plain value, or MISSING after reporting what is wrong."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping. deprecated: older names, accepted with a warning. nullable: null is a value."""

    spec: Spec
    required: bool = False
    default: Any = MISSING
    nullable: bool = False
    deprecated: tuple[str, ...] = ()


@dataclass
class Walk:
    """One check of one document: where problems gather."""

    document: Document
    spec: Spec
    fill: bool = True
    problems: list[Problem] = field(default_factory=list)

    def value(self, path: KeyPath, spec: Spec) -> Any:
        """Return the checked value at the path."""
        node = self.document.node(path)
        return MISSING if node is None else spec.check(self, path, node)

    def bad(self, path: KeyPath, message: str, **details: Any) -> _Missing:
        """Report a problem at the path and return MISSING."""
        self.problems.append(self.document.problem(path, message, **details))
        return MISSING

    def mistyped(self, path: KeyPath, node: Node, wanted: str, allowed: str = "", suggestion: str = "") -> _Missing:
        """Report a value of the wrong type, with what was written and what YAML made of it."""
        if node.odd is not None:
            got = f"{node.odd.kind} {HIDDEN}" if is_secret_path(path) else node.odd.shown
        elif node.plain and node.text == "":
            got = "null (nothing is written there)"
        else:
            got = describe(node.data(), path)
        hint = "" if is_secret_path(path) else suggestion
        return self.bad(path, f"must be {wanted}", got=got, allowed=allowed, suggestion=hint)


def _odd(node: Node, kind: Kind) -> str:
    return node.odd.instead if node.odd is not None and node.odd.kind == kind else ""


@dataclass(frozen=True, slots=True)
class Str:
    """Text. pattern must match all of it and rule says so in words; test returns what is wrong with a text or ""."""

    max: int = 1024
    pattern: str = ""
    rule: str = ""
    empty: bool = False
    lines: bool = False
    test: Callable[[str], str] | None = None
    wanted: str = "a string"

    def takes(self, node: Node) -> bool:
        return node.kind == "scalar" and (isinstance(node.value, str) or node.odd is not None)

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        if node.kind != "scalar" or node.odd is not None or not isinstance(node.value, str):
            scalar = node.kind == "scalar" and node.text != ""
            wanted = f"{self.wanted}, put it in quotes" if scalar else self.wanted
            quoted = f'"{node.text}"' if scalar and node.text != "~" and len(node.text) < _LONGEST_SUGGESTION else ""
            return walk.mistyped(path, node, wanted, self.rule, quoted)
        wrong = self.wrong(node.value)
        if wrong:
            return walk.bad(
                path, wrong, got=describe(node.value, path) if node.value else "empty string", allowed=self.rule
            )
        return node.value

    def wrong(self, text: str) -> str:
        """Return what is wrong with a text, or ""."""
        if not text and not self.empty:
            return "must not be empty"
        if len(text) > self.max:
            return f"is too long, at most {self.max} characters"
        if not self.lines and ("\n" in text or "\r" in text):
            return "must be one line"
        if self.pattern and text and not re.fullmatch(self.pattern, text):
            return "is not of the form that is allowed"
        return self.test(text) if self.test is not None and text else ""


@dataclass(frozen=True, slots=True)
class Name:
    """A name that becomes part of file, container and project names."""

    max: int = 64
    wanted: str = "a name"

    @property
    def rule(self) -> str:
        """The rule in words."""
        return f"1..{self.max} of A-Z a-z 0-9 _ - . (first a letter or digit, no '..', no name that Windows reserves)"

    def takes(self, node: Node) -> bool:
        return Str().takes(node)

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        return Str(10**9, "", self.rule, lines=True, test=self.wrong, wanted=self.wanted).check(walk, path, node)

    def wrong(self, text: str) -> str:
        """Return what is wrong with a text as a name, or ""."""
        if "{{" in text or "{%" in text or "${" in text:
            return "a name is taken as it is written, templates are not filled in"
        if len(text) > self.max:
            return f"is too long for a name, {len(text)} characters"
        if not _NAME.fullmatch(text) or ".." in text or text.endswith("."):
            return "is not a name"
        return "is a name that Windows reserves" if text.split(".", maxsplit=1)[0].lower() in _RESERVED else ""


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number from min to max."""

    min: int = -(10**15)
    max: int = 10**15
    unit: str = ""
    wanted: str = "an integer"

    @property
    def rule(self) -> str:
        """The range in words."""
        return f"{self.min}..{self.max}{' ' + self.unit if self.unit else ''}"

    def takes(self, node: Node) -> bool:
        return (isinstance(node.value, int) and not isinstance(node.value, bool)) or bool(_odd(node, "number"))

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int):
            return walk.mistyped(path, node, _unquoted(self.wanted, node), self.rule, _number_meant(node, whole=True))
        if not self.min <= value <= self.max:
            return walk.bad(path, "is out of range", got=describe(value, path), allowed=self.rule)
        return value


@dataclass(frozen=True, slots=True)
class Float:
    """A number from min to max; whole numbers are taken too and returned as float."""

    min: float = -1e15
    max: float = 1e15
    unit: str = ""
    wanted: str = "a number"

    @property
    def rule(self) -> str:
        """The range in words."""
        return f"{self.min:.15g}..{self.max:.15g}{' ' + self.unit if self.unit else ''}"

    def takes(self, node: Node) -> bool:
        return (isinstance(node.value, int | float) and not isinstance(node.value, bool)) or bool(_odd(node, "number"))

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return walk.mistyped(path, node, _unquoted(self.wanted, node), self.rule, _number_meant(node, whole=False))
        if not math.isfinite(value) or not self.min <= value <= self.max:
            return walk.bad(path, "is out of range", got=describe(value, path), allowed=self.rule)
        return float(value)


def _unquoted(wanted: str, node: Node) -> str:
    if node.odd is not None and node.odd.kind == "number":
        return f"{wanted} in plain decimal digits"
    return f"{wanted} without quotes" if _number_meant(node, whole=False) else wanted


def _number_meant(node: Node, *, whole: bool) -> str:
    if node.odd is not None:
        instead = _odd(node, "number")
        return "" if whole and "." in instead else instead
    form = r"-?[0-9]{1,15}" if whole else r"-?[0-9]{1,15}(\.[0-9]{1,15})?"
    return node.text if isinstance(node.value, str) and re.fullmatch(form, node.text) else ""


@dataclass(frozen=True, slots=True)
class Bool:
    """true or false, nothing else."""

    wanted: str = "true or false"

    def takes(self, node: Node) -> bool:
        return isinstance(node.value, bool) or bool(_odd(node, "boolean"))

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        if isinstance(node.value, bool):
            return node.value
        meant = _odd(node, "boolean") or _WORDS.get(node.text.lower(), "")
        return walk.mistyped(path, node, "true or false, without quotes", "true, false", meant)


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """One of a few words."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)

    @property
    def wanted(self) -> str:
        return f"one of {listing(self.values)}"

    def takes(self, node: Node) -> bool:
        return Str().takes(node)

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        if node.value in self.values and isinstance(node.value, str):
            return node.value
        near = nearest(node.value, self.values) if isinstance(node.value, str) else ""
        return walk.mistyped(path, node, "one of the allowed words", listing(self.values), near)


@dataclass(frozen=True, slots=True)
class Free:
    """Anything; only ambiguous words are refused."""

    wanted: str = "a value"

    def takes(self, node: Node) -> bool:
        return True

    def check(self, walk: Walk, path: KeyPath, node: Node) -> Any:
        walk.problems += [walk.document.ambiguous(place, odd) for place, odd in walk.document.oddities(path)]
        return node.data()
