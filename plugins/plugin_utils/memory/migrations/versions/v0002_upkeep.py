# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What maintenance remembers: its rounds, runs and decisions, what was tested in an attempt, and when scenarios were changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("attempts_by_case", "attempts", ["case_id", "ended_at"])
    op.create_table("attempt_revisions", _reference("attempt_id", "attempts", primary_key=True), _text("revision"))
    op.create_table(
        "scenario_changes",
        _text("scenario", primary_key=True),
        _text("digest"),
        _real("changed_at", nullable=False),
    )
    op.create_table(
        "upkeep_rounds",
        _number("id", primary_key=True),
        _text("host"),
        _text("sort"),
        _text("state"),
        _real("started_at", nullable=False),
        _real("ended_at"),
        _text("report"),
    )
    op.create_table(
        "upkeep_runs",
        _text("key", primary_key=True),
        _reference("round_id", "upkeep_rounds"),
        _text("run_id"),
        _text("path"),
        _text("state"),
        _text("avoid"),
        _real("started_at", nullable=False),
    )
    op.create_table(
        "upkeep_steps",
        _number("id", primary_key=True),
        _reference("round_id", "upkeep_rounds"),
        _reference("case_id", "cases"),
        _text("run_key"),
        _text("source"),
        _text("action"),
        _text("reason"),
        _real("cost_s", nullable=False),
        _real("decided_at", nullable=False),
    )
    op.create_index("upkeep_steps_by_time", "upkeep_steps", ["decided_at"])


def _number(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, nullable=nullable, primary_key=primary_key, autoincrement=name == "id")


def _reference(name: str, table: str, *, primary_key: bool = False) -> sa.Column[int]:
    kind, target = (
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        sa.ForeignKey(f"{table}.id", ondelete="CASCADE"),
    )
    return sa.Column(name, kind, target, nullable=False, primary_key=primary_key, autoincrement=False)


def _text(name: str, *, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, primary_key=primary_key)


def _real(name: str, *, nullable: bool = True) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=nullable)
