# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Foreign text made safe for each place a report puts it: a terminal, Markdown, CSV and XML."""

from __future__ import annotations

import re
from typing import Any

ANSI_STYLE = re.compile(r"\x1b\[[0-9;:]*m")
LINE_ENDS = re.compile(r"\r\n?")
# Control characters but tab and newline, bidirectional and invisible controls, lone surrogates, non-characters.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Characters of a line of a log that a screen shows.
MOST_SHOWN = 200
MARKDOWN_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
MARKDOWN_START = re.compile(r"^(?=#|[+-](?: |$)|[=-]+$)")
MARKDOWN_NUMBER = re.compile(r"^(\d+)([.)])(?= |$)")


def visible(value: Any) -> str:
    """Return value as text in which nothing is hidden: colours dropped, other control characters spelled out."""
    text = LINE_ENDS.sub("\n", ANSI_STYLE.sub("", str(value)))
    return HIDDEN.sub(_spelled, text)


def one_line(value: Any) -> str:
    """Return the visible form of value on one line, with runs of white space made one space."""
    return " ".join(visible(value).split())


def log_line(line: str) -> str:
    """Return a line of a log as it comes to stand on a screen: what is behind its last carriage return, all visible, its beginning."""
    return visible(line.rstrip().rpartition("\r")[2])[:MOST_SHOWN]


def markdown(value: Any) -> str:
    """Return value as Markdown that shows exactly that text on one line: no markup, no HTML, no table cell ends."""
    text = one_line(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = MARKDOWN_SPECIAL.sub(lambda found: "\\" + found.group(), text)
    text = MARKDOWN_START.sub(r"\\", text)
    return MARKDOWN_NUMBER.sub(r"\1\\\2", text)


def code(value: Any) -> str:
    """Return value as a Markdown code span; text that could end a span or a cell is escaped instead."""
    text = one_line(value)
    return f"`{text}`" if text and not set(text) & set("`|<>&") else markdown(text)


def code_block(value: Any) -> str:
    """Return value as a fenced Markdown block that its own content cannot close."""
    text = visible(value).rstrip("\n")
    mark = "`" * max(3, _longest_backticks(text) + 1)
    return f"{mark}text\n{text}\n{mark}"


def csv_cell(value: Any) -> Any:
    """Return value for a CSV cell: numbers stay numbers, None is empty, text that a sheet would run gets a quote."""
    if value is None:
        return ""
    if isinstance(value, (bool, int, float)):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(FORMULA_START) or text.lstrip().startswith(FORMULA_START) else text


def _spelled(found: re.Match[str]) -> str:
    point = ord(found.group())
    if 0xDC80 <= point <= 0xDCFF:  # a byte that was no UTF-8, as the file system functions keep it
        return f"\\x{point - 0xDC00:02x}"
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"


def _longest_backticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
