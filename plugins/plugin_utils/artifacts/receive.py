# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files from a node to the controller: staged, every byte proved by the node's digest, then put in place at once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..node.client import NodeClient, decode_chunk
from ..node.errors import NodeError
from ..run import atomic

CHUNK_BYTES = 4 << 20
TRIES = 3
# Files whose first pieces are asked for together: enough to hide the way there and back, few enough to hold in memory.
AT_ONCE = 16
# The node can be reached, and what it sends does not get through.
CUT = "ssh_dropped"


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

    Lists with a path that is refused are left to `receive`, so that one says so without harm to the others.
    """
    safe = {base_rel: [entry["path"] for entry in files] for base_rel, files in listed.items() if _are_safe(files)}
    first = [(base_rel, path) for base_rel, paths in safe.items() for path in paths][:AT_ONCE]
    found: dict[str, Pieces] = {base_rel: {} for base_rel in listed}
    pieces = _ask(client, [(base_rel, path, 0) for base_rel, path in first]) if first else []
    for (base_rel, path), piece in zip(first, pieces, strict=True):
        found[base_rel][path] = piece
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
    staging = destination.parent / f".{destination.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        for start in range(0, len(files), AT_ONCE):
            _fetch_group(client, base_rel, files[start : start + AT_ONCE], staging, place, begun or {})
        _put_in_place(staging, destination)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Received(tuple(files), sum(entry["size"] for entry in files))


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
        _fetch_proved(client, base_rel, entry, target, first[entry["path"]])


def _fetch_proved(
    client: NodeClient, base_rel: str, entry: dict[str, Any], target: Path, first: dict[str, Any]
) -> None:
    """Write a file whose beginning is here, and prove it; bytes that are wrong are fetched again."""
    begun: dict[str, Any] | None = first
    for _attempt in range(TRIES):
        digest = _fetch(client, base_rel, entry, target, begun)
        if digest == entry["sha256"]:
            return
        begun = None
    raise ArtifactError(
        "artifact_corrupt",
        f"{entry['path']} has digest {digest[:12]} here and {entry['sha256'][:12]} on the node after {TRIES} tries",
        [entry["path"]],
    )


def _fetch(client: NodeClient, base_rel: str, entry: dict[str, Any], target: Path, begun: dict[str, Any] | None) -> str:
    """Write a file and return its digest. begun: its first piece where that is here already."""
    digest = hashlib.sha256()
    offset, eof = 0, False
    with target.open("wb") as stream:
        while not eof:
            chunk = begun or _ask(client, [(base_rel, entry["path"], offset)])[0]
            begun = None
            content = decode_chunk(chunk["data"])
            stream.write(content)
            digest.update(content)
            offset, eof = offset + len(content), chunk["eof"] or not content
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def _ask(client: NodeClient, wanted: Sequence[tuple[str, str, int]]) -> list[dict[str, Any]]:
    """Return the pieces of files that begin at the given offsets, asked for at once: base_rel, path, offset each."""
    try:
        return client.many(*(_read(*one) for one in wanted))
    except NodeError as exc:
        if exc.kind != CUT:
            raise
        where = ", ".join(f"{path} at byte {offset}" for _, path, offset in wanted)
        paths = [path for _, path, _ in wanted]
        raise ArtifactError(
            "transfer_failed", f"the transfer broke off again and again: {exc}; {where}", paths
        ) from None


def _read(base_rel: str, path: str, offset: int) -> tuple[str, dict[str, Any]]:
    return "read", {"base_rel": base_rel, "path": path, "offset": offset, "max_bytes": CHUNK_BYTES}


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
