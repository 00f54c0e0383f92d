# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the sentences of gates say numbers, and how gates are made from them."""

from __future__ import annotations

from dataclasses import dataclass

from .judgement import FAIL, NO_DATA, NOT_ASKED, PASS, Gate

BYTES = "bytes"
KIND_OF_FAILURE, KIND_OF_NO_DATA = "bench_failed", "bench_no_data"


def number(value: float) -> str:
    """Return a number as people read it: three digits, more where it is large, none for zeros at the end."""
    size = abs(value)
    text = f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}" if size >= 0.01 or size == 0 else f"{value:.2g}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scaled(unit: str, limit: float) -> tuple[float, str]:
    """Return by what values in a unit are divided to be read, and the unit then. limit: the least that must be told."""
    if unit != BYTES:
        return 1.0, unit
    name, size = next(((n, s) for n, s in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)) if limit >= s), ("bytes", 1))
    return float(size), name


def length(seconds: float) -> str:
    """Return a length of time: `45 s`, `40 min`, `3 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size or seconds == size:
            return f"{number(round(seconds / size, 1))} {unit}"
    return f"{number(seconds)} s"


@dataclass(frozen=True)
class Found:
    """What a gate has measured, and what it is held to. at_s: when it was at its worst; during: the fault felt then."""

    value: float | None = None
    limit: float | None = None
    unit: str = ""
    at_s: float | None = None
    during: str = ""


def passed(name: str, subject: str, why: str, found: Found) -> Gate:
    """Return a gate that holds."""
    return _gate(name, subject, PASS, why, found, "")


def failed(name: str, subject: str, why: str, found: Found, kind: str = KIND_OF_FAILURE) -> Gate:
    """Return a gate that does not hold."""
    return _gate(name, subject, FAIL, why, found, kind)


def no_data(name: str, subject: str, why: str, found: Found, kind: str = KIND_OF_NO_DATA) -> Gate:
    """Return a gate that cannot be answered."""
    return _gate(name, subject, NO_DATA, why, found, kind)


def not_asked(name: str, subject: str, why: str) -> Gate:
    """Return a gate that nobody asked for."""
    return _gate(name, subject, NOT_ASKED, why, Found(), "")


def _gate(name: str, subject: str, verdict: str, why: str, found: Found, kind: str) -> Gate:
    return Gate(name, subject, verdict, found.value, found.limit, found.unit, why, found.at_s, found.during, kind)
