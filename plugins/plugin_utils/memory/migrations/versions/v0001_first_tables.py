# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first tables: runs, cases with labels, attempts with figures and evidence, nodes, events, what is expected, quarantines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        _number("id", primary_key=True),
        _text("key"),
        _text("run_id"),
        _text("host"),
        _text("path"),
        _text("state"),
        _text("verdict"),
        _number("exit_code", nullable=True),
        _flag("control_ok"),
        _real("started_at"),
        _real("ended_at"),
        _real("seconds"),
        _text("digest"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("runs_by_start", "runs", ["started_at"])
    _cases()
    _attempts()
    op.create_table(
        "run_nodes",
        _reference("run_id", "runs", primary_key=True),
        _text("node", primary_key=True),
        _flag("clean"),
        _text("facts"),
    )
    op.create_table(
        "events",
        _number("id", primary_key=True),
        _reference("run_id", "runs"),
        _real("t", nullable=False),
        _text("event"),
        _text("host"),
        _text("task"),
        _text("status"),
        _real("seconds"),
        _text("error_kind"),
    )
    op.create_index("events_by_run", "events", ["run_id"])


def _cases() -> None:
    op.create_table(
        "cases",
        _number("id", primary_key=True),
        _text("scenario"),
        _text("name"),
        _text("labels"),
        sa.UniqueConstraint("scenario", "name"),
    )
    op.create_table(
        "case_labels",
        _reference("case_id", "cases", primary_key=True),
        _text("key", primary_key=True),
        _text("value"),
    )
    op.create_index("case_labels_by_value", "case_labels", ["key", "value"])
    op.create_table(
        "expected",
        _reference("case_id", "cases", primary_key=True),
        _number("wanted"),
        _real("since", nullable=False),
    )
    op.create_table(
        "case_quarantines",
        _number("id", primary_key=True),
        _reference("case_id", "cases"),
        _text("owner"),
        _text("reason"),
        _real("since", nullable=False),
        _real("until"),
        _real("lifted_at"),
    )
    op.create_index("case_quarantines_by_case", "case_quarantines", ["case_id"])


def _attempts() -> None:
    op.create_table(
        "attempts",
        _number("id", primary_key=True),
        _reference("run_id", "runs"),
        _reference("case_id", "cases"),
        _number("attempt"),
        _text("verdict"),
        _flag("control_ok"),
        _flag("result_ok"),
        _text("error_kind"),
        _text("owner"),
        _flag("retriable"),
        _text("step"),
        _text("node"),
        _text("service"),
        _text("message"),
        _text("rule"),
        _flag("during_fault"),
        _real("started_at"),
        _real("ended_at"),
        _real("seconds"),
        _text("path"),
        sa.UniqueConstraint("run_id", "case_id", "attempt"),
    )
    outcome = ["case_id", "verdict", "error_kind", "owner", "node", "ended_at", "attempt"]
    op.create_index("attempts_by_outcome", "attempts", outcome)
    op.create_index("attempts_by_end", "attempts", ["ended_at"])
    op.create_table(
        "attempt_nodes",
        _reference("attempt_id", "attempts", primary_key=True),
        _text("node", primary_key=True),
    )
    op.create_table(
        "evidence",
        _reference("attempt_id", "attempts", primary_key=True),
        _number("n", primary_key=True),
        _text("line"),
    )
    op.create_table(
        "metrics",
        _reference("attempt_id", "attempts", primary_key=True),
        _text("name", primary_key=True),
        _real("value", nullable=False),
        _text("unit"),
    )


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


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=True)
