# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files from a node to the controller: staged, every byte proved by the node's digest, then put in place at once."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..node.client import NodeClient, decode_chunk
from ..run import atomic

CHUNK_BYTES = 4 << 20
TRIES = 3


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


def receive(
    client: NodeClient,
    base_rel: str,
    files: Sequence[dict[str, Any]],
    destination: Path,
    place: Callable[[str], str] = str,
) -> Received:
    """Bring files (manifest entries) below destination, all or nothing; place maps a path to the one it gets there."""
    staging = destination.parent / f".{destination.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        for entry in files:
            _fetch_proved(client, base_rel, entry, staging / safe_path(place(entry["path"])))
        _put_in_place(staging, destination)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Received(tuple(files), sum(entry["size"] for entry in files))


def _fetch_proved(client: NodeClient, base_rel: str, entry: dict[str, Any], target: Path) -> None:
    safe_path(entry["path"])
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(TRIES):
        digest = _fetch(client, base_rel, entry, target)
        if digest == entry["sha256"]:
            return
        if attempt == TRIES - 1:
            raise ArtifactError(
                "artifact_corrupt",
                f"{entry['path']} has digest {digest[:12]} here and {entry['sha256'][:12]} on the node after {TRIES} tries",
                [entry["path"]],
            )


def _fetch(client: NodeClient, base_rel: str, entry: dict[str, Any], target: Path) -> str:
    digest = hashlib.sha256()
    offset, eof = 0, False
    with target.open("wb") as stream:
        while not eof:
            chunk = client.call("read", base_rel=base_rel, path=entry["path"], offset=offset, max_bytes=CHUNK_BYTES)
            content = decode_chunk(chunk["data"])
            stream.write(content)
            digest.update(content)
            offset, eof = offset + len(content), chunk["eof"] or not content
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


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
