# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what an unquoted YAML word means, and which words are too ambiguous to be allowed.

Allowed without quotes: `true`, `false`, `null`, `~`, plain decimal numbers, dates and times never, any other word as
text. A word that YAML 1.1 and YAML 1.2 read differently, or not as it looks (`yes`, `0777`, `1e3`, `1:30`), is an
`Oddity`: it keeps its text, and the schema says what to write instead for the type that is wanted there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..problems import show

Kind = Literal["boolean", "number", "date", "null", "sign"]
Plain = str | int | float | bool | None

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_MOST_DIGITS = 19
_MOST_DECIMALS = 36
_LARGEST = 2**63 - 1
_PLAIN_WORDS: dict[str, Plain] = {"true": True, "false": False, "null": None, "~": None, "": None}
_OLD_TRUE, _OLD_FALSE = ("y", "yes", "on", "true"), ("n", "no", "off", "false")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9:.Z+ \t-]*)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")


@dataclass(frozen=True, slots=True)
class Oddity:
    """An unquoted word that is not what it looks like. made: what YAML reads; instead: the plain form or ""."""

    text: str
    kind: Kind
    made: str
    instead: str = ""

    @property
    def shown(self) -> str:
        """Return the word with what YAML makes of it, for the `got` part of a problem."""
        return f"{show(self.text)} without quotes ({self.made})"


def resolve(text: str) -> tuple[Plain, Oddity | None]:
    """Return the value of an unquoted word; an ambiguous one stays text and comes with its Oddity."""
    if text in _PLAIN_WORDS:
        return _PLAIN_WORDS[text], None
    if text.isalpha() and len(text) > 5:
        return text, None
    if _INTEGER.fullmatch(text) and fits(text):
        return int(text), None
    if _DECIMAL.fullmatch(text) and len(text) <= _MOST_DECIMALS:
        return float(text), None
    return text, _oddity(text)


def fits(digits: str) -> bool:
    """Tell whether the digits of a whole number, with its sign, fit 64 bits."""
    return len(digits.lstrip("-")) <= _MOST_DIGITS and abs(int(digits)) <= _LARGEST


def _oddity(text: str) -> Oddity | None:
    folded = text.lower()
    if folded in _OLD_TRUE + _OLD_FALSE and text in (folded, folded.upper(), folded.title()):
        value = "true" if folded in _OLD_TRUE else "false"
        return Oddity(text, "boolean", f"YAML 1.1 reads it as {value}", value)
    if text in ("Null", "NULL"):
        return Oddity(text, "null", "YAML reads it as null", "null")
    if text in ("=", "<<"):
        return Oddity(text, "sign", "YAML 1.1 gives this sign a meaning of its own")
    if _DATE.fullmatch(text):
        return Oddity(text, "date", "YAML 1.1 reads it as a date")
    return next((Oddity(text, "number", *made(text)) for form, made in _NUMBER_FORMS if form.fullmatch(text)), None)


def _based(base: int, digits_at: int, words: str) -> Callable[[str], tuple[str, str]]:
    def made(text: str) -> tuple[str, str]:
        digits = text.lstrip("+-")[digits_at:].replace("_", "") or "0"
        value = int(digits, base) * (-1 if text.startswith("-") else 1)
        return f"{words} {show(value)}", ""

    return made


def _long(text: str) -> tuple[str, str]:
    return f"a number of {len(text)} digits, more than can be kept exactly", ""


def _leading_zeros(text: str) -> tuple[str, str]:
    return "YAML 1.1 reads it as text, YAML 1.2 as a number", text.replace("_", "").lstrip("0") or "0"


def _underscores(text: str) -> tuple[str, str]:
    plain = text.replace("_", "").lstrip("+")
    return f"YAML 1.1 reads it as {show(plain)[1:-1]}, YAML 1.2 as text", plain


def _sexagesimal(text: str) -> tuple[str, str]:
    value = 0.0
    for part in text.lstrip("+-").replace("_", "").split(":"):
        value = value * 60 + float(part)
    return f"YAML 1.1 reads it as the base 60 number {show(value if value % 1 else int(value))}", ""


def _real(text: str) -> tuple[str, str]:
    value = float(text)
    if abs(value) > 1e15 or (value and abs(value) < 1e-6):
        return f"a number, {value!r}", ""
    plain = str(int(value)) if value.is_integer() else f"{value:f}".rstrip("0")
    old = "may read it as text" if "e" in text.lower() else "too"
    return f"YAML 1.2 reads it as the number {plain}, YAML 1.1 {old}", plain


def _not_finite(text: str) -> tuple[str, str]:
    return ("YAML reads it as not-a-number" if "n" in text.lower()[1:2] else "YAML reads it as infinity"), ""


_NUMBER_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], tuple[str, str]]], ...] = (
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), _not_finite),
    (re.compile(r"[-+]?0[0-7_]{1,40}"), _based(8, 1, "YAML 1.1 reads it as the octal number")),
    (re.compile(r"0o[0-7]{1,40}"), _based(8, 2, "YAML 1.2 reads it as the octal number")),
    (re.compile(r"[-+]?0x[0-9a-fA-F_]{1,40}"), _based(16, 2, "YAML reads it as the hexadecimal number")),
    (re.compile(r"[-+]?0b[01_]{1,80}"), _based(2, 2, "YAML 1.1 reads it as the binary number")),
    (re.compile(rf"(?=.{{1,60}}\Z){_SEXAGESIMAL.pattern}"), _sexagesimal),
    (re.compile(r"-?[0-9]{19,}(?:\.[0-9]+)?|-?[0-9]+\.[0-9]{18,}"), _long),
    (re.compile(r"0[0-9_]+"), _leading_zeros),
    (re.compile(r"[-+]?[1-9][0-9]*_[0-9_]*(?:\.[0-9_]*)?"), _underscores),
    (re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"), _real),
)
