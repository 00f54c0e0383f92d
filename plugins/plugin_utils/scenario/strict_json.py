# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads JSON that a user wrote, strictly, as the same kind of Document that the YAML reader returns.

Python's own reader keeps no places, takes NaN and the last of two equal keys; this one does none of that. Broken
syntax raises InputError at its line and column; duplicate keys are recorded in `Document.problems` and reading goes on.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from pathlib import Path
from typing import NoReturn

from ..problems import InputError, KeyPath, Problem, format_path, show
from ._nodes import Node
from ._scalars import Plain, fits
from ._source import FORBIDDEN, Limits, name_character, read_text
from .strict_yaml import Document

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\\n\r\t]*(?:\\.[^"\\\n\r\t]*)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[-+A-Za-z0-9_.]+")
_WORDS: dict[str, Plain] = {"true": True, "false": False, "null": None}
_MEANT = {"True": "true", "False": "false", "None": "null", "nil": "null", "undefined": "null"}


def read(path: Path, limits: Limits = Limits(), *, root: Path | None = None) -> Document:  # noqa: B008 - frozen
    """Return the document at path; raise InputError when it is not JSON. root: the folder links may not leave."""
    return parse(read_text(path, limits, root), str(path), limits)


def parse(text: str, file: str, limits: Limits = Limits()) -> Document:  # noqa: B008 - frozen
    """Return the document that the text is; raise InputError where it stops being JSON."""
    reader = _Reader(text, file, limits)
    root = reader.whole()
    return Document(file, root, tuple(reader.problems))


class _Reader:
    """Reads one text from front to back; the depth limit bounds its recursion."""

    def __init__(self, text: str, file: str, limits: Limits) -> None:
        self.problems: list[Problem] = []
        self._text, self._file, self._limits = text, file, limits
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._at = self._values = 0

    def whole(self) -> Node | None:
        """Return the one value that the text holds, or None when it is blank."""
        self._skip()
        if self._at == len(self._text):
            return None
        root = self._value((), 0)
        self._skip()
        if self._at < len(self._text):
            self._fail(f"only one value is allowed; {show(self._text[self._at :][:40])} follows it")
        return root

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _value(self, path: KeyPath, depth: int) -> Node:
        self._values += 1
        if self._values > self._limits.max_values:
            self._fail("too many values", f"at least {self._values}", f"up to {self._limits.max_values}")
        char = self._text[self._at : self._at + 1]
        if char in ("{", "["):
            if depth == self._limits.max_depth:
                self._fail("nested too deeply", f"depth {depth + 1}", f"up to {depth} levels")
            return self._mapping(path, depth) if char == "{" else self._sequence(path, depth)
        line, column = self._place(self._at)
        if char == '"':
            text = self._string()
            return Node("scalar", line, column, text, text)
        return self._bare(line, column)

    def _mapping(self, path: KeyPath, depth: int) -> Node:
        opened = self._at
        node = Node("mapping", *self._place(opened))
        while self._next("}", opened, first=not node.items and self._at == opened):
            start = self._at
            if self._text[start : start + 1] != '"':
                self._fail(f"a key in double quotes must stand here; {self._found()}")
            key = Node("scalar", *self._place(start))
            key.text = self._string()
            key.value = key.text
            self._skip()
            if self._text[self._at : self._at + 1] != ":":
                self._fail(f"':' must follow the key {show(key.text)}; {self._found()}")
            self._at += 1
            self._skip()
            value = self._value((*path, key.text), depth + 1)
            self._keep(node, key, value, path)
        return node

    def _keep(self, node: Node, key: Node, value: Node, path: KeyPath) -> None:
        if key.text in node.items:
            first = node.items[key.text][0].line
            message = f"duplicate key {show(key.text)}; first at line {first}, again at line {key.line}"
            self.problems.append(Problem(self._file, key.line, key.column, format_path((*path, key.text)), message))
        else:
            node.items[key.text] = (key, value)

    def _sequence(self, path: KeyPath, depth: int) -> Node:
        opened = self._at
        node = Node("sequence", *self._place(opened))
        while self._next("]", opened, first=not node.entries):
            node.entries.append(self._value((*path, len(node.entries)), depth + 1))
        return node

    def _next(self, closing: str, opened: int, *, first: bool) -> bool:
        """Step over the opening bracket or a comma; return False after stepping over the closing bracket."""
        if first:
            self._at += 1
        self._skip()
        char = self._text[self._at : self._at + 1]
        if char == closing:
            self._at += 1
            return False
        if char == "":
            self._at = opened
            self._fail(f"bracket {self._text[opened]} opened at line {self._place(opened)[0]} is never closed")
        if first:
            return True
        if char != ",":
            since = f"{self._text[opened]} of line {self._place(opened)[0]} is open"
            self._fail(f"',' or '{closing}' must stand here, {since}; {self._found()}")
        self._at += 1
        self._skip()
        if self._text[self._at : self._at + 1] == closing:
            self._fail(f"a comma before '{closing}' is not allowed")
        return True

    def _string(self) -> str:
        start = self._at
        match = _STRING.match(self._text, start)
        if match is None:
            self._fail(f"quote opened at line {self._place(start)[0]} is not closed on its line")
        try:
            text: str = json.loads(match[0])
        except json.JSONDecodeError as exc:
            self._at = start + exc.pos
            self._fail(f"not a valid string: {exc.msg.lower()}")
        forbidden = FORBIDDEN.search(text)
        if forbidden:
            self._note(start, f"{name_character(forbidden[0])} is not allowed, not even escaped")
        if len(text) > self._limits.max_string:
            self._note(start, "text is too long", f"string of {len(text)} characters", self._limits.max_string)
        self._at = match.end()
        return text

    def _bare(self, line: int, column: int) -> Node:
        match = _WORD.match(self._text, self._at)
        word = match[0] if match else ""
        if word in _WORDS:
            value = _WORDS[word]
        elif _NUMBER.fullmatch(word):
            value = self._number(word)
        else:
            self._refuse_word(word)
        self._at += len(word)
        return Node("scalar", line, column, value, word)

    def _number(self, word: str) -> int | float:
        if re.fullmatch(r"-?[0-9]+", word):
            if not fits(word):
                self._fail(
                    "number does not fit 64 bits", f"{len(word)} digits", "-9223372036854775807..9223372036854775807"
                )
            return int(word)
        value = float(word)
        if not math.isfinite(value):
            self._fail("number is too large", show(word))
        return value

    def _refuse_word(self, word: str) -> NoReturn:
        if word.lstrip("+-").lower() in ("nan", "infinity", "inf"):
            self._fail(f"{word} is not a JSON number; numbers must be finite")
        if re.match(r"[-+.0-9]", word):
            self._fail(f"{show(word)} is not a JSON number", allowed="decimal digits such as 12, -3, 0.5")
        self._fail(f"a value must stand here; {self._found()}", suggestion=_MEANT.get(word, ""))

    def _found(self) -> str:
        rest = self._text[self._at : self._at + 40]
        word = _WORD.match(rest)
        if rest.startswith(("//", "/*", "#")):
            return "JSON has no comments"
        if rest.startswith("'"):
            return "a single quote was found, JSON wants double quotes"
        return f"{show(word[0] if word else rest[:1])} was found" if rest else "the end of the file was found"

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def _note(self, offset: int, message: str, got: str = "", allowed: object = "") -> None:
        self.problems.append(Problem(self._file, *self._place(offset), "", message, got, str(allowed)))

    def _fail(self, message: str, got: str = "", allowed: str = "", suggestion: str = "") -> NoReturn:
        problem = Problem(self._file, *self._place(self._at), "", message, got, allowed, suggestion)
        raise InputError([*self.problems, problem])
