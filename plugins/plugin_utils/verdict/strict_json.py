# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON written by programs we do not trust: one object, or one a line, with every fault named by line and key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|-?Infinity|NaN|\n')
CONSTANTS = ("NaN", "Infinity", "-Infinity")


class FileProblem(NamedTuple):
    """A fault in a result file. line: from 1, 0 for the whole file; key: path of the key, "" when none is concerned."""

    file: str
    line: int
    key: str
    message: str

    def render(self) -> str:
        """Return the fault as one line: FILE:LINE: key: what is wrong."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class _Faulty(Exception):
    """Content that is no JSON object; carries (lines before it, key, message) of each fault."""

    def __init__(self, *faults: tuple[int, str, str]) -> None:
        super().__init__(faults)
        self.faults = faults


class _Suspect(ValueError):
    """The text parses, and holds something that JSON does not allow."""


def parse(content: bytes, file: str, first_line: int = 1) -> tuple[dict[str, Any] | None, tuple[FileProblem, ...]]:
    """Return the JSON object in content, or None and its faults. first_line: where content starts in file."""
    try:
        return _object(_decoded(content)), ()
    except _Faulty as exc:
        return None, tuple(FileProblem(file, first_line + line, key, message) for line, key, message in exc.faults)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start)
        raise _Faulty((line, "", f"is not UTF-8: byte {content[exc.start]:#04x}")) from None


def _object(text: str) -> dict[str, Any]:
    if not text.strip():
        raise _Faulty((0, "", "is empty"))
    try:
        data = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except json.JSONDecodeError as exc:
        raise _Faulty((exc.lineno - 1, "", f"is not JSON: {exc.msg} (column {exc.colno})")) from None
    except RecursionError:
        raise _Faulty((0, "", "is nested too deeply")) from None
    except ValueError as exc:
        raise _Faulty(*(list(_faults(text)) or [(0, "", str(exc))])) from None
    if not isinstance(data, dict):
        raise _Faulty((0, "", f"holds a {type(data).__name__}; expected an object"))
    return data


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise _Suspect("a key is given twice")
    return result


def _constant(name: str) -> NoReturn:
    raise _Suspect(f"{name} is not a JSON number")


@dataclass
class _Level:
    """One open object or list while the tokens are walked: its keys so far, and the key or index the next value has."""

    is_list: bool
    keys: set[str] = field(default_factory=set)
    key: str = ""
    index: int = 0
    awaits_key: bool = True

    def name(self) -> str:
        return f"[{self.index}]" if self.is_list else f".{self.key}"


def _faults(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (lines before it, key path, message) for duplicate keys and numbers that JSON does not have.

    What follows the first fault was not parsed yet and may be no JSON at all: the walk ends where it loses track.
    """
    levels: list[_Level] = []
    line = 0
    for match in TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
        elif token in CONSTANTS:
            yield line, _path(levels), f"{token} is not a number that JSON has"
        elif token in "{[":
            levels.append(_Level(token == "["))
        elif not levels:
            return
        elif token in "}]":
            levels.pop()
        elif token == ",":
            levels[-1].index += 1
            levels[-1].awaits_key = True
        elif token != ":" and not levels[-1].is_list and levels[-1].awaits_key:
            yield from _key(levels, token[1:-1], line)


def _key(levels: list[_Level], key: str, line: int) -> Iterator[tuple[int, str, str]]:
    level = levels[-1]
    level.key, level.awaits_key = key, False
    if key in level.keys:
        yield line, _path(levels), "the key is given twice"
    level.keys.add(key)


def _path(levels: list[_Level]) -> str:
    return "".join(level.name() for level in levels).lstrip(".")
