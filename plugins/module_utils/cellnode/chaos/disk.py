# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault of a full disk: one file of ours takes the room, and some is always left."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..differences import below
from ..errors import CellError
from . import naming, values
from .fault import Aim, Effect, Gone, Place

NODE, ENGINE = "node", "engine"
LEAVE_BYTES = 64 << 20
LEAST_BYTES = 64 << 10
TRIES = 3
Json = dict[str, Any]


class Fill:
    """A file system is filled to fill_pct of what users may have, or by so many bytes."""

    kind = "disk_fill"

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return what is wrong with the parameters, or why this user may not write there."""
        found = values.problem(lambda: _checked(params))
        if found or str(params.get("where") or NODE).startswith("/"):
            return found
        return values.problem(lambda: _writable(_named(place, params)))

    def prepare(self, place: Place, aim: Aim) -> Json:
        """Return the file, how large it gets, and how the file system stands without it."""
        _checked(aim.params)
        folder = _folder(place, aim)
        _writable(folder)
        before = room(folder)
        size = wanted(aim.params, before)
        if size < LEAST_BYTES:
            message = f"{folder}: {before['free_bytes']} bytes are free of {before['total_bytes']}; params leave nothing to fill"
            raise CellError("chaos_unsupported", message)
        path = Path(folder) / f".testcell-{naming.key(place)}.fill"
        return {"path": str(path), "bytes": size, "before": before}

    def inject(self, place: Place, aim: Aim, undo: Json) -> None:
        """Take the room; where somebody else takes some meanwhile, that much less."""
        path, size = undo["path"], undo["bytes"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError as exc:
            raise Gone(f"{Path(path).parent} does not exist any more") from exc
        try:
            _allocate(fd, size)
        finally:
            os.close(fd)

    def effect(self, place: Place, aim: Aim, undo: Json) -> Effect:
        """Measure the file and the file system."""
        undo = undo or self.prepare(place, aim)
        path = Path(undo["path"])
        try:
            held = path.lstat().st_blocks * 512
            now = room(str(path.parent))
        except FileNotFoundError:
            held = 0
            now = room(str(path.parent)) if path.parent.exists() else {}
        measured = {**now, "filled_bytes": held, "before_free_bytes": undo["before"]["free_bytes"]}
        least = undo["bytes"] * 0.9
        why = "" if held >= least else f"{path} takes {held} bytes, expected at least {least:.0f}"
        return Effect(not why, measured, why)

    def undo(self, place: Place, undo: Json) -> None:
        """Remove the file."""
        path = undo["path"]
        with suppress(FileNotFoundError, NotADirectoryError):
            if stat.S_ISREG(os.lstat(path).st_mode):
                os.unlink(path)

    def left(self, place: Place, undo: Json) -> list[str]:
        """Return the file if it is still there."""
        return [f"file {undo['path']}"] if os.path.lexists(undo["path"]) else []


def _checked(params: Mapping[str, Any]) -> None:
    if (params.get("bytes") is None) == (params.get("fill_pct") is None):
        raise values.refuse("bytes", params.get("bytes"), "a size, or params.fill_pct instead: one of both")
    values.size(params, "bytes")
    values.number(params, "fill_pct", 1, 100, 100)
    values.size(params, "leave_bytes")
    where = params.get("where") or NODE
    if where not in (NODE, ENGINE) and not str(where).startswith("/"):
        raise values.refuse("where", where, "node, engine, or the absolute path of a volume in the container")


def room(folder: str) -> Json:
    """Return {total_bytes, free_bytes, used_pct} of a file system as its users see it, without what is kept for root."""
    info = os.statvfs(folder)
    used = (info.f_blocks - info.f_bfree) * info.f_frsize
    free = info.f_bavail * info.f_frsize
    total = used + free
    return {"total_bytes": total, "free_bytes": free, "used_pct": round(100 * used / total, 2) if total else 100.0}


def wanted(params: Mapping[str, Any], before: Mapping[str, Any]) -> int:
    """Return how large the file gets: what is asked for, and leave_bytes stay free."""
    asked = values.size(params, "bytes")
    if asked is None:
        used = before["total_bytes"] - before["free_bytes"]
        asked = int(before["total_bytes"] * values.number(params, "fill_pct", 1, 100) / 100) - used
    leave = values.size(params, "leave_bytes")
    return min(asked, int(before["free_bytes"]) - (LEAVE_BYTES if leave is None else leave))


def _allocate(fd: int, size: int) -> None:
    """Give a file its blocks. The room may have shrunk meanwhile: then a little less is tried."""
    for attempt in range(1, TRIES + 1):
        try:
            return os.posix_fallocate(fd, 0, size)
        except OSError as exc:
            if exc.errno != errno.ENOSPC or attempt == TRIES:
                raise
            os.ftruncate(fd, 0)
            size = int(size * 0.95)
    return None


def _folder(place: Place, aim: Aim) -> str:
    """Return the folder on the node in which the file is made."""
    where = str(aim.params.get("where") or NODE)
    return _mounted(place, aim, where) if where.startswith("/") else _named(place, aim.params)


def _named(place: Place, params: Mapping[str, Any]) -> str:
    if (params.get("where") or NODE) == NODE:
        return str(place.ctx.root)
    return str(place.engine.info().get("DockerRootDir") or "")


def _mounted(place: Place, aim: Aim, where: str) -> str:
    """Return where on the node the volume lies that holds a path in the container."""
    if not aim.service:
        raise values.refuse("where", where, "node or engine: a path is one in a service's container")
    try:
        mounted = place.engine.inspect(aim.container).get("Mounts") or []
    except CellError as exc:
        if exc.kind == "container_gone":
            raise Gone(f"service {aim.service}: {exc.message}") from exc
        raise
    known = [one for one in mounted if one.get("Type") in ("bind", "volume") and one.get("RW") and one.get("Source")]
    holding = [one for one in known if below(where, str(one["Destination"]))]
    if not holding:
        shown = ", ".join(str(one["Destination"]) for one in known) or "none"
        message = (
            f"params.where is {where!r}, which is in no volume of service {aim.service} that it may write (it has: "
        )
        raise CellError("chaos_unsupported", f"{message}{shown}); the container's own file system is the engine's")
    return str(max(holding, key=lambda one: len(str(one["Destination"])))["Source"])


def _writable(folder: str) -> None:
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise CellError("chaos_unsupported", f"this user cannot make a file in {folder or 'the engine root'}")


KINDS = {Fill.kind: Fill()}
