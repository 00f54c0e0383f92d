# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results database as SQLAlchemy sees it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from .tables import TABLES, Column, Table

METADATA = sa.MetaData()
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "id": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "int": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "real": sa.Double(),
    "bool": sa.Boolean(),
    "text": sa.Text(),
}


def _table(table: Table) -> sa.Table:
    parts: list[sa.schema.SchemaItem] = [_column(table, column) for column in table.columns]
    if table.has_id and table.key:
        parts.append(sa.UniqueConstraint(*table.key))
    parts += [sa.Index(name, *columns) for name, columns in table.indexes.items()]
    return sa.Table(table.name, METADATA, *parts)


def _column(table: Table, column: Column) -> sa.Column[Any]:
    refers = [sa.ForeignKey(f"{column.refers}.id", ondelete="CASCADE")] if column.refers else []
    primary = column.kind == "id" or (not table.has_id and column.name in table.key)
    return sa.Column(
        column.name,
        _TYPES[column.kind],
        *refers,
        primary_key=primary,
        autoincrement=column.kind == "id",
        nullable=column.optional,
    )


_BUILT = {name: _table(table) for name, table in TABLES.items()}

runs = _BUILT["runs"]
cases = _BUILT["cases"]
case_labels = _BUILT["case_labels"]
attempts = _BUILT["attempts"]
attempt_nodes = _BUILT["attempt_nodes"]
evidence = _BUILT["evidence"]
metrics = _BUILT["metrics"]
run_nodes = _BUILT["run_nodes"]
events = _BUILT["events"]
expected = _BUILT["expected"]
case_quarantines = _BUILT["case_quarantines"]
attempt_revisions = _BUILT["attempt_revisions"]
scenario_changes = _BUILT["scenario_changes"]
upkeep_rounds = _BUILT["upkeep_rounds"]
upkeep_runs = _BUILT["upkeep_runs"]
upkeep_steps = _BUILT["upkeep_steps"]
