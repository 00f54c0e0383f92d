# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders and files below a base, opened one component at a time so that no link is ever followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .context import Context, os_error_kind
from .errors import CellError

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def parts(path: object) -> tuple[str, ...]:
    """Return the components of a relative path; raise artifact_unsafe_path when it could leave its base."""
    if not isinstance(path, str):
        raise CellError("artifact_unsafe_path", f"path is {path!r}; it must be text")
    pieces = tuple(path.split("/"))
    why = _fault(path, pieces)
    if why:
        raise unsafe(f"path {path!r} {why}; allowed: a relative path below its base", path)
    return pieces


def unsafe(message: str, path: str) -> CellError:
    """Return the error for a path that is not safe to use."""
    return CellError("artifact_unsafe_path", message, path=path)


def _fault(path: str, pieces: tuple[str, ...]) -> str:
    """Return what is wrong with a path, or ""."""
    faults = {
        "is empty": not path,
        "is absolute": path.startswith("/"),
        "holds a NUL or a backslash": "\0" in path or "\\" in path,
        "climbs with `..`": ".." in pieces,
        "has an empty component or a `.`": "" in pieces or "." in pieces,
        "has a component of over 255 bytes": any(len(os.fsencode(piece)) > 255 for piece in pieces),
        "is longer than 4095 bytes": len(os.fsencode(path)) > 4095,
    }
    return next((fault for fault, there in faults.items() if there), "")


def base_parts(path: object) -> tuple[str, ...]:
    """Return the components of a folder's path; "" and "." stand for the base itself, one closing / is allowed."""
    if path in ("", ".", "./"):
        return ()
    return parts(path[:-1] if isinstance(path, str) and path.endswith("/") else path)


def step_into(parent_fd: int, name: str, shown: str, create: bool = False) -> int:
    """Open one folder below an open one; raise artifact_unsafe_path for a link, artifact_missing when it is absent."""
    try:
        return os.open(name, FOLDER_FLAGS, dir_fd=parent_fd)
    except FileNotFoundError:
        if not create:
            raise CellError("artifact_missing", f"folder {shown!r} does not exist", path=shown) from None
    except OSError as exc:
        raise open_error(exc, shown, "a folder") from exc
    try:
        os.mkdir(name, 0o755, dir_fd=parent_fd)
    except FileExistsError:
        pass  # somebody made it in between: the second open decides
    except OSError as exc:
        raise open_error(exc, shown, "a folder") from exc
    return step_into(parent_fd, name, shown)


def open_error(exc: OSError, shown: str, wanted: str) -> CellError:
    """Return the error for a path that could not be opened as what was wanted."""
    if exc.errno in (errno.ELOOP, errno.ENOTDIR):
        return unsafe(f"{shown!r} is a link or not {wanted}", shown)
    return CellError(os_error_kind(exc), f"cannot open {shown!r}: {exc.strerror}", path=shown, errno=exc.errno)


def open_folder(base: Path, pieces: tuple[str, ...], create: bool = False) -> int:
    """Return a descriptor of the folder pieces below base; the caller closes it."""
    try:
        fd = os.open(base, FOLDER_FLAGS)
    except FileNotFoundError:
        raise CellError("artifact_missing", f"folder {str(base)!r} does not exist", path=str(base)) from None
    except OSError as exc:
        raise open_error(exc, str(base), "a folder") from exc
    for count, name in enumerate(pieces, 1):
        try:
            deeper = step_into(fd, name, "/".join(pieces[:count]), create)
        finally:
            os.close(fd)
        fd = deeper
    return fd


@contextmanager
def folder(base: Path, pieces: tuple[str, ...], create: bool = False) -> Iterator[int]:
    """Give a descriptor of the folder pieces below base, closed at the end."""
    fd = open_folder(base, pieces, create)
    try:
        yield fd
    finally:
        os.close(fd)


def case_parts(ctx: Context, rel: object = "") -> tuple[str, ...]:
    """Return the components from the node root to rel in the case folder."""
    return ctx.case_dir.relative_to(ctx.root).parts + base_parts(rel)


def case_folder(ctx: Context, rel: object = "", create: bool = False) -> int:
    """Return a descriptor of folder rel below the case folder; the caller closes it."""
    return open_folder(ctx.root, case_parts(ctx, rel), create)


def open_regular(folder_fd: int, name: str, shown: str) -> int:
    """Return a descriptor of a regular file; raise for a link or any other kind, never waiting on a pipe or device."""
    try:
        before = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        if not stat.S_ISREG(before.st_mode):
            raise unsafe(f"{shown!r} is {kind_of(before.st_mode)}, not a regular file", shown)
        fd = os.open(name, FILE_FLAGS, dir_fd=folder_fd)
    except FileNotFoundError:
        raise CellError("artifact_missing", f"file {shown!r} does not exist", path=shown) from None
    except OSError as exc:
        raise open_error(exc, shown, "a regular file") from exc
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CellError("artifact_changed", f"{shown!r} was replaced while it was opened", path=shown)
    return fd


KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFREG: "a regular file",
}


def kind_of(mode: int) -> str:
    """Return the words for a file's kind."""
    return KINDS.get(stat.S_IFMT(mode), "an unknown kind of file")
