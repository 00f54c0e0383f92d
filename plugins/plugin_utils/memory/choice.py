# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which cases a person means: `model=gpt-4o task_type=code`, or a value alone, `gpt-4o-mini`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..problems import InputError, Problem, nearest, show
from .facts import Case


@dataclass(frozen=True)
class Choice:
    """What was asked for. labels: label -> values of which a case needs one; words: each is a value, a scenario or a case."""

    labels: dict[str, tuple[str, ...]]
    words: tuple[str, ...] = ()

    def takes(self, case: Case) -> bool:
        """Return whether a case is meant: by every label, and by one of the words where there are any."""
        fits = all(_value(case, label) in values for label, values in self.labels.items())
        return fits and (not self.words or any(word in _names(case) for word in self.words))


def parse(words: Sequence[str]) -> Choice:
    """Return what the words ask for; the same label twice means one value or the other."""
    labels: dict[str, tuple[str, ...]] = {}
    plain = []
    for word in words:
        label, equals, value = word.partition("=")
        if equals:
            labels[label] = (*labels.get(label, ()), value)
        else:
            plain.append(word)
    return Choice(labels, tuple(plain))


def chosen(cases: Iterable[Case], choice: Choice) -> list[Case]:
    """Return the cases that are meant; InputError with the nearest known word where there is none."""
    known = list(cases)
    found = [case for case in known if choice.takes(case)]
    if not found and (choice.labels or choice.words):
        raise InputError(_unknown(known, choice), usage=True)
    return found


def _unknown(known: Sequence[Case], choice: Choice) -> list[Problem]:
    names = {name for case in known for name in _names(case)}
    found = []
    for word in choice.words:
        if word not in names:
            found.append(_problem(word, nearest(word, names, cutoff=0.5)))
    for label, values in choice.labels.items():
        there = {_value(case, label) for case in known} - {""}
        if not there:
            labels = {name for case in known for name in case.labels}
            found.append(_problem(f"{label}=", nearest(label, labels, cutoff=0.5)))
        found += [
            _problem(f"{label}={value}", nearest(value, there, cutoff=0.5)) for value in values if value not in there
        ]
    return found or [Problem("command line", key="LABELS", message="no case has all of these labels")]


def _problem(word: str, near: str) -> Problem:
    return Problem("command line", key="LABELS", message=f"no case is meant by {show(word)}", suggestion=near)


def _value(case: Case, label: str) -> str:
    return case.labels.get(label) or {"scenario": case.scenario, "case": case.name}.get(label, "")


def _names(case: Case) -> set[str]:
    return {case.scenario, case.title, *([case.name] if case.name else []), *case.labels.values()}
