# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The normal form of a benchmark's results, whatever client made them, and the limits they are held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .strict_json import FileProblem


class Limits(Protocol):
    """What a result must keep to be believed. Ratios from 0 to 1; a delay limit of None is not held."""

    @property
    def min_completed_ratio(self) -> float:
        """Return the least share of the wanted requests that must complete, and bring tokens."""

    @property
    def min_tokens(self) -> int:
        """Return the least number of output tokens of the whole run."""

    @property
    def max_schedule_delay_ms_p95(self) -> float | None:
        """Return the most by which the client may be late, in ms, at its 95th percentile."""

    @property
    def max_error_ratio(self) -> float:
        """Return the most of the sent requests that may fail."""

    @property
    def min_rate_ratio(self) -> float:
        """Return the least share of the asked rate that an adaptive rate must reach where the server refuses."""


@dataclass(frozen=True)
class DefaultLimits:
    """The limits of a scenario that names none."""

    min_completed_ratio: float = 1.0
    min_tokens: int = 1
    max_schedule_delay_ms_p95: float | None = 100.0
    max_error_ratio: float = 0.0
    min_rate_ratio: float = 0.9


@dataclass(frozen=True)
class Output:
    """One of the scenario's result paths: how many regular files match it, and their bytes together."""

    path: str
    files: int
    size: int


@dataclass(frozen=True)
class Measured:
    """What a client left, in normal form.

    benchmark: the object of benchmark.json, None when absent or unreadable; requests: the objects of requests.jsonl in
    file order, their places in `lines`; problems: what is wrong with the files themselves; outputs: the result paths.
    """

    client: str
    benchmark: Mapping[str, Any] | None = None
    requests: tuple[Mapping[str, Any], ...] = ()
    lines: tuple[int, ...] = ()
    problems: tuple[FileProblem, ...] = ()
    outputs: tuple[Output, ...] = field(default=())


@dataclass(frozen=True)
class Check:
    """One question about a result: its name, the value found, the limit it is held to, and a sentence for people.

    note: the sentence is told with the reasons of the verdict although the check holds.
    """

    name: str
    ok: bool
    value: Any
    limit: Any
    message: str
    note: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the check as plain JSON values."""
        return {"name": self.name, "ok": self.ok, "value": self.value, "limit": self.limit, "message": self.message}


@dataclass(frozen=True)
class Judgement:
    """Whether a result counts. verdict: pass, invalid or no_data; reasons: the sentences of the checks that failed.

    error_kind: the taxonomy's kind of the first reason, "" for a pass; measured: the client did leave data of this run;
    notes: what must be said of a result that may be believed.
    """

    verdict: str
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    error_kind: str = ""
    measured: bool = True
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the judgement as plain JSON values."""
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "checks": [check.as_dict() for check in self.checks],
            "error_kind": self.error_kind,
        }
