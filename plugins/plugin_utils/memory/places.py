# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the results database is: a file beside the runs unless a URL says otherwise. Passwords are never shown."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .errors import StoreError

NAME = "testcell.db"
VARIABLE = "TESTCELL_DATABASE_URL"
SQLITE, POSTGRESQL = "sqlite", "postgresql"


@dataclass(frozen=True)
class Place:
    """A database. file: of SQLite, None on a server; url: of a server for SQLAlchemy, with its password."""

    dialect: str
    file: Path | None
    url: str = field(repr=False)

    @property
    def shown(self) -> str:
        """Return the place as it may be printed."""
        if self.file is not None:
            return str(self.file)
        parts = urlsplit(self.url)
        return f"{self.dialect}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def place(url: str, results_dir: Path) -> Place:
    """Return the database of a URL; "" is the file beside the runs. StoreError for what is no URL of a known database."""
    if not url:
        return of_file(results_dir.absolute() / NAME)
    scheme = url.partition("://")[0]
    dialect = scheme.partition("+")[0]
    if "://" not in url or dialect not in (SQLITE, POSTGRESQL):
        known = f"{SQLITE}:///FILE, {POSTGRESQL}://USER@HOST/NAME"
        raise StoreError("config_invalid", f"database_url is of no known form; known: {known}")
    if dialect == SQLITE:
        return _file(url.partition("://")[2])
    try:
        urlsplit(url).port  # noqa: B018 - only looking at it tells whether it is a number
    except ValueError:
        raise StoreError("config_invalid", "database_url has a port that is no number") from None
    driver = url.partition("://")[2]
    return Place(dialect, None, f"postgresql+psycopg://{driver}" if scheme == dialect else url)


def of_file(file: Path) -> Place:
    """Return the database in a file of SQLite; file is absolute. What SQLite keeps beside it lies where a link leads."""
    return Place(SQLITE, Path(os.path.realpath(file)) if file.is_symlink() else file, "")


def _file(rest: str) -> Place:
    """Return the database of what follows `sqlite://`: a third slash, then a path that may be absolute."""
    path = unquote(rest.partition("?")[0].removeprefix("/"))
    if not rest.startswith("/") or not path or path.startswith(":memory:"):
        raise StoreError("config_invalid", "database_url names no file; a file is sqlite:////absolute/path")
    return of_file(Path(path).absolute())
