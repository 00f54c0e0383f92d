# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a tree of values with marks from YAML events, one event at a time.

The parser only delivers events; depth, number of values and aliases are counted here while they arrive, so neither a
deep nor an exploding file is ever built. What can be passed over (duplicate keys, tags, a second document) is
recorded and reading goes on; what cannot (a limit, broken syntax) raises InputError with everything found so far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Protocol

import yaml

from ..problems import InputError, KeyPath, Problem, describe, format_path, show
from ._scalars import Oddity, Plain, resolve
from ._source import FORBIDDEN, Limits, name_character
from ._syntax import Open, syntax_problem

_MOST_PROBLEMS = 100
_MOST_COUNTED = 10**12


class EventSource(Protocol):
    """What both parsers offer: the next event, or None at the end."""

    def get_event(self) -> Any:
        """Return the next event."""


class PythonParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """PyYAML's parser in Python, for machines whose PyYAML comes without the C library."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


def _fastest() -> Callable[[str], EventSource]:
    try:
        from yaml._yaml import CParser  # noqa: PLC0415 - only in builds of PyYAML with the C library
    except ImportError:
        return PythonParser
    return CParser


default_parser = _fastest()


@dataclass(slots=True)
class Node:
    """A value with its place. mapping: items by key; sequence: a list; scalar: the plain value and what was written."""

    kind: Literal["mapping", "sequence", "scalar"]
    line: int
    column: int
    value: Plain = None
    text: str = ""
    odd: Oddity | None = None
    plain: bool = False
    items: dict[str, tuple[Node, Node]] = field(default_factory=dict)
    entries: list[Node] = field(default_factory=list)

    def data(self) -> Any:
        """Return plain Python data; text that is an oddity stays text."""
        if self.kind == "mapping":
            return {key: value.data() for key, (_, value) in self.items.items()}
        if self.kind == "sequence":
            return [entry.data() for entry in self.entries]
        return self.value


@dataclass(slots=True)
class _Frame:
    node: Node
    flow: bool
    anchor: str | None
    key: Node | None = None
    values: int = 1
    height: int = 0
    merges: list[Node] = field(default_factory=list)
    merged_at: Node | None = None


@dataclass(frozen=True, slots=True)
class _Anchor:
    node: Node
    values: int
    height: int


class Builder:
    """Turns the events of one text into one tree. After `build`, `problems` holds what was passed over."""

    def __init__(self, text: str, file: str, limits: Limits, parser: Callable[[str], EventSource]) -> None:
        self.problems: list[Problem] = []
        self._text, self._file, self._limits, self._parser = text, file, limits, parser
        self._frames: list[_Frame] = []
        self._anchors: dict[str, _Anchor] = {}
        self._open_anchors: dict[str, int] = {}
        self._root: Node | None = None
        self._documents = self._aliases = self._values = 0
        self._last_quoted = (0, 0)

    def build(self) -> Node | None:
        """Return the root of the first document, or None for an empty file. Raise InputError at what stops reading."""
        try:
            source = self._parser(self._text)
            while (event := source.get_event()) is not None and self._take(event):
                pass
        except yaml.MarkedYAMLError as exc:
            opened = [Open(f.node.line, f.node.column, f.node.kind) for f in self._frames if f.flow]
            self._stop(syntax_problem(exc, self._text, self._file, opened, self._last_quoted))
        except (yaml.YAMLError, ValueError, OverflowError) as exc:
            self._stop(Problem(self._file, message=f"not readable as YAML: {show(str(exc))}"))
        return self._root

    def _take(self, event: Any) -> bool:
        """Add one event to the tree; return False when nothing after it is wanted."""
        if isinstance(event, yaml.ScalarEvent):
            self._add_scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._add_alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            return self._start_document(event)
        return True

    def _start_document(self, event: Any) -> bool:
        self._documents += 1
        line = event.start_mark.line + 1
        if self._documents > 1:
            self._note(line, 1, f"a second document starts at line {line}; a file holds one document")
        return self._documents == 1

    def _add_scalar(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        plain = not event.style and event.tag is None
        value, odd = resolve(event.value) if plain else (event.value, None)
        node = Node("scalar", line, column, value, event.value, odd, plain)
        self._check_tag(event)
        self._check_text(node)
        if event.style in ("'", '"'):
            self._last_quoted = (line, event.end_mark.line + 1)
        self._count(1, node)
        self._keep_anchor(event.anchor, _Anchor(node, 1, 0), node)
        self._attach(node, 1, 0)

    def _check_text(self, node: Node) -> None:
        if len(node.text) > self._limits.max_string:
            got, allowed = f"string of {len(node.text)} characters", f"up to {self._limits.max_string} characters"
            self._note(node.line, node.column, "text is too long", got=got, allowed=allowed)
        forbidden = FORBIDDEN.search(node.text)
        if forbidden:
            self._note(node.line, node.column, f"{name_character(forbidden[0])} is not allowed, not even escaped")

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None:
            mark, tag = event.start_mark, event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f"tag {show(tag)} is not allowed; write the value plainly, text in quotes"
            self._note(mark.line + 1, mark.column + 1, message)

    def _open(self, event: Any) -> None:
        kind: Literal["mapping", "sequence"] = "mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence"
        node = Node(kind, event.start_mark.line + 1, event.start_mark.column + 1)
        self._check_tag(event)
        self._check_depth(len(self._frames) + 1, node)
        self._count(1, node)
        if event.anchor is not None:
            self._open_anchors[event.anchor] = node.line
        self._frames.append(_Frame(node, bool(event.flow_style), event.anchor))

    def _close(self) -> None:
        frame = self._frames.pop()
        for other in frame.merges:
            for key, item in other.items.items():
                frame.node.items.setdefault(key, item)
        if frame.anchor is not None:
            self._open_anchors.pop(frame.anchor, None)
            self._keep_anchor(frame.anchor, _Anchor(frame.node, frame.values, frame.height + 1), frame.node)
        self._attach(frame.node, frame.values, frame.height + 1)

    def _keep_anchor(self, name: str | None, anchor: _Anchor, node: Node) -> None:
        if name is None:
            return
        first = self._anchors.setdefault(name, anchor).node
        if first is not node:
            message = f"anchor {show(name)} is set twice; first at line {first.line}"
            self._note(node.line, node.column, message)

    def _add_alias(self, event: Any) -> None:
        line, column, name = event.start_mark.line + 1, event.start_mark.column + 1, event.anchor
        self._aliases += 1
        here = Node("scalar", line, column)
        if self._aliases > self._limits.max_aliases:
            self._refuse(here, "too many aliases", f"at least {self._aliases}", f"up to {self._limits.max_aliases}")
        anchor = self._anchors.get(name)
        if name in self._open_anchors:
            self._refuse(here, f"alias {show(name)} is inside its own anchor of line {self._open_anchors[name]}")
        if anchor is None:
            self._note(line, column, f"alias {show(name)} has no anchor before it", allowed=", ".join(self._anchors))
            return self._attach(here, 1, 0)
        self._check_depth(len(self._frames) + anchor.height, here)
        self._count(anchor.values, here)
        node = anchor.node
        twin = Node(node.kind, line, column, node.value, node.text, node.odd, node.plain, node.items, node.entries)
        return self._attach(twin, anchor.values, anchor.height)

    def _attach(self, node: Node, values: int, height: int) -> None:
        if not self._frames:
            self._root = node
            return
        frame = self._frames[-1]
        frame.values = min(frame.values + values, _MOST_COUNTED)
        frame.height = max(frame.height, height)
        if frame.node.kind == "sequence":
            frame.node.entries.append(node)
        elif frame.key is None:
            frame.key = node
        else:
            self._attach_item(frame, frame.key, node)
            frame.key = None

    def _attach_item(self, frame: _Frame, key: Node, value: Node) -> None:
        if key.kind != "scalar":
            message = f"a {key.kind} cannot be a key; if this is template text such as '{{{{ x }}}}', put it in quotes"
            return self._note(key.line, key.column, message)
        if key.plain and key.text == "<<":
            return self._merge(frame, key, value)
        self._check_key(frame, key)
        if key.text in frame.node.items:
            first = frame.node.items[key.text][0]
            message = f"duplicate key {show(key.text)}; first at line {first.line}, again at line {key.line}"
            return self._note(key.line, key.column, message, key=self._path(key.text))
        frame.node.items[key.text] = (key, value)
        return None

    def _check_key(self, frame: _Frame, key: Node) -> None:
        path = self._path(key.text)
        if key.text.strip() != key.text or key.text == "":
            message = "key has spaces around it" if key.text else "key is empty"
            self._note(key.line, key.column, message, key=path, got=f"string {show(key.text)}")
        elif key.odd is not None:
            self._note(key.line, key.column, f"key is ambiguous, quote it; got {key.odd.shown}", key=path)
        elif not isinstance(key.value, str):
            message = "key must be a string, quote it"
            self._note(key.line, key.column, message, key=path, got=describe(key.value))

    def _merge(self, frame: _Frame, key: Node, value: Node) -> None:
        if frame.merged_at is not None:
            message = f"duplicate key '<<'; first at line {frame.merged_at.line}, again at line {key.line}"
            return self._note(key.line, key.column, message, key=self._path("<<"))
        frame.merged_at = key
        sources = value.entries if value.kind == "sequence" else [value]
        for source in sources:
            if source.kind != "mapping":
                message = "'<<' merges mappings only"
                self._note(source.line, source.column, message, key=self._path("<<"), got=describe(source.data()))
        frame.merges = [source for source in sources if source.kind == "mapping"]
        return None

    def _path(self, last: str) -> str:
        path: KeyPath = ()
        for frame in self._frames[:-1]:
            if frame.node.kind == "sequence":
                path += (len(frame.node.entries),)
            elif frame.key is not None:
                path += (frame.key.text,)
        return format_path((*path, last))

    def _count(self, values: int, node: Node) -> None:
        self._values = min(self._values + values, _MOST_COUNTED)
        if self._values > self._limits.max_values:
            what = "aliases expand to too many values" if self._aliases else "too many values"
            self._refuse(node, what, f"at least {self._values}", f"up to {self._limits.max_values}")

    def _check_depth(self, depth: int, node: Node) -> None:
        if depth > self._limits.max_depth:
            message = "nested too deeply" + (" through aliases" if self._aliases and node.kind == "scalar" else "")
            self._refuse(node, message, f"depth {depth}", f"up to {self._limits.max_depth} levels")

    def _note(self, line: int, column: int, message: str, *, key: str = "", got: str = "", allowed: str = "") -> None:
        problem = Problem(self._file, line, column, key, message, got, allowed)
        self.problems.append(problem)
        if len(self.problems) > _MOST_PROBLEMS:
            raise InputError(self.problems)

    def _refuse(self, node: Node, message: str, got: str = "", allowed: str = "") -> NoReturn:
        self._stop(Problem(self._file, node.line, node.column, message=message, got=got, allowed=allowed))

    def _stop(self, problem: Problem) -> NoReturn:
        raise InputError([*self.problems, problem]) from None
