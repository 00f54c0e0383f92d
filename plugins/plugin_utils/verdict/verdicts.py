# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is known to a verdict: of a case, of its attempts together, of a run, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import failure as failures_of
from .failure import Failure
from .normal import Judgement

EXIT_CODES = {"pass": 0, "fail": 1, "invalid": 4, "no_data": 4, "flaky": 4, "error": 5, "cancelled": 130, "skipped": 0}
EXIT_USAGE, EXIT_INPUT, EXIT_GATE, EXIT_LEASE, EXIT_UNCLEAN = 2, 3, 4, 6, 7
SIGNAL_CODES = {"SIGINT": 130, "SIGTERM": 143}

# The gravest verdict of a run's cases is the run's: first what stopped the cell, then what the engine did.
GRAVITY = ("cancelled", "error", "fail", "invalid", "no_data", "flaky", "pass", "skipped")

# These say what the data and the script showed, so they never outrank the data and the script themselves.
CONCLUSIONS = ("test_failed", "bench_failed", "bench_no_data", "bench_partial", "result_invalid")
OWNERS_UNDER_TEST = ("engine", "test")

# Nothing of the engine runs yet in these steps, so what fails there says nothing about it.
STEPS_BEFORE_THE_ENGINE = ("lease", "install", "prep", "upload")


@dataclass(frozen=True)
class CaseVerdict:
    """The verdict of one attempt of a case. failure: the first error, kept; reasons: sentences, the main one first.

    The same failure of other nodes comes next to the main one.
    """

    verdict: str
    control_ok: bool
    result_ok: bool
    failure: Failure | None
    reasons: tuple[str, ...]


def combine(
    *, control_ok: bool, script_exit: int | None, judgement: Judgement | None, failures: Sequence[Failure], at: float
) -> CaseVerdict:
    """Return the verdict of one attempt: a pass needs the cell's work, the script, and data that may be believed.

    script_exit: None when the script did not run or did not end by itself; judgement: None when nothing was collected;
    failures: in any order; at: Unix time for a failure that is only found here.
    """
    root = failures_of.first(f for f in failures if f.error_kind not in CONCLUSIONS)
    if root is not None:
        verdict = of_failure(root)
        reasons = (root.message, *failures_of.also(root, failures), *(judgement.reasons if judgement else ()))
        return CaseVerdict(verdict, control_ok, False, root, reasons)
    if not control_ok:
        found = failures_of.of("internal_error", "a step of the cell failed without naming an error", at=at)
        return CaseVerdict("error", False, False, found, (found.message,))
    return _of_result(script_exit, judgement, failures_of.first(failures), at)


def of_failure(root: Failure) -> str:
    """Return the verdict that follows from a case's first failure, a conclusion excepted."""
    if root.error_kind == "cancelled":
        return "cancelled"
    return "error" if is_of_the_cell(root) else "fail"


def is_of_the_cell(failure: Failure) -> bool:
    """Return whether a failure says something about the cell and its nodes, and nothing about the engine or the test."""
    return failure.owner not in OWNERS_UNDER_TEST or failure.step in STEPS_BEFORE_THE_ENGINE


def _of_result(script_exit: int | None, judgement: Judgement | None, known: Failure | None, at: float) -> CaseVerdict:
    """Return the verdict when the cell did its work: by the data where there is any, else by the script."""
    if judgement is None or (script_exit != 0 and not judgement.measured):
        return _of_script(script_exit, judgement, known, at)
    if judgement.verdict != "pass":
        found = known or failures_of.of(
            judgement.error_kind or "bench_failed", judgement.reasons[0], at=at, step="test"
        )
        return CaseVerdict(judgement.verdict, True, False, found, judgement.reasons)
    if script_exit != 0:
        return _of_script(script_exit, judgement, known, at)
    return CaseVerdict("pass", True, True, None, ())


def _of_script(script_exit: int | None, judgement: Judgement | None, known: Failure | None, at: float) -> CaseVerdict:
    seen = judgement.reasons if judgement else ("nothing was collected from the test",)
    if script_exit in (0, None):
        message = "the test script did not run to its end" if script_exit is None else seen[0]
        found = known or failures_of.of("bench_no_data", message, at=at, step="test")
        return CaseVerdict("no_data", True, False, found, tuple(dict.fromkeys((message, *seen))))
    message = f"the test script ended with exit code {script_exit}, expected 0"
    found = known or failures_of.of("test_failed", message, at=at, step="test")
    return CaseVerdict("fail", True, False, found, (message, *seen))


def settle(attempts: Sequence[str]) -> str:
    """Return the verdict of a case from those of its attempts in order; a pass that needed a second one is flaky."""
    if not attempts:
        return "skipped"
    return "flaky" if attempts[-1] == "pass" and set(attempts) != {"pass"} else attempts[-1]


def of_run(cases: Iterable[str]) -> str:
    """Return the gravest of the cases' verdicts; a run in which nothing ran has no data."""
    present = set(cases) - {"skipped"}
    return next((verdict for verdict in GRAVITY if verdict in present), "no_data")


def exit_code(
    cases: Iterable[str],
    *,
    nodes_clean: bool = True,
    lease_held: bool = False,
    signal: str = "",
    flaky_passes: bool = False,
    gates_alone: bool = False,
) -> int:
    """Return the exit code of a run: signal, lease, dirty nodes, and then the gravest verdict of its cases.

    gates_alone: whatever failed was failed by gates.
    """
    if signal:
        return SIGNAL_CODES.get(signal, 130)
    if lease_held:
        return EXIT_LEASE
    if not nodes_clean:
        return EXIT_UNCLEAN
    verdict = of_run(cases)
    if verdict == "fail" and gates_alone:
        return EXIT_GATE
    return 0 if verdict == "flaky" and flaky_passes else EXIT_CODES[verdict]
