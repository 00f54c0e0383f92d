# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What maintenance remembers: its rounds, runs and decisions, what was tested in an attempt, and when scenarios were changed."""

from __future__ import annotations

from alembic import op
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.columns import number, real, reference, text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("attempts_by_case", "attempts", ["case_id", "ended_at"])
    op.create_table("attempt_revisions", reference("attempt_id", "attempts", primary_key=True), text("revision"))
    op.create_table(
        "scenario_changes",
        text("scenario", primary_key=True),
        text("digest"),
        real("changed_at", nullable=False),
    )
    op.create_table(
        "upkeep_rounds",
        number("id", primary_key=True),
        text("host"),
        text("sort"),
        text("state"),
        real("started_at", nullable=False),
        real("ended_at"),
        text("report"),
    )
    op.create_table(
        "upkeep_runs",
        text("key", primary_key=True),
        reference("round_id", "upkeep_rounds"),
        text("run_id"),
        text("path"),
        text("state"),
        text("avoid"),
        real("started_at", nullable=False),
    )
    op.create_table(
        "upkeep_steps",
        number("id", primary_key=True),
        reference("round_id", "upkeep_rounds"),
        reference("case_id", "cases"),
        text("run_key"),
        text("source"),
        text("action"),
        text("reason"),
        real("cost_s", nullable=False),
        real("decided_at", nullable=False),
    )
    op.create_index("upkeep_steps_by_time", "upkeep_steps", ["decided_at"])
