# SPDX-License-Identifier: MIT
"""Both ends of a stream of files in one process: what a node sends of a folder, and a staging folder that receives it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames, send
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.frames import Entry
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.receiver import Arrived, Receiver
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.staging import Staging

Frame = tuple[bytes, int, bytes]


def sent(base: Path, **args: Any) -> bytes:
    """Return the stream of all files below base. args: more arguments of the operation."""
    pieces: list[bytes] = []
    wanted = {"base": str(base), "patterns": [""], "algorithms": {"sha256": 1.0}, **args}
    send.stream(Context(Path("/nowhere")), wanted, lambda piece: pieces.append(bytes(piece)))
    return b"".join(pieces)


def take(
    stream: bytes,
    staging: Staging,
    prove: str = "full",
    have: Sequence[Entry] = (),
    step: int = 1 << 16,
    placed: bool = False,
) -> Arrived:
    """Return what a receiver makes of a stream that comes in pieces of step bytes."""
    receiver = Receiver(staging, prove, lambda size: None, have, placed)
    for at in range(0, len(stream), step):
        receiver.feed(stream[at : at + step])
    return receiver.result()


def frames_of(stream: bytes) -> list[Frame]:
    """Return kind, flags and payload of each frame of a whole stream."""
    at, found = len(frames.MAGIC), []
    while at < len(stream):
        kind, flags, length = frames.HEADER.unpack_from(stream, at)
        at += frames.HEADER.size
        found.append((kind, flags, stream[at : at + length]))
        at += length
    return found


def told(stream: bytes) -> dict[bytes, list[Any]]:
    """Return kind -> what its frames say: JSON is decoded, of a bundle the head, and data is as it came."""
    found: dict[bytes, list[Any]] = {}
    for kind, _, payload in frames_of(stream):
        begin, end = 0, len(payload)
        if kind == frames.BUNDLE:
            begin = frames.HEAD_LENGTH.size
            end = begin + frames.HEAD_LENGTH.unpack_from(payload)[0]
        said = payload if kind == frames.DATA else json.loads(payload[begin:end])
        found.setdefault(kind, []).append(said)
    return found


def entries(found: dict[bytes, list[Any]]) -> list[Any]:
    """Return the entries of all files that came in bundles."""
    return [row for head in found.get(frames.BUNDLE, []) for row in head]


def paths(found: dict[bytes, list[Any]]) -> list[str]:
    """Return the paths of all files that came in bundles."""
    return [row[0] for row in entries(found)]


def refusals(found: dict[bytes, list[Any]]) -> list[dict[str, str]]:
    """Return all that was refused."""
    return [one for rows in found.get(frames.REFUSED, []) for one in rows]


def stream_of(parts: Iterable[Frame]) -> bytes:
    """Return the stream that consists of these frames."""
    return frames.MAGIC + b"".join(frames.HEADER.pack(kind, flags, len(data)) + data for kind, flags, data in parts)


def content(folder: Path) -> dict[bytes, bytes]:
    """Return path -> bytes of all files below a folder."""
    root, found = os.fsencode(folder), {}
    for place, _, names in os.walk(root):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as stream:
                found[os.path.relpath(path, root)] = stream.read()
    return found
