# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the load client tells of a soak while it loads: a line for each few seconds, with counts and histograms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .histogram import Histogram
from .model import LoadWindow

FILE = "soak_windows.jsonl"
MAX_LINE_BYTES = 16 << 20
COUNTS = ("sent", "completed", "failed", "without_tokens")


class WindowError(ValueError):
    """A line that the load client does not write; the message begins with FILE:LINE."""


def load_windows(path: Path, began_b: float | None = None) -> list[LoadWindow]:
    """Return the windows of a file in order; a last line without its end is left out. Raise WindowError for any other fault.

    began_b: when the load began by the clock since boot of the client's node (s); None: with the first window.
    """
    found: list[LoadWindow] = []
    for place, raw in _lines(path):
        try:
            data = json.loads(raw)
            began_b = data["b0"] if began_b is None else began_b
            found.append(_window(data, began_b))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
            what = f"{exc} is missing" if isinstance(exc, KeyError) else str(exc)
            raise WindowError(f"{path.name}:{place}: {what}") from None
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        for place, raw in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), 1):
            if raw.endswith(b"\n"):
                yield place, raw


def _window(data: Mapping[str, Any], began_b: float) -> LoadWindow:
    began_s, ended_s = float(data["b0"]) - began_b, float(data["b1"]) - began_b
    if not began_s <= ended_s:
        raise ValueError(f"b1 is {data['b1']!r}; expected a time after b0, which is {data['b0']!r}")
    counts = {name: _count(name, data.get(name, 0)) for name in COUNTS}
    errors = {str(kind): _count(f"errors.{kind}", count) for kind, count in (data.get("errors") or {}).items()}
    latencies = {name: _histogram(name, value) for name, value in data.items() if name.endswith("_ms")}
    return LoadWindow(round(began_s, 3), round(ended_s, 3), **counts, errors=errors, latencies=latencies)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is {value!r}; expected a whole number from 0")
    return value


def _histogram(name: str, value: Mapping[str, Any]) -> Histogram:
    """Return the histogram of a latency; raise ValueError where it does not hold as many samples as it says."""
    pairs = [(_count(f"{name}.h", index), _count(f"{name}.h", count)) for index, count in value["h"]]
    held = sum(count for _, count in pairs)
    if held != value["n"]:
        raise ValueError(f"{name}.n is {value['n']!r}, and its histogram holds {held}")
    return Histogram.of(pairs)
