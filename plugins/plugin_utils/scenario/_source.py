# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a file that a user wrote: regular, small, UTF-8, without characters that a reader cannot see.

Used by the YAML and the JSON reader. A FIFO, a device or a link out of `root` is refused before a byte is read.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from ..problems import InputError, Problem, escape

MEBIBYTE = 1024 * 1024
_MOST_CHARACTERS_NAMED = 20
_BOMS = {
    b"\xef\xbb\xbf": "UTF-8",
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "FIFO",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}
# C0 and C1 controls except tab and line ends, bidirectional controls, line separators, BOM, surrogates, non-characters
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a file and what it holds may be; aliases count for all that they expand to."""

    max_bytes: int = MEBIBYTE
    max_depth: int = 32
    max_values: int = 20_000
    max_aliases: int = 100
    max_string: int = 64 * 1024


def read_text(path: Path, limits: Limits, root: Path | None = None) -> str:
    """Return the text of a small regular UTF-8 file. root: the folder that links may not leave (default: its own)."""
    raw = _read_bytes(path, limits, root)
    text = _decode(raw, str(path))
    problems = forbidden_characters(text, str(path))
    if problems:
        raise InputError(problems)
    return text


def forbidden_characters(text: str, file: str) -> list[Problem]:
    """Return one problem for each control or bidirectional character, with its code point; at most twenty."""
    found = []
    for match in FORBIDDEN.finditer(text):
        line, column = _position(text, match.start())
        found.append(Problem(file, line, column, message=f"{name_character(match[0])} is not allowed in a text file"))
        if len(found) == _MOST_CHARACTERS_NAMED:
            break
    return found


def name_character(char: str) -> str:
    """Return what an invisible character is, e.g. `bidirectional control U+202E RIGHT-TO-LEFT OVERRIDE`."""
    code, name = ord(char), unicodedata.name(char, "")
    group = "control character" if not name or unicodedata.category(char) == "Cc" else "invisible character"
    if unicodedata.category(char) == "Cf" and code != 0xFEFF:
        group = "bidirectional control"
    return f"{group} U+{code:04X}{' ' + name if name else ''}"


def _read_bytes(path: Path, limits: Limits, root: Path | None) -> bytes:
    try:
        real = path.resolve(strict=True)
        _refuse_escape(path, real, root)
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError, RuntimeError) as exc:
        raise _unreadable(path, exc) from None
    try:
        _refuse_kind(path, os.fstat(descriptor), limits)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            raw = stream.read(limits.max_bytes + 1)
    except OSError as exc:
        raise _unreadable(path, exc) from None
    finally:
        os.close(descriptor)
    if len(raw) > limits.max_bytes:
        raise _too_large(path, f"more than {limits.max_bytes} bytes", limits)
    return raw


def _unreadable(path: Path, exc: Exception) -> InputError:
    missing = isinstance(exc, FileNotFoundError | NotADirectoryError)
    reason = getattr(exc, "strerror", None) or escape(str(exc))
    message = "file does not exist" if missing else f"file cannot be read: {reason}"
    return InputError([Problem(str(path), message=message)])


def _refuse_escape(path: Path, real: Path, root: Path | None) -> None:
    allowed = (root or path.parent).resolve()
    if not real.is_relative_to(allowed):
        message = f"the path leads out of the folder {escape(str(allowed))}, to {escape(str(real))}"
        raise InputError([Problem(str(path), message=message)])


def _refuse_kind(path: Path, status: os.stat_result, limits: Limits) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
        raise InputError([Problem(str(path), message="not a regular file", got=kind)])
    if status.st_size > limits.max_bytes:
        raise _too_large(path, f"{status.st_size} bytes", limits)


def _too_large(path: Path, got: str, limits: Limits) -> InputError:
    allowed = f"up to {limits.max_bytes} bytes"
    return InputError([Problem(str(path), message="file is too large", got=got, allowed=allowed)])


def _decode(raw: bytes, file: str) -> str:
    for bom, name in _BOMS.items():
        if raw.startswith(bom):
            message = f"{name} byte order mark at byte offset 0; save the file as UTF-8 without a byte order mark"
            raise InputError([Problem(file, 1, 1, message=message)])
    if b"\x00" in raw[:4] and len(raw) % 2 == 0:
        message = f"byte offset {raw.index(0)} is 0x00: this looks like UTF-16 or UTF-32; save the file as UTF-8"
        raise InputError([Problem(file, 1, 1, message=message)])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        line, column = _position(raw[: exc.start].decode("utf-8"), exc.start)
        message = f"byte 0x{raw[exc.start]:02x} at byte offset {exc.start} is not valid UTF-8 ({exc.reason})"
        raise InputError([Problem(file, line, column, message=message)]) from None


def _position(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
