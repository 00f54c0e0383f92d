# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Columns as migrations make them: the same for SQLite and PostgreSQL, and never null unless that is said."""

from __future__ import annotations

import sqlalchemy as sa


def number(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[int]:
    """Return a column of whole numbers; one named id numbers its rows."""
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, nullable=nullable, primary_key=primary_key, autoincrement=name == "id")


def reference(name: str, table: str, *, primary_key: bool = False) -> sa.Column[int]:
    """Return a column that names the row of another table, with which its own row goes."""
    kind, target = (
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        sa.ForeignKey(f"{table}.id", ondelete="CASCADE"),
    )
    return sa.Column(name, kind, target, nullable=False, primary_key=primary_key, autoincrement=False)


def text(name: str, *, primary_key: bool = False) -> sa.Column[str]:
    """Return a column of text."""
    return sa.Column(name, sa.Text(), nullable=False, primary_key=primary_key)


def real(name: str, *, nullable: bool = True) -> sa.Column[float]:
    """Return a column of numbers."""
    return sa.Column(name, sa.Double(), nullable=nullable)


def flag(name: str) -> sa.Column[bool]:
    """Return a column of yes, no, or nothing."""
    return sa.Column(name, sa.Boolean(), nullable=True)
