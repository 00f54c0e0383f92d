# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One setting of one layer: the value and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..problems import KeyPath, Problem, Severity, format_path
from .model import Origin
from .plain_secrets import displayed

BUILT_IN: Final = "built-in"
GLOBAL: Final = "global"
SCENARIO: Final = "scenario"
OVERRIDE: Final = "override"
ORDER: Final = (BUILT_IN, GLOBAL, SCENARIO, OVERRIDE)


@dataclass(frozen=True)
class Setting:
    """A value with its layer and place. file is "" for a built-in value.

    items: the places of a list's items. written: the path of its key in that file, where it differs from the setting's
    own (in a scenario some sections stand below `deployment`). below: the setting that this one hides, if any.
    """

    value: Any
    layer: str
    file: str = ""
    line: int = 0
    column: int = 0
    items: tuple[tuple[int, int], ...] = ()
    written: KeyPath = ()
    below: Setting | None = None

    def problem(
        self, path: KeyPath, message: str, *, got: str = "", allowed: str = "", severity: Severity = "error"
    ) -> Problem:
        """Return a problem that stands where this value does. path: of the setting, or of something in it."""
        place = (self.file or "built-in values", self.line, self.column)
        return Problem(*place, format_path(self.written or path), message, got, allowed, severity=severity)

    def origin(self, path: KeyPath) -> Origin:
        """Return the value (a secret's place only), where it comes from, and what it hides."""
        key = format_path(path)
        hidden = tuple(Origin(key, displayed(path, s.value), s.layer, s.file, s.line) for s in self._hidden())
        return Origin(key, displayed(path, self.value), self.layer, self.file, self.line, hidden)

    def _hidden(self) -> Iterator[Setting]:
        """Yield what this setting hides, the nearest layer first."""
        if self.below is not None:
            yield self.below
            yield from self.below._hidden()


Settings = Mapping[KeyPath, Setting]


def lay_over(upper: Settings, lower: Settings) -> dict[KeyPath, Setting]:
    """Return the settings of both; where both have one the upper one counts and remembers the lower one."""
    hiding = {path: replace(one, below=lower[path]) for path, one in upper.items() if path in lower}
    return {**lower, **upper, **hiding}
