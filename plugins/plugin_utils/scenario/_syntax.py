# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a YAML parser's complaint into a sentence about the user's file: what was opened where and never closed."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from ..problems import Problem, show

_WIDE_SIGNS = "：，［］｛｝“”‘’"  # noqa: RUF001 - the very characters that people type by mistake
_INDENT_WORDS = ("block mapping", "block collection", "block sequence")


@dataclass(frozen=True, slots=True)
class Open:
    """A bracket that was open when reading stopped."""

    line: int
    column: int
    kind: str


def syntax_problem(
    error: yaml.MarkedYAMLError, text: str, file: str, opened: list[Open], last_quoted: tuple[int, int]
) -> Problem:
    """Return the problem that made the parser stop. last_quoted: first and last line of the last quoted text."""
    line, column = _place(error)
    lines = text.split("\n")
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    context = error.context or ""
    if "quoted scalar" in context and "end of stream" in (error.problem or ""):
        return _unclosed_quote(error, file, lines)
    if _tab_at(here, column, error.problem or ""):
        return _tabs(file, line, column, lines)
    if opened:
        return _unclosed_bracket(file, opened[-1], line, column, here)
    return Problem(
        file, line, column, message=_plain_words(error, here) + _hints(lines[max(line - 2, 0) : line], last_quoted)
    )


def _place(error: yaml.MarkedYAMLError) -> tuple[int, int]:
    mark = error.problem_mark or error.context_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)


def _unclosed_quote(error: yaml.MarkedYAMLError, file: str, lines: list[str]) -> Problem:
    mark = error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    quote = lines[line - 1][column - 1 : column] if line else ""
    return Problem(file, line, column, message=f"quote {quote or ''} opened at line {line} is never closed")


def _unclosed_bracket(file: str, bracket: Open, line: int, column: int, here: str) -> Problem:
    sign = "[" if bracket.kind == "sequence" else "{"
    found = show(here[column - 1 :].strip()) if here[column - 1 :].strip() else "the end of the line or file"
    message = (
        f"bracket {sign} opened at line {bracket.line} is not closed, or a comma is missing before line {line}"
        f" column {column}, where {found} was found"
    )
    return Problem(file, bracket.line, bracket.column, message=message)


def _tab_at(here: str, column: int, problem: str) -> bool:
    indent = here[: len(here) - len(here.lstrip())]
    return "\t" in indent and ("tab" in problem or "cannot start any token" in problem or column <= len(indent) + 1)


def _tabs(file: str, line: int, column: int, lines: list[str]) -> Problem:
    others = [n for n, text in enumerate(lines, 1) if "\t" in text[: len(text) - len(text.lstrip())] and n != line]
    also = f" (also at lines {', '.join(map(str, others[:10]))})" if others else ""
    return Problem(file, line, column, message=f"tab in the indentation; indent with spaces{also}")


def _plain_words(error: yaml.MarkedYAMLError, here: str) -> str:
    problem, context = error.problem or "syntax error", error.context or ""
    since = f" that starts at line {error.context_mark.line + 1}" if error.context_mark is not None else ""
    if "mapping values are not allowed" in problem:
        return "unexpected ':' here; quote text that holds ': ', and check the line before and the indentation"
    if "entries are not allowed" in problem:
        return "a list item '- ' cannot start here; put it on a line of its own"
    if "simple key" in context:
        return f"line {error.context_mark.line + 1 if error.context_mark else 0} has no ':' after its key"
    if "cannot start any token" in problem:
        return f"a value cannot start with {_char(error, here)}; put the text in quotes"
    if any(word in context for word in _INDENT_WORDS):
        kind = "list" if "collection" in context or "sequence" in context else "mapping"
        return f"{show(_rest(error, here))} does not fit into the {kind}{since}; check indentation and quotes"
    return f"{problem}{' ' + context if context else ''}"


def _char(error: yaml.MarkedYAMLError, here: str) -> str:
    return show(_rest(error, here)[:1])


def _rest(error: yaml.MarkedYAMLError, here: str) -> str:
    return here[error.problem_mark.column :].rstrip() if error.problem_mark is not None else here


def _hints(near: list[str], last_quoted: tuple[int, int]) -> str:
    first, last = last_quoted
    hint = f"; the quoted text of line {first} ends only at line {last}: is its quote missing?" if last > first else ""
    wide = next((char for char in _WIDE_SIGNS if any(char in text for text in near)), "")
    return hint + (f"; {show(wide)} near here is not the ASCII sign that YAML wants" if wide else "")
