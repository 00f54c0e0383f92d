# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of the results database as data: what the schema, the migrations' test and the plain SQL texts are made from.

Standard library only: a run is recorded by Ansible's own process, which must not import SQLAlchemy for it.
Times are Unix seconds. Text is "" where there is none, other columns are NULL where nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# The migration that these tables are the outcome of.
REVISION = "0002"
KINDS = ("id", "int", "real", "bool", "text")


class Column(NamedTuple):
    """One column. kind: of KINDS; refers: the table whose id it holds, "" where it holds none."""

    name: str
    kind: str
    optional: bool
    refers: str


class Table(NamedTuple):
    """One table. key: what names a row; it is the primary key where there is no column `id`, else unique, or () for neither."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: Mapping[str, tuple[str, ...]]

    @property
    def has_id(self) -> bool:
        """Return whether rows are numbered."""
        return self.columns[0].kind == "id"

    @property
    def given(self) -> tuple[str, ...]:
        """Return the columns that a writer gives: all but the number."""
        return tuple(column.name for column in self.columns if column.kind != "id")


# "name:kind ...", a question mark where NULL is allowed; a table's name as the kind is a reference to its id.
_COLUMNS: Mapping[str, str] = {
    "runs": "id:id key:text run_id:text host:text path:text state:text verdict:text exit_code:int? control_ok:bool? "
    "started_at:real? ended_at:real? seconds:real? digest:text",
    "cases": "id:id scenario:text name:text labels:text",
    "case_labels": "case_id:cases key:text value:text",
    "attempts": "id:id run_id:runs case_id:cases attempt:int verdict:text control_ok:bool? result_ok:bool? error_kind:text "
    "owner:text retriable:bool? step:text node:text service:text message:text rule:text during_fault:bool? "
    "started_at:real? ended_at:real? seconds:real? path:text",
    "attempt_nodes": "attempt_id:attempts node:text",
    "evidence": "attempt_id:attempts n:int line:text",
    "metrics": "attempt_id:attempts name:text value:real unit:text",
    "run_nodes": "run_id:runs node:text clean:bool? facts:text",
    "events": "id:id run_id:runs t:real event:text host:text task:text status:text seconds:real? error_kind:text",
    "expected": "case_id:cases wanted:int since:real",
    "case_quarantines": "id:id case_id:cases owner:text reason:text since:real until:real? lifted_at:real?",
    "attempt_revisions": "attempt_id:attempts revision:text",
    "scenario_changes": "scenario:text digest:text changed_at:real",
    "upkeep_rounds": "id:id host:text sort:text state:text started_at:real ended_at:real? report:text",
    "upkeep_runs": "key:text round_id:upkeep_rounds run_id:text path:text state:text avoid:text started_at:real",
    "upkeep_steps": "id:id round_id:upkeep_rounds case_id:cases run_key:text source:text action:text reason:text "
    "cost_s:real decided_at:real",
}
_KEYS: Mapping[str, tuple[str, ...]] = {
    "runs": ("key",),
    "cases": ("scenario", "name"),
    "case_labels": ("case_id", "key"),
    "attempts": ("run_id", "case_id", "attempt"),
    "attempt_nodes": ("attempt_id", "node"),
    "evidence": ("attempt_id", "n"),
    "metrics": ("attempt_id", "name"),
    "run_nodes": ("run_id", "node"),
    "expected": ("case_id",),
    "attempt_revisions": ("attempt_id",),
    "scenario_changes": ("scenario",),
    "upkeep_runs": ("key",),
}
# The first index of attempts answers every question of the analysis by itself: the table is not read for it.
_INDEXES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "runs": {"runs_by_start": ("started_at",)},
    "case_labels": {"case_labels_by_value": ("key", "value")},
    "attempts": {
        "attempts_by_outcome": ("case_id", "verdict", "error_kind", "owner", "node", "ended_at", "attempt"),
        "attempts_by_end": ("ended_at",),
        "attempts_by_case": ("case_id", "ended_at"),
    },
    "events": {"events_by_run": ("run_id",)},
    "case_quarantines": {"case_quarantines_by_case": ("case_id",)},
    "upkeep_steps": {"upkeep_steps_by_time": ("decided_at",)},
}


def _column(text: str) -> Column:
    name, _, kind = text.partition(":")
    plain = kind.rstrip("?")
    return Column(name, plain if plain in KINDS else "int", kind.endswith("?"), "" if plain in KINDS else plain)


TABLES: Mapping[str, Table] = {
    name: Table(name, tuple(map(_column, text.split())), _KEYS.get(name, ()), _INDEXES.get(name, {}))
    for name, text in _COLUMNS.items()
}
