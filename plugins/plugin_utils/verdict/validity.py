# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a benchmark's result may be believed: it ran, made tokens, is whole and ours, and its client was not slow.

The verdict is `no_data` when there is nothing to judge (no file of this attempt, no answer, no token), `invalid` when
there is something that may not be believed, and `pass` when every check holds. Nothing is taken from the summary
alone: each count and figure is computed again from the request records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...module_utils.cellload.files import BENCHMARK, REQUESTS
from . import load_checks
from .belonging import Stamp, freshness, identity, stamp_of
from .normal import Check, Judgement, Limits, Measured
from .records import problems_of
from .strict_json import FileProblem
from .summary_check import differences, shape_problems

ERROR_KINDS = {
    "files": "result_invalid",
    "consistent": "result_invalid",
    "identity": "result_invalid",
    "tokens": "bench_no_data",
}
ERROR_KINDS.update({"rate": "overloaded", "schedule_delay": "bench_failed", "client_lag": "bench_failed"})


def judge(
    benchmark: Mapping[str, Any] | None,
    requests: Iterable[Mapping[str, Any]],
    spec: Limits,
    *,
    run_id: str,
    case: str,
    attempt: int,
    wanted: int | None = None,
    not_before: float | None = None,
    problems: Sequence[FileProblem] = (),
    lines: Sequence[int] = (),
) -> Judgement:
    """Decide whether a result in normal form counts for this attempt of this case.

    wanted: the number of requests the scenario asks for, beside the one the client says; not_before: Unix time before
    which a result is an old one; problems: what the reader found wrong with the files; lines: the records' places.
    """
    records = list(requests)
    if benchmark is None:
        return decide([_broken_files(problems)], "invalid") if problems else _unfinished(len(records))
    ours = Stamp(run_id, case, attempt)
    checks = [identity(benchmark, records, ours)]
    checks += [freshness(benchmark, not_before)] if not_before is not None else []
    if not all(check.ok for check in checks):
        mixed = stamp_of(benchmark) == ours and not checks[0].ok
        return decide(checks, "invalid" if mixed else "no_data", measured=mixed)
    found = [*problems, *problems_of(records, lines or range(1, len(records) + 1)), *shape_problems(benchmark)]
    checks.append(_broken_files(found))
    if found:
        return decide(checks, "invalid")
    checks.append(_consistent(differences(benchmark, records)))
    if not checks[-1].ok:
        return decide(checks, "invalid")
    counts = load_checks.tally(records)
    checks += load_checks.answers(benchmark, counts, spec, wanted)
    checks += load_checks.throttling(benchmark, records, spec)
    checks += load_checks.client(benchmark, records, spec) if records else []
    return decide(checks, "no_data" if counts.empty else "invalid")


def judge_outputs(measured: Measured, script_exit: int | None) -> Judgement:
    """Decide about a test without a benchmark: the script must end with 0, and every result path must hold data."""
    code = "did not end by itself" if script_exit is None else f"ended with exit code {script_exit}"
    checks = [Check("script", script_exit == 0, script_exit, 0, f"the test script {code}, expected 0")]
    for output in measured.outputs:
        holds = f"{output.files} files with {output.size} bytes"
        message = f"result path {output.path!r} holds {holds}, expected at least 1 byte"
        checks.append(Check("output", output.size > 0, output.size, 1, message))
    if not measured.outputs:
        checks.append(Check("output", False, 0, 1, "no result path is named that could show a result"))
    return decide(checks, "no_data", measured=script_exit == 0)


def decide(checks: Sequence[Check], otherwise: str, measured: bool = True) -> Judgement:
    """Return a pass when every check holds, else the other verdict with the sentences of those that do not."""
    failed = [check for check in checks if not check.ok]
    notes = tuple(check.message for check in checks if check.ok and check.note)
    if not failed:
        return Judgement("pass", (), tuple(checks), "", measured, notes)
    kind = "bench_no_data" if otherwise == "no_data" else ERROR_KINDS.get(failed[0].name, "bench_partial")
    return Judgement(otherwise, tuple(check.message for check in failed), tuple(checks), kind, measured, notes)


def _unfinished(count: int) -> Judgement:
    if count:
        message = f"{BENCHMARK} is missing and {REQUESTS} holds {count} requests: the load client was stopped half-way"
    else:
        message = f"{BENCHMARK} and {REQUESTS} are missing or empty: no load was run, or its results were not collected"
    return decide([Check("files", False, 0, 1, message)], "no_data", measured=count > 0)


def _broken_files(found: Sequence[FileProblem]) -> Check:
    message = "; ".join(problem.render() for problem in found) or "every file and line is whole and well-formed"
    return Check("files", not found, len(found), 0, message)


def _consistent(found: Sequence[FileProblem]) -> Check:
    message = (
        "; ".join(problem.render() for problem in found) or "the summary's figures follow from the request records"
    )
    return Check("consistent", not found, len(found), 0, message)
