# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of a document that somebody else may have written: each taken by its type, and named by line and key where it is another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..problems import InputError, KeyPath, format_path
from ..verdict.strict_json import FileProblem

LONGEST_SHOWN = 60
MOST_LINES = 20
LONGEST_S = 100 * 366 * 86_400
_LARGEST = (1 << 63) - 1


def clean(value: str) -> str:
    """Return text that every database takes: what is no character, and NUL, spelled out."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")


class Faults(list[FileProblem]):
    """What in a run's files cannot be believed, in the order in which it was found."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[Path, Callable[[KeyPath], int]] = {}
        self._bad_lines: Counter[Path] = Counter()

    def note(self, path: Path, place: KeyPath, message: str) -> None:
        """Add a fault of one key of a JSON file, by its line or that of the nearest key above it."""
        if path not in self._lines:
            self._lines[path] = _lines(path)
        self.append(FileProblem(str(path), self._lines[path](place), format_path(place), message))

    def note_line(self, path: Path, line: int, key: str, message: str) -> None:
        """Add a fault of one line; of a file that is bad throughout the first ones are told."""
        self._bad_lines[path] += 1
        if self._bad_lines[path] <= MOST_LINES:
            self.append(FileProblem(str(path), line, key, message))


def _lines(path: Path) -> Callable[[KeyPath], int]:
    """Return what tells the line of a key; where the reader of places refuses the file, always the line that it names."""
    from ..scenario import strict_json  # noqa: PLC0415 - only a broken file needs it, and every run is recorded
    from ..scenario._source import Limits  # noqa: PLC0415

    # What is larger is told without lines: to find them takes a second for some 4 MiB.
    whole = Limits(max_bytes=1 << 22, max_depth=200, max_values=2_000_000, max_string=1 << 22)
    try:
        document = strict_json.read(path, whole)
    except InputError as exc:
        line = exc.problems[0].line
        return lambda _place: line
    return lambda place: document.key_mark(place)[0]


class Fields:
    """The fields of a mapping. at: where it stands in the file; what is absent or null is None and no fault."""

    def __init__(self, data: Mapping[str, Any], path: Path, problems: Faults, at: KeyPath = ()) -> None:
        self.data = data
        self.path = path
        self.at = at
        self._problems = problems

    def words(self, key: str) -> str | None:
        """Return text, "" too."""
        value = self.data.get(key)
        if value is None:
            return None
        return clean(value) if isinstance(value, str) else self._refused(key, "text")

    def word(self, key: str) -> str | None:
        """Return text that is not empty; also to leave it out is a fault."""
        value = self.data.get(key)
        return clean(value) if isinstance(value, str) and value else self._refused(key, "text")

    def choice(self, key: str, allowed: Sequence[str]) -> str | None:
        """Return one of the words allowed; also to leave it out is a fault."""
        value = self.data.get(key)
        return str(value) if isinstance(value, str) and value in allowed else self._refused(key, " or ".join(allowed))

    def flag(self, key: str) -> bool | None:
        """Return a truth value."""
        value = self.data.get(key)
        return value if value is None or isinstance(value, bool) else self._refused(key, "true or false")

    def count(self, key: str, *, least: int = 0) -> int | None:
        """Return a whole number that is not below least."""
        value = self.data.get(key)
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST
        return value if value is None or good else self._refused(key, f"a whole number from {least}")

    def amount(self, key: str) -> float | None:
        """Return a number that is not negative."""
        value = self.data.get(key)
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
        return value if value is None or good else self._refused(key, "a finite number from 0")

    def seconds(self, key: str) -> float | None:
        """Return how long something took, in seconds that a calendar can be asked for."""
        value = self.amount(key)
        return value if value is None or value <= LONGEST_S else self._refused(key, f"seconds from 0 to {LONGEST_S}")

    def moment(self, key: str) -> float | None:
        """Return an ISO 8601 time as Unix seconds."""
        value = self.data.get(key)
        if value is None or value == "":
            return None
        try:
            return datetime.fromisoformat(value).timestamp()
        except (TypeError, ValueError, OverflowError, OSError):
            self._refused(key, "a time such as 2026-01-31T23:59:59+00:00")
            return None

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a mapping, an empty one where there is none."""
        value = self.data.get(key)
        if value is None or isinstance(value, Mapping):
            return value or {}
        self._refused(key, "a mapping")
        return {}

    def listed(self, key: str) -> list[Mapping[str, Any]] | None:
        """Return a list of mappings, None where there is none; an entry that is none counts as an empty one."""
        value = self.data.get(key)
        if not isinstance(value, list):
            return None if value is None else self._refused(key, "a list")
        return [entry if isinstance(entry, Mapping) else {} for entry in value]

    def refuse(self, key: str, message: str) -> Any:
        """Note a fault of one key, and return None in place of its value."""
        self._problems.note(self.path, (*self.at, key), message)

    def _refused(self, key: str, expected: str) -> Any:
        """Note that a value is another than expected, and return None in its place."""
        if key not in self.data:
            return self.refuse(key, f"is missing; expected {expected}")
        shown = repr(self.data[key])
        cut = shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."
        return self.refuse(key, f"is {cut}; expected {expected}")
