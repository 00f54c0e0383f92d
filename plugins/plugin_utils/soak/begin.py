# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the load of a soak began on a node, as that noted it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..verdict.strict_json import FileProblem, parse

BEGIN = "begin.json"
MAX_BEGIN_BYTES = 64 << 10


@dataclass(frozen=True)
class Begin:
    """When the load began on a node: its clocks then (s), and since when the node was the run's (s since boot), if known."""

    unix_s: float
    boottime_s: float
    boot_id: str
    duration_s: float
    run_boottime_s: float | None


def read_begin(folder: Path) -> tuple[Begin | None, tuple[FileProblem, ...]]:
    """Return when the load began by the file below a node's folder, None with the reason where that cannot be told."""
    path = folder / BEGIN
    if path.is_symlink() or not path.is_file():
        return None, (FileProblem(BEGIN, 0, "", "is missing: the load never began on this node"),)
    with path.open("rb") as stream:
        data, problems = parse(stream.read(MAX_BEGIN_BYTES), BEGIN)
    if data is None:
        return None, problems
    wrong = [key for key in ("t", "b", "duration_s") if number(data.get(key)) is None]
    if wrong:
        message = f"is {data.get(wrong[0])!r}; expected a finite number"
        return None, (FileProblem(BEGIN, 0, wrong[0], message),)
    run_b = number(data.get("run_b"))
    return Begin(data["t"], data["b"], str(data.get("boot_id") or ""), data["duration_s"], run_b), ()


def number(value: Any) -> float | None:
    """Return a value that is a finite number, None for any other one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
