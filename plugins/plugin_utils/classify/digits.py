# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line is whatever its digits are: a program that fails says the same again and again, with other numbers.

key = masked(line)                       # equal for lines that differ in no more than which digits they have
loosened(r"errno 2[68]\\b")               # finds something in each line of a mask where the pattern does in one of them
"""

from __future__ import annotations

import re
from typing import TypeVar

# What is remembered of lines takes about so much, and none that is longer is remembered.
MOST_BYTES, LONGEST_BYTES = 2 << 20, 4096
_ENTRY_BYTES = 200

ANYTHING = ""

_ZEROS = bytes(ord("0") if 48 <= c <= 57 else c for c in range(256))
_SET = r"\[(?:\\.|[^\]\\])*\]"
_PARTS = re.compile(
    rf"""(?P<unsure>\\[\dxuUN]|\(\?(?:P=|\(|>)|(?:[*+?]|\{{[\d,]+\}})\+|\[\^?\])  # the same again, all or none, by number
    | (?P<look>\(\?<?!(?:\\.|{_SET}|[^()\[\\])*\))                            # what must not stand there
    | (?P<deep>\(\?<?!)                                                      # the same, with groups
    | (?P<set>{_SET})
    | \\. | \{{[\d,]+\}} | \(\?P<\w+>                                          # a class, how often, a name
    | (?P<digit>\d)
    """,
    re.VERBOSE | re.DOTALL,
)

Value = TypeVar("Value")


class Known(dict[bytes, Value]):
    """What was found out of lines, by their masks. All is forgotten when it takes much memory."""

    _bytes = 0

    def remember(self, mask: bytes, value: Value) -> None:
        """Note what holds for all lines of a mask."""
        if len(mask) > LONGEST_BYTES:
            return
        self._bytes += len(mask) + _ENTRY_BYTES
        if self._bytes > MOST_BYTES:
            self.clear()
            self._bytes = len(mask) + _ENTRY_BYTES
        self[mask] = value


def masked(data: bytes) -> bytes:
    """Return bytes with a 0 for each digit."""
    return data.translate(_ZEROS)


def loosened(pattern: str) -> str:
    """Return a pattern that takes any digit where this one takes a certain one; the same where it takes none.

    On lines of one mask it finds something on all or on none, and on all where the pattern does on one. Where a pattern
    cannot be read so far, it is ANYTHING.
    """
    parts = {found.lastgroup for found in _PARTS.finditer(pattern)}
    loose = _PARTS.sub(_loose, pattern)
    return ANYTHING if "unsure" in parts or ("deep" in parts and loose != pattern) else loose


def _loose(found: re.Match[str]) -> str:
    part = found[0]
    if found["digit"]:
        return r"\d"
    if found["set"]:
        return part if len({bool(re.match(part, digit)) for digit in "0123456789"}) == 1 else rf"(?:{part}|\d)"
    if found["look"]:
        inner = part[3:-1]
        return part if _PARTS.sub(_loose, inner) == inner else ""
    return part
