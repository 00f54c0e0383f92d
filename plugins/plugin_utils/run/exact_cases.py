# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Some of the cases of a run's scenarios: by name, by scenario and name, or by labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..problems import InputError, Problem, listing, nearest, show
from ..scenario import matrix
from ..scenario.model import Scenario


def of(
    asked: Sequence[str],
    scenarios: Sequence[Scenario],
    expand: Callable[[Scenario], Sequence[matrix.Case]] = matrix.expand,
) -> Callable[[matrix.Case], bool]:
    """Return which cases are asked for: those that are named, or that have every label; all where nothing is asked.

    asked: each `SCENARIO/CASE`, `SCENARIO`, `CASE` or `LABEL=VALUE`; a label given twice may have either value. InputError,
    as wrong usage, names every word that no case of the scenarios goes by, and says so when none is left. expand: what the
    cases of a scenario are.
    """
    cases = [case for scenario in scenarios for case in expand(scenario)]
    problems = [_unknown(word, cases) for word in asked if not any(_goes_by(case, word) for case in cases)]
    if not problems and not any(_wanted(case, asked) for case in cases):
        problems = [Problem("command line", key="cases", message=f"no case is left by {listing(asked)}")]
    if problems:
        raise InputError(problems, usage=True)
    return lambda case: _wanted(case, asked)


def _wanted(case: matrix.Case, asked: Sequence[str]) -> bool:
    names = [word for word in asked if "=" not in word]
    labels = {word.partition("=")[0] for word in asked if "=" in word}
    by_label = all(any(_goes_by(case, w) for w in asked if w.partition("=")[0] == label) for label in labels)
    return by_label and (not names or any(_goes_by(case, word) for word in names))


def _goes_by(case: matrix.Case, word: str) -> bool:
    label, equals, value = word.partition("=")
    return case.labels.get(label) == value if equals else word in _names(case)


def _names(case: matrix.Case) -> tuple[str, ...]:
    return (case.scenario, *((case.id, f"{case.scenario}/{case.id}") if case.id else ()))


def _unknown(word: str, cases: Sequence[matrix.Case]) -> Problem:
    labels = [f"{label}={value}" for case in cases for label, value in case.labels.items()]
    known = labels if "=" in word else [name for case in cases for name in _names(case)]
    near = nearest(word, dict.fromkeys(known), cutoff=0.5)
    return Problem("command line", key="cases", message=f"no case goes by {show(word)}", suggestion=near)
