# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations `manifest` and `read`: which artifacts there are, and their bytes."""

from __future__ import annotations

import base64
import os
import zlib
from collections.abc import Callable
from typing import Any

from .beneath import base_parts, case_parts, folder, open_regular, parts, unsafe
from .context import Context, os_error_kind
from .errors import CellError
from .manifest import Limits, Scan, file_fault, same
from .params import integer, text, texts
from .patterns import Patterns
from .request import mapping

DEFAULT_FILES, DEFAULT_BYTES = 20_000, 16 << 30
MAX_READ_BYTES = 16 << 20
REPLACED = ("artifact_unsafe_path", "artifact_missing")  # what a file that became a link, or went, is found to be


def op_manifest(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return {files, missing, refused} of the patterns below base_rel; an absent base has no files."""
    patterns = Patterns(texts(args, "patterns"))
    limits = Limits(
        files=integer(args, "max_files", DEFAULT_FILES, 1, 1_000_000),
        size=integer(args, "max_bytes", DEFAULT_BYTES, 0, 1 << 50),
    )
    try:
        with folder(ctx.root, case_parts(ctx, text(args, "base_rel", ""))) as base_fd:
            scan = Scan(base_fd, patterns, limits)
    except CellError as exc:
        if exc.kind != "artifact_missing":
            raise
        return {"files": [], "missing": list(patterns.texts), "refused": []}
    files = sorted(scan.files, key=lambda entry: os.fsencode(entry.path))
    return {"files": [entry.as_dict() for entry in files], "missing": scan.missing(), "refused": scan.refused}


def op_read(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return {data, offset, eof, size} of one file. expect: {size, mtime_ns, ctime_ns} of its manifest entry."""
    base, pieces = base_parts(text(args, "base_rel", "")), parts(args.get("path"))
    path, expect = "/".join(pieces), mapping(args, "expect")
    offset = integer(args, "offset", 0, 0, 1 << 62)
    limit = integer(args, "max_bytes", 1 << 20, 1, MAX_READ_BYTES)
    try:
        with folder(ctx.root, case_parts(ctx) + base + pieces[:-1]) as folder_fd:
            fd = open_regular(folder_fd, pieces[-1], path)
    except CellError as exc:
        if not expect or exc.kind not in REPLACED:
            raise
        message = f"{path!r} is not what it was when its manifest was made: {exc.message}"
        raise CellError("artifact_changed", message, path=path) from exc
    try:
        return _read(fd, path, offset, limit, expect)
    except OSError as exc:
        raise CellError(os_error_kind(exc), f"cannot read {path!r}: {exc.strerror}", path=path) from exc
    finally:
        os.close(fd)


def _read(fd: int, path: str, offset: int, limit: int, expect: dict[str, Any]) -> dict[str, Any]:
    """Return a part of an open file, provided that it did not change."""
    before = os.fstat(fd)
    if file_fault(before):
        raise unsafe(f"{path!r} cannot be read: {file_fault(before)}", path)
    data = os.pread(fd, limit, offset)
    known = {"size": before.st_size, "mtime_ns": before.st_mtime_ns, "ctime_ns": before.st_ctime_ns}
    if not same(before, os.fstat(fd)) or any(known.get(key) != value for key, value in expect.items()):
        raise CellError("artifact_changed", f"{path!r} changed since its manifest was made", path=path, **known)
    end = offset + len(data)
    packed = base64.b64encode(zlib.compress(data, 1)).decode("ascii")
    return {"data": packed, "offset": end, "eof": end >= before.st_size, "size": before.st_size}


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"manifest": op_manifest, "read": op_read}
