# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads YAML that a user wrote, strictly, with the place of every value. Nothing in it is ever run or templated.

    document = load(Path("scenarios/001_baseline/metadata.yml"))      # raises InputError with all problems
    document.data["test_execution"]["timeout"]                         # plain dict/list/str/int/float/bool/None
    document.mark(("test_execution", "timeout"))                       # (line, column) from 1, of the value
    document.problem(("test_execution", "node"), "no such node", got="string 'node9'", allowed="local, auto")

Readers with a schema call `read` instead (or `schema.load`, which does both): it raises only for what cannot be read
at all and leaves the rest (duplicate keys, ambiguous words such as `yes`, a wrong top level) to `Document.faults`,
so that those and the schema's findings come in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..problems import HIDDEN, InputError, KeyPath, Problem, Severity, describe, format_path, is_secret_path
from ._nodes import Builder, EventSource, Node, default_parser
from ._scalars import Oddity
from ._source import Limits, read_text

__all__ = ["Document", "Limits", "load", "parse", "read"]

_WANTED = {
    "boolean": "write true or false, or put text in quotes",
    "number": "write plain decimal digits, or put text in quotes",
    "date": "put it in quotes, dates are text",
    "null": "write null, or put text in quotes",
    "sign": "put it in quotes",
}


@dataclass(frozen=True)
class Document:
    """One YAML file. root is None when it is empty; `problems` were passed over while reading."""

    file: str
    root: Node | None
    problems: tuple[Problem, ...] = ()

    @cached_property
    def data(self) -> Any:
        """The whole content as plain data; None for an empty file."""
        return self.root.data() if self.root is not None else None

    def node(self, path: KeyPath) -> Node | None:
        """Return the node at the path, or None when there is none."""
        node = self.root
        for part in path:
            node = _child(node, part)
            if node is None:
                return None
        return node

    def mark(self, path: KeyPath = ()) -> tuple[int, int]:
        """Return line and column of the value at the path, or of the nearest one above it that exists."""
        for length in range(len(path), -1, -1):
            node = self.node(path[:length])
            if node is not None:
                if node.kind == "scalar" and node.plain and node.text == "":
                    return self.key_mark(path[:length])
                return node.line, node.column
        return 1, 1

    def key_mark(self, path: KeyPath) -> tuple[int, int]:
        """Return line and column of the key at the path (the value's for list items and the top)."""
        parent = self.node(path[:-1]) if path else None
        if parent is not None and isinstance(path[-1], str) and path[-1] in parent.items:
            key = parent.items[path[-1]][0]
            return key.line, key.column
        node = self.node(path)
        return (node.line, node.column) if node is not None else self.mark(path[:-1]) if path else (1, 1)

    def has(self, path: KeyPath) -> bool:
        """Tell whether the file gives a value at the path (null counts)."""
        return self.node(path) is not None

    def odd(self, path: KeyPath) -> Oddity | None:
        """Return what is odd about the unquoted word at the path, if anything."""
        node = self.node(path)
        return node.odd if node is not None else None

    def problem(
        self,
        path: KeyPath,
        message: str,
        *,
        got: str = "",
        allowed: str = "",
        suggestion: str = "",
        severity: Severity = "error",
        at: Literal["value", "key"] = "value",
    ) -> Problem:
        """Return a problem placed at a value or at its key. got is text made with problems.describe."""
        line, column = self.key_mark(path) if at == "key" else self.mark(path)
        return Problem(self.file, line, column, format_path(path), message, got, allowed, suggestion, severity)

    def oddities(self, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Oddity]]:
        """Yield the path of every ambiguous unquoted word at or below path, with what is odd about it."""
        yield from _oddities(self.node(path), path)

    @property
    def empty(self) -> bool:
        """Whether the file holds nothing but comments."""
        return self.root is None or (self.root.kind == "scalar" and self.root.plain and self.root.text == "")

    def ambiguous(self, path: KeyPath, odd: Oddity) -> Problem:
        """Return the problem of an ambiguous word for which no particular type is wanted."""
        message = f"ambiguous without quotes; {_WANTED[odd.kind]}"
        if is_secret_path(path):
            return self.problem(path, message, got=f"{odd.kind} {HIDDEN}")
        return self.problem(path, message, got=odd.shown, suggestion=odd.instead)

    def faults(self, *, top: Literal["mapping", "any"] = "mapping") -> list[Problem]:
        """Return everything wrong with the file that needs no schema to know."""
        found = [*self.problems, *(self.ambiguous(path, odd) for path, odd in self.oddities())]
        if self.root is None or self.empty:
            found.append(Problem(self.file, message="file is empty (only comments and blank lines count as empty)"))
        elif top == "mapping" and self.root.kind != "mapping":
            found.append(self.problem((), "the top level must be a mapping", got=describe(self.data)))
        return found


def load(
    path: Path,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    *,
    root: Path | None = None,
    top: Literal["mapping", "any"] = "mapping",
) -> Document:
    """Return the document at path, or raise InputError with all its problems. root: the folder links may not leave."""
    document = read(path, limits, root=root)
    faults = document.faults(top=top)
    if faults:
        raise InputError(faults)
    return document


def read(path: Path, limits: Limits = Limits(), *, root: Path | None = None) -> Document:  # noqa: B008 - frozen
    """Return the document at path; raise InputError only when it cannot be read to its end."""
    return parse(read_text(path, limits, root), str(path), limits)


def parse(
    text: str,
    file: str,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    parser: Callable[[str], EventSource] = default_parser,
) -> Document:
    """Return the document that the text is; raise InputError where reading has to stop."""
    builder = Builder(text, file, limits, parser)
    root = builder.build()
    return Document(file, root, tuple(builder.problems))


def _child(node: Node | None, part: str | int) -> Node | None:
    if node is None:
        return None
    if isinstance(part, str):
        item = node.items.get(part)
        return item[1] if item else None
    return node.entries[part] if -1 < part < len(node.entries) else None


def _oddities(node: Node | None, path: KeyPath) -> Iterator[tuple[KeyPath, Oddity]]:
    if node is None:
        return
    if node.odd is not None:
        yield path, node.odd
    for key, (_, value) in node.items.items():
        yield from _oddities(value, (*path, key))
    for index, entry in enumerate(node.entries):
        yield from _oddities(entry, (*path, index))
