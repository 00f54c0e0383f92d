# SPDX-License-Identifier: MIT
"""Files, changes of files, and names as nobody wishes for them, for whatever walks a folder or brings it home."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

Make = Callable[[Path], object]


def put(path: Path, data: bytes = b"x", mode: int = 0o644) -> Path:
    """Make a file and the folders on its way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def outside(path: Path) -> Path:
    """Return a file beside the folder that holds the folder of path."""
    return put(path.parents[2] / f"outside{os.urandom(4).hex()}", b"nobody outside may read this")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


# What is no plain file: how it is made, and a word of why it is refused.
KINDS: dict[str, tuple[Make, str]] = {
    "B81-link-out": (lambda path: path.symlink_to("/etc/passwd"), "symbolic link to '/etc/passwd'"),
    "B81-link-chain": (lambda path: path.symlink_to("../y"), "symbolic link to '../y'"),
    "B81-link-to-a-folder": (lambda path: path.symlink_to("/etc"), "symbolic link to '/etc'"),
    "B81-loop": (lambda path: path.symlink_to("x"), "symbolic link to 'x'"),
    "B81-hard-link-out": (lambda path: os.link(outside(path), path), "1 of its 2 names are elsewhere"),
    "B82-fifo": (os.mkfifo, "a fifo"),
    "B82-socket": (_socket, "a socket"),
    "B82-setuid": (lambda path: put(path, b"", 0o4755), "setuid"),
    "B82-setgid": (lambda path: put(path, b"", 0o2755), "setgid"),
}


def grow(path: Path) -> None:
    """Write more behind what is there."""
    with path.open("ab") as stream:
        stream.write(b"more")


def _in_disguise(path: Path) -> None:
    """Put another file of the same size and time in place of a file."""
    info = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"x" * info.st_size)
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))
    other.rename(path)


def _write(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"y")


def _replaced(make: Make) -> Make:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


# What may become of a file, or of a name, behind a look at it.
CHANGES: dict[str, Make] = {
    "F22-B85-grows": grow,
    "F22-B85-shrinks": lambda path: os.truncate(path, 1),
    "F22-B85-vanishes": lambda path: path.unlink(),
    "F22-touched": lambda path: os.utime(path, (1, 1)),
    "F22-written": _write,
    "F22-renamed": lambda path: path.rename(path.with_name("zz")),
    "F22-another-file": _replaced(lambda path: path.write_bytes(b"y" * 9)),
    "F22-another-file-of-its-size-and-time": _in_disguise,
    "F22-link": _replaced(lambda path: path.symlink_to("/etc/passwd")),
    "F22-link-to-outside": _replaced(lambda path: path.symlink_to(outside(path))),
    "F22-hard-link-to-outside": _replaced(lambda path: os.link(outside(path), path)),
    "F22-folder": _replaced(lambda path: path.mkdir()),
    "F22-fifo": _replaced(os.mkfifo),
    "F22-setuid": lambda path: path.chmod(0o4755),
    "F22-second-name": lambda path: os.link(path, path.parents[1] / "second-name"),
}

# One name, or several folders and a name; bytes that are not text as Python has them.
NAMES: dict[str, str] = {
    "newline": "with\nnewline",
    "escape": "\x1b[31mred",
    "percent": "50%s",
    "longest": "n" * 255,
    "longest-of-two-bytes": "é" * 127,
    "not-utf-8": os.fsdecode(b"\xff\xfe"),
    "dash": "-rf",
    "space": " ",
    "formula": "=cmd()",
    "composed": "é",
    "decomposed": "e\u0301",
    "upper": "A",
    "lower": "a",
    "dots": "..a",
    "drive": "C:x",
}

# Paths that could lead elsewhere, or that no file can have.
UNSAFE: tuple[str, ...] = (
    "../x", "/abs", "a/../../b", "a//b", ".", "..", "", "a/", "./a", "a/.", "a/..", "a\0b", "\ud800", "a/\udfff",
)  # fmt: skip
# Those at which nobody makes a file where they come from elsewhere.
UNMADE: tuple[str, ...] = ("C:\\x", "a\\b", "x" * 256, "é" * 128, "d/" + "x" * 256, "d/" * 2100 + "x")
