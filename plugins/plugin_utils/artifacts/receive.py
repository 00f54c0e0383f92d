# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files from a node to the controller: staged, every byte proved by the node's digest, then put in place at once."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..node.client import NodeClient
from ..node.errors import NodeError
from ..run import atomic, reserve

CHUNK_BYTES = 4 << 20
TRIES = 3
# Files whose first pieces are asked for together: enough to hide the way there and back, few enough to hold in memory.
AT_ONCE = 16
# The node can be reached, and what it sends does not get through.
CUT = "ssh_dropped"
# What a node says of a file that is not as its list had it, or that it will not give.
OF_ONE_FILE = frozenset({"artifact_changed", "artifact_unsafe_path", "artifact_missing"})


# Path -> what the node answered when it was asked for the file's beginning.
Pieces = dict[str, dict[str, Any]]


class ArtifactError(Exception):
    """Files that did not come home. kind: an error_kind of the artifact group; paths: those concerned."""

    def __init__(self, kind: str, message: str, paths: Sequence[str]) -> None:
        super().__init__(message)
        self.kind = kind
        self.paths = tuple(paths)


@dataclass(frozen=True)
class Received:
    """What came home: entries of the manifest, all proved, and their size together."""

    files: tuple[dict[str, Any], ...]
    total_bytes: int


def safe_path(text: str) -> PurePosixPath:
    """Return text as a relative path below the destination; ArtifactError when it could leave it."""
    path = PurePosixPath(text)
    bad = (
        not path.parts or path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text or str(path) != text
    )
    if bad:
        raise ArtifactError(
            "artifact_unsafe_path", f"the node offers the path {text!r}; only plain relative paths are taken", [text]
        )
    return path


def _are_safe(files: Sequence[dict[str, Any]]) -> bool:
    try:
        return all(safe_path(entry["path"]) for entry in files)
    except ArtifactError:
        return False


def beginnings(client: NodeClient, listed: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Pieces]:
    """Return base_rel -> path -> first piece of the first files of several lists, all asked for at once.

    Lists with a path that is refused, or a file that the node does not give, are left to `receive`, which says so without
    harm to the other lists.
    """
    safe = {base_rel: files for base_rel, files in listed.items() if _are_safe(files)}
    first = [(base_rel, entry) for base_rel, files in safe.items() for entry in files][:AT_ONCE]
    found: dict[str, Pieces] = {base_rel: {} for base_rel in listed}
    try:
        pieces = _ask(client, [(base_rel, entry, 0) for base_rel, entry in first]) if first else []
    except NodeError as exc:
        if exc.kind in OF_ONE_FILE:
            return found
        raise
    for (base_rel, entry), piece in zip(first, pieces, strict=True):
        found[base_rel][entry["path"]] = piece
    return found


def receive(
    client: NodeClient,
    base_rel: str,
    files: Sequence[dict[str, Any]],
    destination: Path,
    place: Callable[[str], str] = str,
    begun: Pieces | None = None,
) -> Received:
    """Bring files (manifest entries) below destination, all or nothing; place maps a path to the one it gets there.

    begun: the first pieces of files that have come already.
    """
    _check_room(destination, sum(entry["size"] for entry in files))
    staging = destination.parent / f".{destination.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    with atomic.naming(destination):
        staging.mkdir(parents=True)
        try:
            for start in range(0, len(files), AT_ONCE):
                _fetch_group(client, base_rel, files[start : start + AT_ONCE], staging, place, begun or {})
            _put_in_place(staging, destination)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return Received(tuple(files), sum(entry["size"] for entry in files))


def _check_room(destination: Path, size: int) -> None:
    """Raise disk_full when size bytes have no room at the destination beside what the run needs to finish."""
    if size and size + reserve.TO_FINISH_BYTES > reserve.free_bytes(destination):
        needed = size + reserve.TO_FINISH_BYTES
        raise ArtifactError("disk_full", f"files stay on the node, {reserve.shortage(destination, needed)}", [])


def _fetch_group(
    client: NodeClient,
    base_rel: str,
    files: Sequence[dict[str, Any]],
    staging: Path,
    place: Callable[[str], str],
    begun: Pieces,
) -> None:
    """Fetch some files: the beginnings of all of them are asked for at once, which is all of most of them."""
    targets = [staging / safe_path(place(entry["path"])) for entry in files]
    missing = [entry for entry in files if entry["path"] not in begun]
    first = {**begun, **beginnings(client, {base_rel: missing})[base_rel]}
    for entry, target in zip(files, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_proved(client, base_rel, entry, target, first.get(entry["path"]))


class _Damaged(Exception):
    """A piece of a file that came over the link as something else."""


def _fetch_proved(
    client: NodeClient, base_rel: str, entry: dict[str, Any], target: Path, first: dict[str, Any] | None
) -> None:
    """Write a file whose beginning may be here already, and prove it; bytes that are wrong are fetched again."""
    begun, why = first, ""
    for _attempt in range(TRIES):
        try:
            digest = _fetch(client, base_rel, entry, target, begun)
        except _Damaged as exc:
            why = str(exc)
        else:
            if digest == entry["sha256"]:
                return
            why = f"it has digest {digest[:12]} here and {entry['sha256'][:12]} on the node"
        begun = None
    raise ArtifactError(
        "artifact_corrupt", f"{entry['path']} did not come home whole in {TRIES} tries: {why}", [entry["path"]]
    )


def _fetch(client: NodeClient, base_rel: str, entry: dict[str, Any], target: Path, begun: dict[str, Any] | None) -> str:
    """Write a file and return its digest. begun: its first piece where that is here already."""
    digest = hashlib.sha256()
    offset, eof = 0, False
    with target.open("wb") as stream:
        while not eof:
            piece = begun or _ask(client, [(base_rel, entry, offset)])[0]
            begun = None
            content = _content(piece, offset, entry["size"])
            stream.write(content)
            digest.update(content)
            offset += len(content)
            eof = bool(piece.get("eof")) or not content
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def _ask(client: NodeClient, wanted: Sequence[tuple[str, Mapping[str, Any], int]]) -> list[dict[str, Any]]:
    """Return the pieces of files that begin at the given offsets, asked for at once: base_rel, entry, offset each."""
    try:
        return client.many(*(_read(*one) for one in wanted))
    except NodeError as exc:
        if exc.kind != CUT:
            raise
        where = ", ".join(f"{entry['path']} at byte {offset}" for _, entry, offset in wanted)
        paths = [str(entry["path"]) for _, entry, _ in wanted]
        raise ArtifactError(
            "transfer_failed", f"the transfer broke off again and again: {exc}; {where}", paths
        ) from None


def _content(piece: Mapping[str, Any], offset: int, size: int) -> bytes:
    """Return the bytes of the piece at offset of a file of size bytes; _Damaged when it cannot be that piece.

    data: base64 of zlib, never unpacked beyond the file's size.
    """
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(piece["data"]), size - offset + 1)
    except (KeyError, TypeError, ValueError, zlib.error) as exc:
        raise _Damaged(f"a piece of it cannot be unpacked ({type(exc).__name__}: {exc})") from None
    if len(content) > size - offset:
        raise _Damaged("more bytes came than it has")
    if piece.get("offset") != offset + len(content):
        raise _Damaged(
            f"the piece at {offset} ends at {offset + len(content)}, and the node said {piece.get('offset')}"
        )
    return content


def _read(base_rel: str, entry: Mapping[str, Any], offset: int) -> tuple[str, dict[str, Any]]:
    """Return the request for a piece, which the node refuses when the file is no longer the one of its manifest entry."""
    expect = {"size": entry["size"], "mtime_ns": entry["mtime_ns"], "ctime_ns": entry["ctime_ns"]}
    place = {"base_rel": base_rel, "path": entry["path"], "offset": offset}
    return "read", {**place, "max_bytes": CHUNK_BYTES, "expect": expect}


def _put_in_place(staging: Path, destination: Path) -> None:
    """Move the staged files below destination; a folder that is not there yet comes into being by one rename."""
    if not destination.exists():
        os.replace(staging, destination)
    else:
        for path in sorted(p for p in staging.rglob("*") if p.is_file()):
            target = destination / path.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    atomic.sync_folder(destination.parent)
