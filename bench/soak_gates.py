# SPDX-License-Identifier: MIT
"""Whether the gates of a soak are right where the truth is known, and whether the cases would see a broken gate: JSON lines.

soak_gates.py [--short] [SEED]: 200 cases, and every mutant of the gates; the short form tries a part of both.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import gates
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.judgement import Evidence, Judgement, Limits
from rig import line
from soak_cases import Case, cases
from soak_mutants import Mutant, mutants

SEED = 20260101
CASES, SHORT = 200, 10

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


def wrong(one: Ready, judge: Judge) -> str:
    """Return in what a judgement differs from the truth, "" where it is right."""
    judgement = judge(one.evidence, one.case.world.limits)
    found, truth = told(judgement), dict(one.case.wrong)
    words = (judgement.verdict, judgement.metric_gate)
    if words != (one.case.verdict, one.case.metric_gate):
        return f"{one.case.kind} {one.case.seed}: {words}, and the truth is {(one.case.verdict, one.case.metric_gate)}; {found}"
    if found != truth:
        more, less = set(found.items()) - set(truth.items()), set(truth.items()) - set(found.items())
        return f"{one.case.kind} {one.case.seed}: {sorted(more)} too much, {sorted(less)} missing"
    return ""


def notices(mutant: Mutant, prepared: Sequence[Ready]) -> str:
    """Return the first case that a mutant gets wrong, "" where none notices it."""
    try:
        judge = mutant.judge()
        return next(filter(None, (wrong(one, judge) for one in prepared)), "")
    except Exception as failure:  # a mutant may break in any way, and each is noticed
        return repr(failure)


def figures(short: bool, seed: int) -> Iterator[dict[str, Any]]:
    """Yield all figures."""
    prepared = ready(CASES, seed)
    chosen = prepared[::SHORT] if short else prepared
    began = time.process_time()
    mistakes = [found for one in chosen if (found := wrong(one, gates.judge))]
    taken = (time.process_time() - began) / len(chosen) * 1000
    right = len(chosen) - len(mistakes)
    facts = {
        "target": len(chosen),
        "holds": not mistakes,
        "seed": seed,
        "ms_a_case": round(taken, 1),
        "mistakes": mistakes,
    }
    yield line("G2-right", right, "cases", "cases", len(chosen), **facts)
    made = mutants()[:: SHORT if short else 1]
    missed = [str(mutant) for mutant in made if not notices(mutant, prepared)]
    facts = {"target": len(made), "holds": not missed, "seed": seed, "missed": missed}
    yield line("G2-mutants-noticed", len(made) - len(missed), "mutants", "mutants", len(made), **facts)


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    given = [word for word in sys.argv[1:] if word != "--short"]
    failed = False
    for figure in figures("--short" in sys.argv[1:], int(given[0]) if given else SEED):
        print(json.dumps(figure), flush=True)
        failed |= figure["holds"] is False
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
