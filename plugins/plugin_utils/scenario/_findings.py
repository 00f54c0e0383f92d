# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gathers what several checks find about one document."""

from __future__ import annotations

from typing import Any

from ..problems import KeyPath, Problem, in_order
from .strict_yaml import Document


class Findings:
    """The problems of one document. gaps: those of missing variables, which make others at the same key pointless."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.gaps: list[Problem] = []

    def bad(self, path: KeyPath, message: str, **details: Any) -> None:
        """Report an error at the path; details: got, allowed, suggestion, at, severity."""
        self.problems.append(self.document.problem(path, message, **details))

    def warn(self, path: KeyPath, message: str, **details: Any) -> None:
        """Report a warning at the key of the path."""
        self.bad(path, message, severity="warning", at="key", **details)

    def note(self, path: KeyPath, message: str) -> None:
        """Report a note at the key of the path."""
        self.bad(path, message, severity="note", at="key")

    def gap(self, path: KeyPath, message: str) -> None:
        """Report a value that cannot be known because a variable is missing."""
        self.gaps.append(self.document.problem(path, message))

    def all(self) -> tuple[Problem, ...]:
        """Return the problems in order, without those that only follow from a gap at the same key."""
        keys = {problem.key for problem in self.gaps}
        return in_order([*self.gaps, *(problem for problem in self.problems if problem.key not in keys)])
