# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what a file may hold, in a few words, and checks a document against it; every problem comes at once.

    SPEC = Mapping({
        "name": Key(Name(), required=True),
        "timeout": Key(Int(1, 604_800, unit="seconds"), default=2400),
        "tags": Key(Seq(Str()), default=[]),
        "test_execution": Key(Mapping({"node": Str(), "mode": Choice("basic", "standard")}), default={}),
        "env": MapOf(Str(empty=True)),                 # a spec alone stands for Key(spec): optional, no default
        "depends_on": OneOf(Seq(Name()), MapOf(Free())),
    })
    checked = load(Path("metadata.yml"), SPEC)         # raises InputError with all problems
    checked.data["timeout"]                            # plain data, defaults filled; absent keys stay absent
    checked.given(("timeout",))                        # False when the default was filled in
    checked.document.problem(("test_execution", "node"), "no such node", got=describe("node9"))

`check(document, SPEC)` does not raise: add problems of your own to `checked.problems` and pass all to
`problems.raise_if_errors`. A value that is wrong is left out of `data` (or its default stands there), so later checks
can go on. `fill=False` fills in no defaults, for layers that are merged afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..problems import InputError, KeyPath, Problem, listing
from ._containers import MapOf, Mapping, OneOf, Seq
from ._specs import MISSING, Bool, Choice, Float, Free, Int, Key, Name, Spec, Str, Walk
from .strict_yaml import Document, Limits, read

__all__ = [
    "MISSING",
    "Bool",
    "Checked",
    "Choice",
    "Float",
    "Free",
    "Int",
    "Key",
    "MapOf",
    "Mapping",
    "Name",
    "OneOf",
    "Seq",
    "Spec",
    "Str",
    "check",
    "load",
]


@dataclass(frozen=True)
class Checked:
    """What a check found: plain data with defaults, the problems (errors and warnings), and the document's marks."""

    data: Any
    problems: tuple[Problem, ...]
    document: Document

    def given(self, path: KeyPath) -> bool:
        """Tell whether the file itself holds a value at the path."""
        return self.document.has(path)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems for which the file must be refused."""
        return tuple(problem for problem in self.problems if problem.is_error)


def load(path: Path, spec: Mapping, limits: Limits = Limits(), *, root: Path | None = None) -> Checked:  # noqa: B008
    """Return the checked file, or raise InputError with all its problems; warnings stay in the result."""
    checked = check(read(path, limits, root=root), spec)
    if checked.errors:
        raise InputError(checked.problems)
    return checked


def check(document: Document, spec: Mapping, *, fill: bool = True) -> Checked:
    """Return data and problems of a document, the reader's problems included. fill: put defaults in."""
    walk = Walk(document, spec, fill)
    if document.empty:
        required = [name for name, key in spec.keyed().items() if key.required]
        wanted = f"; required keys: {listing(required)}" if required else ""
        walk.problems.append(Problem(document.file, message=f"the file is empty{wanted}"))
        return Checked({}, (*document.problems, *walk.problems), document)
    data = walk.value((), spec)
    return Checked({} if data is MISSING else data, (*document.problems, *walk.problems), document)
