# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing a results database to the tables of today."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from . import texts
from .errors import StoreError
from .tables import REVISION

SCRIPTS = Path(__file__).parent / "migrations"
# Any number will do that no other program takes; who migrates a server holds it until the end of the transaction.
SERVER_LOCK = 7_463_011


def version(connection: sa.Connection) -> str:
    """Return the migration that a database is of, "" when it is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(sa.text(texts.VERSION)).scalar() or "")


def upgrade(connection: sa.Connection, to: str = REVISION) -> bool:
    """Bring a database to a migration within its transaction, and return whether that changed anything.

    The transaction must keep other writers out: BEGIN IMMEDIATE for a file; a server gets a lock here. StoreError when
    the database is of a version that this program does not know.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": SERVER_LOCK})
    found = version(connection)
    if found == to:
        return False
    from alembic import command  # noqa: PLC0415 - takes a tenth of a second, and a database of today needs none of it
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if found and found not in known:
        raise StoreError(
            "config_invalid", f"the results database is of version {found!r}, newer than this program's {REVISION!r}"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    return True
