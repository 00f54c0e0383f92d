# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller's own system refuses, as a kind of failure and in words: memory, descriptors, processes, a disk."""

from __future__ import annotations

import errno
from pathlib import Path

from ...module_utils.cellnode.errors import OS_ERROR_KINDS, is_limit

RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS})
# Kinds that every run on this machine meets, whatever it was asked for.
OF_THE_DISK = ("disk_full", "io_error")


def kind_of(exc: BaseException) -> str:
    """Return the error kind of an exception that a limit or the disk of this machine caused, "" for any other."""
    if is_limit(exc):
        return "resource_limit"
    if not isinstance(exc, OSError):
        return ""
    return "resource_limit" if exc.errno in RESOURCES else OS_ERROR_KINDS.get(exc.errno or 0, "")


def is_no_fault_of_the_folder(exc: BaseException) -> bool:
    """Return whether another folder would have been refused as well."""
    return isinstance(exc, InterruptedError) or kind_of(exc) in OF_THE_DISK


def told(exc: BaseException) -> str:
    """Return a refusal as a sentence that names the file, where there is one."""
    if isinstance(exc, OSError) and exc.filename:
        what = "use" if kind_of(exc) == "resource_limit" else "write"
        return f"the controller cannot {what} {exc.filename}: {exc.strerror or exc}"
    return f"the controller cannot go on: {str(exc) or type(exc).__name__}"


def named(exc: BaseException, path: Path) -> BaseException:
    """Return an error of the system with the file that it is about: a write to an open file does not tell it."""
    return OSError(exc.errno, exc.strerror, str(path)) if isinstance(exc, OSError) else exc
