# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that appear whole or not at all: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let what the operating system refuses name the file that was to be written: a descriptor has no name."""
    try:
        yield
    except OSError as exc:
        if exc.errno is None:
            raise
        raise OSError(exc.errno, exc.strerror, str(path)) from exc


@contextmanager
def writing(path: Path, mode: int = 0o644, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Lend a stream whose content is at path, in one step, when the block ends; an error leaves what was there.

    durable: also after a power cut, which costs two waits for the disk.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                if durable:
                    os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                os.unlink(temporary)
            raise
        if durable:
            sync_folder(path.parent)


def write_bytes(path: Path, content: bytes, mode: int = 0o644, *, durable: bool = True) -> None:
    """Put content at path in one step; a reader sees the old file or the new one. durable: as in `writing`."""
    with writing(path, mode, durable=durable) as stream:
        stream.write(content)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Put text at path as UTF-8; what cannot be encoded is written as an escape, never dropped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable=durable)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Put value at path as indented JSON; NaN and infinity are refused with ValueError."""
    write_bytes(path, encoded(value), durable=durable)


def encoded(value: Any) -> bytes:
    """Return value as write_json puts it into a file."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "backslashreplace")


def sync_folder(folder: Path) -> None:
    """Make the names in folder durable, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
