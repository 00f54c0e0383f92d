# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations `upload` and `where`: a case's files come to the node, only those that differ, each proved by its digest."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .beneath import FOLDER_FLAGS, base_parts, case_folder, case_parts, open_folder, parts, step_into, unsafe
from .context import Context, os_error_kind
from .durable import replace_bytes
from .errors import CellError
from .one_digest import digested
from .params import integer, refuse, text
from .request import mapping, mappings

MAX_BYTES = 512 << 20
SHA256 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Wanted:
    """One file as it must be on the node."""

    path: str
    pieces: tuple[str, ...]
    size: int
    mode: int
    sha256: str


def parse_files(args: dict[str, Any]) -> dict[str, Wanted]:
    """Return the wanted files by path; raise when the list contradicts itself or is too large."""
    found: dict[str, Wanted] = {}
    for item in mappings(args, "files"):
        one = _parse_file(item)
        if one.path in found:
            raise refuse("files", one.path, "each path once")
        found[one.path] = one
    for path in found.keys() & folders_of(found):
        raise refuse("files", path, "a file or a folder, not both")
    total = sum(one.size for one in found.values())
    if total > MAX_BYTES:
        raise CellError("artifact_too_large", f"the files hold {total} bytes, over the limit of {MAX_BYTES} bytes")
    return found


def _parse_file(item: dict[str, Any]) -> Wanted:
    """Return one checked file of the request."""
    pieces = parts(item.get("path"))
    sha256 = text(item, "sha256")
    if not SHA256.match(sha256):
        raise refuse("files.sha256", sha256, "64 lower-case hexadecimal digits")
    return Wanted(
        path="/".join(pieces),
        pieces=pieces,
        size=integer(item, "size", 0, 0, 1 << 50),
        mode=integer(item, "mode", 0o644, 0, 0o777),
        sha256=sha256,
    )


def folders_of(files: dict[str, Wanted]) -> set[str]:
    """Return every folder that the files lie in."""
    return {"/".join(one.pieces[:count]) for one in files.values() for count in range(1, len(one.pieces))}


def op_upload(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return {need} of the files that differ; with their data, write them and return {written, digest_ok: true}."""
    dest = base_parts(args.get("dest_rel"))
    if not dest:
        raise unsafe("args.dest_rel names the case folder itself; allowed: a folder below it", "")
    files = parse_files(args)
    data = _unpack(files, mapping(args, "data"))
    if ctx.check:
        return _compared(ctx, dest, files)
    dest_fd = case_folder(ctx, "/".join(dest), create=True)
    try:
        removed = prune(dest_fd, "", files, folders_of(files))
        for path, content in data.items():
            _write(dest_fd, files[path], content)
        need = [path for path, one in files.items() if not present(dest_fd, one, fix_mode=True)]
    except OSError as exc:
        raise CellError(os_error_kind(exc), f"cannot write below {'/'.join(dest)!r}: {exc.strerror}") from exc
    finally:
        os.close(dest_fd)
    if data and need:
        raise CellError(
            "artifact_missing", f"{len(need)} of {len(files)} files are still missing: {need[:5]}", need=need
        )
    return {"need": need, "written": list(data), "removed": removed, "digest_ok": not need}


def _compared(ctx: Context, dest: tuple[str, ...], files: dict[str, Wanted]) -> dict[str, Any]:
    """Return what an upload would need, changing nothing."""
    try:
        dest_fd = open_folder(ctx.root, case_parts(ctx) + dest)
    except CellError as exc:
        if exc.kind != "artifact_missing":
            raise
        return {"need": list(files), "written": [], "removed": [], "digest_ok": not files}
    try:
        need = [path for path, one in files.items() if not present(dest_fd, one)]
    finally:
        os.close(dest_fd)
    return {"need": need, "written": [], "removed": [], "digest_ok": not need}


def _unpack(files: dict[str, Wanted], data: dict[str, Any]) -> dict[str, bytes]:
    """Return the content of each file in the request, all proved before anything is written."""
    found = {}
    for path in data:
        if path not in files:
            raise refuse("data", path, "paths of args.files")
        found[path] = unpack(files[path], text(data, path))
    return found


def unpack(one: Wanted, packed: str) -> bytes:
    """Return a file's content; raise artifact_corrupt unless size and digest are as announced."""
    try:
        opener = zlib.decompressobj()
        content = opener.decompress(base64.b64decode(packed, validate=True), one.size + 1)
    except (binascii.Error, zlib.error, ValueError) as exc:
        raise CellError("artifact_corrupt", f"data of {one.path!r} cannot be unpacked: {exc}", path=one.path) from exc
    if len(content) != one.size or not opener.eof or opener.unused_data:
        message = f"data of {one.path!r} is cut or has another size than {one.size} bytes; send it again"
        raise CellError("artifact_corrupt", message, path=one.path)
    if hashlib.sha256(content).hexdigest() != one.sha256:
        raise CellError("artifact_corrupt", f"digest of {one.path!r} does not match; send it again", path=one.path)
    return content


def _write(dest_fd: int, one: Wanted, content: bytes) -> None:
    """Put one file in place, whole or not at all."""
    folder_fd = _parent(dest_fd, one, create=True)
    try:
        replace_bytes(folder_fd, one.pieces[-1], content, one.mode)
    finally:
        os.close(folder_fd)


def _parent(dest_fd: int, one: Wanted, create: bool = False) -> int:
    """Return a descriptor of the folder that a file lies in; the caller closes it."""
    fd = os.dup(dest_fd)
    for count, name in enumerate(one.pieces[:-1], 1):
        try:
            deeper = step_into(fd, name, "/".join(one.pieces[:count]), create)
        finally:
            os.close(fd)
        fd = deeper
    return fd


def present(dest_fd: int, one: Wanted, fix_mode: bool = False) -> bool:
    """Return whether a file lies there as wanted. fix_mode: set the mode when only that differs."""
    try:
        folder_fd = _parent(dest_fd, one)
    except CellError:
        return False
    try:
        info = os.stat(one.pieces[-1], dir_fd=folder_fd, follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode) or info.st_size != one.size:
            return False
        entry = digested(folder_fd, one.pieces[-1], one.path)
        if entry.sha256 == one.sha256 and entry.mode != one.mode and fix_mode:
            os.chmod(one.pieces[-1], one.mode, dir_fd=folder_fd)
            return True
        return (entry.sha256, entry.mode) == (one.sha256, one.mode)
    except (CellError, FileNotFoundError):
        return False
    finally:
        os.close(folder_fd)


def prune(folder_fd: int, prefix: str, files: dict[str, Wanted], folders: set[str]) -> list[str]:
    """Delete what the files and their folders do not include, links unfollowed, and return the paths."""
    removed = []
    with os.scandir(folder_fd) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in found:
        path = prefix + name
        if is_folder and path in folders:
            with_fd = os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
            try:
                removed += prune(with_fd, path + "/", files, folders)
            finally:
                os.close(with_fd)
        elif is_folder or path not in files:
            remove_tree(folder_fd, name, is_folder)
            removed.append(path)
    return removed


def remove_tree(folder_fd: int, name: str, is_folder: bool) -> None:
    """Delete a file, or a folder with all that is in it; a link is deleted, never followed."""
    if not is_folder:
        os.unlink(name, dir_fd=folder_fd)
        return
    inner_fd = os.open(name, FOLDER_FLAGS, dir_fd=folder_fd)
    try:
        with os.scandir(inner_fd) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for inner, inner_is_folder in found:
            remove_tree(inner_fd, inner, inner_is_folder)
    finally:
        os.close(inner_fd)
    os.rmdir(name, dir_fd=folder_fd)


def where(ctx: Context, _args: dict[str, Any]) -> dict[str, Any]:
    """Return the absolute folders of the node root and of this case."""
    return {"root": str(ctx.root), "case_dir": str(ctx.case_dir)}


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"upload": op_upload, "where": where}
