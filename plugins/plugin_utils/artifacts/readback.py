# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files read back from the disk: their size and digests, several files at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .hashes import hashers

SHA256 = "sha256"
BLOCK_BYTES = 1 << 20
# Fewer bytes than this are read sooner than a thread has begun, and smaller files sooner than it has been told of one.
WORTH_A_THREAD = 8 << 20
SMALL_BYTES = 64 << 10
MOST_THREADS = 8
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Seen:
    """What a file is. digests: algorithm -> hex; why: what keeps it from being read, "" when nothing does."""

    size: int = 0
    digests: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


def digest(read: Callable[[int], bytes], hashes: Mapping[str, Any], limit: int, block: int = BLOCK_BYTES) -> Seen:
    """Return size and digests of what read gives until it gives nothing; more than limit bytes are not read.

    block: bytes read at a time.
    """
    size = 0
    while content := read(min(block, limit + 1 - size)):
        size += len(content)
        for one in hashes.values():
            one.update(content)
        if size > limit:
            break
    return Seen(size, {name: one.hexdigest() for name, one in hashes.items()})


def is_file(facts: os.stat_result) -> bool:
    """Return whether an open descriptor is one of a regular file."""
    return stat.S_ISREG(facts.st_mode)


def read(path: str, wanted: Mapping[str, int]) -> Seen:
    """Return what a file is. wanted: algorithm -> hex digits; a link is not followed, and nothing but a file is read."""
    try:
        descriptor = os.open(path, FLAGS)
    except OSError as exc:
        return Seen(why="it is a link" if os.path.islink(path) else exc.strerror or str(exc))
    try:
        facts = os.fstat(descriptor)
        if not is_file(facts):
            return Seen(why="it is no regular file")
        # a block no larger than the file: of many small ones, most of the time would go into making room
        block = min(facts.st_size + 1, BLOCK_BYTES)
        return digest(lambda size: os.read(descriptor, size), hashers(wanted), limit=1 << 62, block=block)
    except OSError as exc:
        return Seen(why=exc.strerror or str(exc))
    finally:
        os.close(descriptor)


def read_all(base: Path, wanted: Sequence[tuple[str, Mapping[str, int]]], size: int) -> Iterator[tuple[str, Seen]]:
    """Yield each path below base with what its file is, in the given order. size: of all of them, about."""
    if size < WORTH_A_THREAD or size < SMALL_BYTES * len(wanted):
        yield from ((path, read(os.path.join(base, path), algorithms)) for path, algorithms in wanted)
        return
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda one: read(os.path.join(base, one[0]), one[1]), wanted)
        yield from zip((path for path, _ in wanted), found, strict=True)
