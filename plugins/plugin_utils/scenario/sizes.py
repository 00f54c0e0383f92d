# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of memory as people write them: `24GB`, `24GiB`, `512 MiB`."""

from __future__ import annotations

import re

UNITS = {
    "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
ALLOWED = f"a number and its unit such as '24GB' or '24GiB'; units: {', '.join(UNITS)}"

_SIZE = re.compile(rf"(?P<number>[0-9]{{1,9}}(?:\.[0-9]{{1,6}})?) ?(?P<unit>{'|'.join(UNITS)})")


def parse_size(text: str) -> int | None:
    """Return the number of bytes, or None when text is no positive size with a unit. GB counts by 1000, GiB by 1024."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    return int(float(match["number"]) * UNITS[match["unit"]]) or None
