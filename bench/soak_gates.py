# SPDX-License-Identifier: MIT
"""Whether the gates of a soak are right where the truth is known, and whether the cases would see a broken gate: JSON lines.

soak_gates.py [--full] [SEED]: 200 cases, and each fourth mutant of the gates, or all of them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import gates
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.judgement import Evidence, Judgement, Limits
from rig import line
from soak_cases import REFUSED, SERIES, Case, cases
from soak_mutants import Mutant, mutants
from soak_world import LIMITS, World

SEED = 20260101
CASES, EVERY = 200, 4

ALWAYS = {
    "duration",
    "sampling",
    "deaths",
    "restarts",
    "rss_slope",
    "disk_used_slope",
    "reports",
    "lag",
}
WITHOUT_NODES = {"duration", "sampling", "reports", "lag"}
OF_LOAD = {"load", "stall", "failure_ratio", "success", "burst"}
OF_REPORTS = {"invariant", "monotonic"}
OF_FAULTS = {"fault_applied", "fault_reverted", "negative_control", "rto"}

Judge = Callable[[Evidence, Limits], Judgement]


@dataclass(frozen=True)
class Ready:
    """A case with the evidence it leaves."""

    case: Case
    evidence: Evidence


def ready(count: int, seed: int) -> list[Ready]:
    """Return cases with their evidence."""
    return [Ready(case, case.world.evidence()) for case in cases(count, seed)]


def told(judgement: Judgement) -> dict[tuple[str, str], str]:
    """Return what does not pass, as the truth is written: `fail`, or `fail during FAULT` where a fault is named."""
    found: dict[tuple[str, str], str] = {}
    for gate in judgement.gates:
        if gate.verdict not in ("pass", "not_asked"):
            found[gate.name, gate.subject] = gate.verdict + (
                f" during {gate.during_fault}" if gate.during_fault else ""
            )
    return found


def expected(one: Ready) -> set[str]:
    """Return the gates of which something must be said."""
    found = set(ALWAYS if one.case.world.nodes else WITHOUT_NODES)
    if one.case.world.mapped:
        found |= OF_REPORTS
    if ("load_counts", "load") not in one.case.wrong:
        found |= OF_LOAD
    if any(
        fault.outcome == "control" or (fault.outcome == "injected" and fault.applied) for fault in one.case.world.faults
    ):
        found |= OF_FAULTS
    return found


def wrong(one: Ready, judge: Judge) -> str:
    """Return in what a judgement differs from the truth, "" where it is right."""
    judgement = judge(one.evidence, one.case.world.limits)
    found, truth = told(judgement), dict(one.case.wrong)
    words = (judgement.verdict, judgement.metric_gate)
    if words != (one.case.verdict, one.case.metric_gate):
        return f"{one.case.kind} {one.case.seed}: {words}, and the truth is {(one.case.verdict, one.case.metric_gate)}; {found}"
    absent = expected(one) - {gate.name for gate in judgement.gates}
    if absent:
        return f"{one.case.kind} {one.case.seed}: nothing is said of {sorted(absent)}"
    if found != truth:
        more, less = set(found.items()) - set(truth.items()), set(truth.items()) - set(found.items())
        return f"{one.case.kind} {one.case.seed}: {sorted(more)} too much, {sorted(less)} missing"
    return ""


def wrong_series(slope: Callable[..., Any]) -> str:
    """Return the first series whose growth is told wrongly, "" where all are right."""
    for name, (times, values, restarts, holds) in SERIES.items():
        found = slope(times, values, restarts)
        right = found is None if holds is None else found is not None and holds(found.low, found.high)
        if not right:
            return f"{name}: {found}"
    return ""


def wrong_limits(judge: Judge) -> str:
    """Return the first limit that nothing can be held to and that is not refused as it ought to be, "" for none."""
    for changes, message in REFUSED:
        try:
            judge(World(1, 600.0).evidence(), replace(LIMITS, **changes))
        except ValueError as refused:
            if str(refused) == message:
                continue
        return f"{changes}: not refused with {message!r}"
    return ""


class Noticing:
    """Tries the cases on mutants; what has noticed one is tried first on the next of the same module."""

    def __init__(self, prepared: Sequence[Ready]) -> None:
        self._prepared = prepared
        self._orders: dict[str, list[Ready]] = {}

    def notices(self, mutant: Mutant) -> str:
        """Return the first series, limit or case that a mutant gets wrong, "" where none notices it."""
        broken = mutant.gates()
        found = _mistake(wrong_series, broken.slope) or _mistake(wrong_limits, broken.judge)
        order = self._orders.setdefault(mutant.module, list(self._prepared))
        for number, one in enumerate(() if found else order):
            found = _mistake(wrong, one, broken.judge)
            if found:
                order.insert(0, order.pop(number))
                break
        return found


def _mistake(check: Callable[..., str], *what: Any) -> str:
    try:
        return check(*what)
    except Exception as failure:  # a mutant may break in any way, and each is noticed
        return repr(failure)


def figures(prepared: Sequence[Ready], every: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield all figures. every: which of the mutants are tried, such as each fourth."""
    began = time.process_time()
    mistakes = [found for one in prepared if (found := wrong(one, gates.judge))]
    taken = (time.process_time() - began) / len(prepared) * 1000
    right, facts = len(prepared) - len(mistakes), {"seed": seed, "ms_a_case": round(taken, 1), "mistakes": mistakes}
    held = {"target": len(prepared), "holds": not mistakes}
    yield line("G2-right", right, "cases", "cases", len(prepared), **held, **facts)
    tried, noticing = mutants()[::every], Noticing(prepared)
    missed = [str(mutant) for mutant in tried if not noticing.notices(mutant)]
    held = {"target": len(tried), "holds": not missed}
    yield line(
        "G2-mutants", len(tried) - len(missed), "noticed", "mutants", len(tried), **held, seed=seed, missed=missed
    )


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    given = [word for word in sys.argv[1:] if word != "--full"]
    seed = int(given[0]) if given else SEED
    missed = False
    for figure in figures(ready(CASES, seed), 1 if "--full" in sys.argv[1:] else EVERY, seed):
        print(json.dumps(figure), flush=True)
        missed |= figure["holds"] is False
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
