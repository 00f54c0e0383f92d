# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is raised when the results database cannot be used, and how the errors of its drivers are read."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import Any

from ..run import limits, reserve

OF_THE_MACHINE = ("disk_full", "io_error", "resource_limit")
NEEDED_BYTES = 16 * 1024 * 1024
_BUSY, _LOCKED = sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED
_OF_SQLITE = {
    _BUSY: "db_locked",
    _LOCKED: "db_locked",
    sqlite3.SQLITE_CORRUPT: "db_corrupt",
    sqlite3.SQLITE_NOTADB: "db_corrupt",
    sqlite3.SQLITE_READONLY: "db_readonly",
    sqlite3.SQLITE_CANTOPEN: "db_readonly",
    sqlite3.SQLITE_PERM: "db_readonly",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_IOERR: "io_error",
}
# By SQLSTATE, its whole or its class; what is worth another try at once is db_locked.
_OF_SQLSTATE = {
    "40": "db_locked",
    "55P03": "db_locked",
    "57": "node_unreachable",
    "08": "node_unreachable",
    "28": "config_invalid",
    "3D000": "config_invalid",
    "25006": "db_readonly",
    "42501": "db_readonly",
    "53100": "disk_full",
    "53": "resource_limit",
    "XX001": "db_corrupt",
    "XX002": "db_corrupt",
}
_NOT_LET_IN = re.compile(r"authentication failed|no password supplied|pg_hba\.conf|(?:role|database) .* does not exist")


class StoreError(Exception):
    """The results database cannot be used. kind: the error_kind (db_locked, db_corrupt, db_readonly, disk_full, ...)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def of_sqlite(exc: sqlite3.Error, path: Path) -> StoreError:
    """Return what an error of SQLite means for the database at path."""
    code = getattr(exc, "sqlite_errorcode", None)
    kind = "internal_error" if code is None else _OF_SQLITE.get(code & 0xFF, "internal_error")
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        kind = "db_corrupt"
    if kind == "io_error" and reserve.free_bytes(_folder(path)) < NEEDED_BYTES:
        kind = "disk_full"
    return StoreError(kind, _message(kind, path, str(exc)))


def of_server(exc: BaseException, where: str) -> StoreError:
    """Return what an error of a database server means. where: the server without its password."""
    state = str(getattr(exc, "sqlstate", None) or "")
    said = " ".join(str(exc).split())
    kind = _OF_SQLSTATE.get(state) or _OF_SQLSTATE.get(state[:2]) or ("internal_error" if state else _unconnected(said))
    return StoreError(kind, f"{where}: {said or type(exc).__name__}")


def _unconnected(said: str) -> str:
    """Return the kind of a connection that was never made: of these the driver tells nothing but the server's words."""
    return "config_invalid" if _NOT_LET_IN.search(said) else "node_unreachable"


def of_system(exc: OSError, path: Path) -> StoreError:
    """Return what an error of the operating system means for the database at path."""
    found = limits.kind_of(exc)
    kind = found if found in OF_THE_MACHINE else "db_readonly"
    return StoreError(kind, _message(kind, path, exc.strerror or str(exc)))


def _message(kind: str, path: Path, said: str) -> str:
    if kind == "disk_full":
        return f"{path}: {said}; {reserve.shortage(_folder(path), NEEDED_BYTES)}"
    if kind == "db_readonly":
        return f"{path}: cannot be written to ({said}); give this user the file and its folder, or name another in database_url"
    if kind == "db_locked":
        return f"{path}: {said}: another process writes it, `fuser {path}` names it"
    return f"{path}: {said}"


def _folder(path: Path) -> Path:
    """Return the nearest folder above path that exists."""
    # os.path.exists, since a folder that we may not enter hides what is in it instead of raising
    return next(folder for folder in path.absolute().parents if os.path.exists(folder))


def is_busy(exc: Any) -> bool:
    """Decide whether an error of SQLite says that another connection holds the database."""
    code = getattr(exc, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (_BUSY, _LOCKED)
