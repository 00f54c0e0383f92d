# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a soak may be believed, and whether what it ran has passed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import gates_chaos, gates_load, gates_reports, gates_resources, histogram
from .judgement import (
    BELIEF,
    COMPLETE,
    ESSENTIAL,
    FAIL,
    INSUFFICIENT,
    INVALID,
    NO_DATA,
    PASS,
    WARN,
    Evidence,
    Gate,
    Judgement,
    Limits,
)
from .saying import Found, length, no_data, passed
from .shelf import Shelf
from .spans import Chaos

# Said of each negative control, so that nobody takes its pass for another one.
CONTROL_ONLY = (
    "negative control: no fault was injected, so nothing was survived; a pass says that nothing else looks like a fault"
)
# A soak may end so much before its time, as a share and in seconds: a client stops at the end of its last request.
EARLY, EARLY_S = 0.02, 30.0


class GateError(ValueError):
    """A limit that nothing can be held to. key: its name."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


def judge(evidence: Evidence, limits: Limits) -> Judgement:
    """Decide about a soak: absence of data is never a pass, and one that was cut short never passes.

    Raise GateError for a limit that is no number, negative, or a percentile that is none.
    """
    check(limits)
    found = tuple(_all(evidence, limits))
    failed = [gate for gate in found if gate.verdict == FAIL]
    lacking = [gate for gate in found if gate.verdict == NO_DATA]
    warned = [gate for gate in lacking if limits.missing == WARN and gate.name not in ESSENTIAL]
    decisive = [*failed, *(gate for gate in lacking if gate not in warned)]
    return Judgement(
        metric_gate=FAIL if failed else INSUFFICIENT if lacking else PASS,
        verdict=_verdict(decisive),
        gates=found,
        reasons=tuple(gate.why for gate in decisive),
        warnings=(*((CONTROL_ONLY,) if limits.negative_control else ()), *(gate.why for gate in warned)),
        error_kind=decisive[0].error_kind if decisive else "",
    )


def _verdict(decisive: Sequence[Gate]) -> str:
    """Return the verdict from the gates that decide."""
    failed = [gate for gate in decisive if gate.verdict == FAIL]
    if any(gate.name in BELIEF for gate in failed):
        return INVALID
    return FAIL if failed else NO_DATA if decisive else PASS


def _all(evidence: Evidence, limits: Limits) -> Iterator[Gate]:
    """Yield all gates; those of the whole soak come first, since they are told first."""
    ended = evidence.lasted_s if math.isfinite(evidence.lasted_s) else 0.0
    chaos, shelf = Chaos(evidence.faults, ended, limits.max_rto_secs), Shelf(evidence.series)
    yield duration(evidence)
    yield from gates_chaos.gates(evidence, limits)
    yield from gates_load.gates(evidence, limits, chaos)
    yield from gates_reports.gates(evidence, limits, chaos, shelf)
    yield from gates_resources.gates(evidence, limits, chaos, shelf)


def duration(evidence: Evidence) -> Gate:
    """Say whether the soak ran for as long as it was to, and ended by itself."""
    planned, lasted, how = evidence.planned_s, evidence.lasted_s, evidence.ended_how
    found = Found(lasted, planned, "s", lasted)
    if not (math.isfinite(planned) and math.isfinite(lasted) and planned > 0):
        return no_data("duration", "soak", f"the soak lasted {lasted!r} s of {planned!r} s planned", Found())
    least = planned - min(EARLY * planned, EARLY_S)
    told = f"the soak lasted {length(lasted)} of {length(planned)}"
    if how != COMPLETE or lasted < least:
        why = f"{told} ({how}): one that was cut short never passes; finish it with 'testcell resume', or run it again"
        return no_data("duration", "soak", why, found, "bench_partial")
    return passed("duration", "soak", told, found)


def check(limits: Limits) -> None:
    """Raise GateError for the first limit that nothing can be held to."""
    if limits.missing not in (WARN, FAIL):
        raise GateError("missing", f"{limits.missing!r} is not known; allowed: {WARN}, {FAIL}")
    for key, value in vars(limits).items():
        if isinstance(value, Mapping):
            for metric, percentiles in value.items():
                _check_percentiles(f"{key}.{metric}", percentiles)
        elif value is not None and key not in ("missing", "chaos", "negative_control"):
            _check_number(key, value)
    if limits.burst_windows is not None and limits.burst_windows < 1:
        raise GateError("burst_windows", f"is {limits.burst_windows!r}; expected at least 1")


def _check_percentiles(key: str, percentiles: Mapping[str, Any]) -> None:
    for name, limit in percentiles.items():
        if histogram.percent(name) is None:
            raise GateError(f"{key}.{name}", "is no percentile; expected p and a number between 0 and 100, such as p95")
        _check_number(f"{key}.{name}", limit)


def _check_number(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise GateError(key, f"is {value!r}; expected a finite number from 0")
