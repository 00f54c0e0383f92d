# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first tables: runs, cases with labels, attempts with figures and evidence, nodes, events, what is expected, quarantines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.columns import (
    flag,
    number,
    real,
    reference,
    text,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        number("id", primary_key=True),
        text("key"),
        text("run_id"),
        text("host"),
        text("path"),
        text("state"),
        text("verdict"),
        number("exit_code", nullable=True),
        flag("control_ok"),
        real("started_at"),
        real("ended_at"),
        real("seconds"),
        text("digest"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("runs_by_start", "runs", ["started_at"])
    _cases()
    _attempts()
    op.create_table(
        "run_nodes",
        reference("run_id", "runs", primary_key=True),
        text("node", primary_key=True),
        flag("clean"),
        text("facts"),
    )
    op.create_table(
        "events",
        number("id", primary_key=True),
        reference("run_id", "runs"),
        real("t", nullable=False),
        text("event"),
        text("host"),
        text("task"),
        text("status"),
        real("seconds"),
        text("error_kind"),
    )
    op.create_index("events_by_run", "events", ["run_id"])


def _cases() -> None:
    op.create_table(
        "cases",
        number("id", primary_key=True),
        text("scenario"),
        text("name"),
        text("labels"),
        sa.UniqueConstraint("scenario", "name"),
    )
    op.create_table(
        "case_labels",
        reference("case_id", "cases", primary_key=True),
        text("key", primary_key=True),
        text("value"),
    )
    op.create_index("case_labels_by_value", "case_labels", ["key", "value"])
    op.create_table(
        "expected",
        reference("case_id", "cases", primary_key=True),
        number("wanted"),
        real("since", nullable=False),
    )
    op.create_table(
        "case_quarantines",
        number("id", primary_key=True),
        reference("case_id", "cases"),
        text("owner"),
        text("reason"),
        real("since", nullable=False),
        real("until"),
        real("lifted_at"),
    )
    op.create_index("case_quarantines_by_case", "case_quarantines", ["case_id"])


def _attempts() -> None:
    op.create_table(
        "attempts",
        number("id", primary_key=True),
        reference("run_id", "runs"),
        reference("case_id", "cases"),
        number("attempt"),
        text("verdict"),
        flag("control_ok"),
        flag("result_ok"),
        text("error_kind"),
        text("owner"),
        flag("retriable"),
        text("step"),
        text("node"),
        text("service"),
        text("message"),
        text("rule"),
        flag("during_fault"),
        real("started_at"),
        real("ended_at"),
        real("seconds"),
        text("path"),
        sa.UniqueConstraint("run_id", "case_id", "attempt"),
    )
    outcome = ["case_id", "verdict", "error_kind", "owner", "node", "ended_at", "attempt"]
    op.create_index("attempts_by_outcome", "attempts", outcome)
    op.create_index("attempts_by_end", "attempts", ["ended_at"])
    op.create_table(
        "attempt_nodes",
        reference("attempt_id", "attempts", primary_key=True),
        text("node", primary_key=True),
    )
    op.create_table(
        "evidence",
        reference("attempt_id", "attempts", primary_key=True),
        number("n", primary_key=True),
        text("line"),
    )
    op.create_table(
        "metrics",
        reference("attempt_id", "attempts", primary_key=True),
        text("name", primary_key=True),
        real("value", nullable=False),
        text("unit"),
    )
