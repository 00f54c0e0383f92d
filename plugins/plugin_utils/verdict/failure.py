# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What went wrong, once and for all: kind, place, owner, evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from . import kinds

MAX_ALSO = 8


@dataclass(frozen=True)
class Failure:
    """One thing that went wrong. step, node and service are "" where none is concerned; at: Unix time in seconds.

    during_fault: the fault that was active on the target, "" where none was; rule: the rule that told the kind by a text.
    """

    error_kind: str
    message: str
    step: str
    node: str
    service: str
    owner: str
    retriable: bool
    evidence: tuple[str, ...]
    at: float
    during_fault: str = ""
    rule: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the failure as plain JSON values."""
        return {**asdict(self), "evidence": list(self.evidence)}


def of(
    kind: str,
    message: str,
    *,
    at: float,
    step: str = "",
    node: str = "",
    service: str = "",
    evidence: Iterable[str] = (),
    retriable: bool | None = None,
) -> Failure:
    """Return a failure of this kind, with owner and retry rule from the table; unknown kinds raise KindError.

    retriable: what this very case allows; only kinds whose rule depends on the case accept another than the table's.
    """
    entry = kinds.get(kind)
    if retriable is not None and retriable != entry.retriable and not entry.depends:
        raise kinds.KindError(f"{entry.name} is {'' if entry.retriable else 'not '}retriable, whatever the case")
    can_help = entry.retriable if retriable is None else retriable
    return Failure(entry.name, message, step, node, service, entry.owner, can_help, tuple(evidence), at)


def from_dict(data: Mapping[str, Any]) -> Failure:
    """Return the failure that as_dict() gave, also one of an earlier version; keys that a failure does not have are left out."""
    known = {field.name: data[field.name] for field in fields(Failure) if field.name in data}
    return Failure(**{**known, "evidence": tuple(known["evidence"])})


def also(root: Failure, failures: Iterable[Failure]) -> list[str]:
    """Return what other nodes said that failed at the same step in the same way, in order of time, in MAX_ALSO lines at most.

    Who mends only what the first of them lacks comes to the next one with each run.
    """
    same = [
        one for one in failures if (one.step, one.error_kind) == (root.step, root.error_kind) and one.node != root.node
    ]
    said = list(
        dict.fromkeys(one.message for one in sorted(same, key=lambda one: one.at) if one.message != root.message)
    )
    more = len(said) - MAX_ALSO
    return said if more <= 0 else [*said[: MAX_ALSO - 1], f"{more + 1} more like these; see the case's warnings"]


def first(failures: Iterable[Failure]) -> Failure | None:
    """Return the earliest failure, the first given of those at the same time: later ones never replace it."""
    return min(failures, key=lambda failure: failure.at, default=None)
