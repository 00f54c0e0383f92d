# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation `send`: the files that patterns match as one stream, walked, read, digested and sent in one pass.

The receiver's end is plugin_utils/artifacts/receiver.py; frames.py says how the stream looks.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import digests, frames, pipes, squeeze
from .beneath import case_parts, folder
from .context import Context, error_kind
from .errors import CellError
from .params import integer, number, refuse, text, texts
from .patterns import Patterns
from .placing import Placing
from .request import choice, mapping
from .sending import Order, Sending
from .walk import DEFAULT_BYTES, DEFAULT_FILES, Limits, Walk

Write = Callable[[frames.Bytes], object]
PROVES = ("full", "size", "off")


@dataclass(frozen=True)
class Wanted:
    """The arguments of a request.

    base: absolute folder, "" for base_rel below the case's. algorithms: name -> MB/s at the receiver. have: path -> entry
    of what is there already. partial: {path, size, mtime_ns, ctime_ns, offset} of the file of which there is a part.
    at_most: bytes of contents in this stream, 0 for all. into: absolute folder that is filled on this machine, or "".
    """

    base: str
    base_rel: str
    patterns: Patterns
    limits: Limits
    algorithms: dict[str, float]
    prove: str
    compress: str
    have: dict[str, frames.Entry]
    partial: dict[str, Any]
    at_most: int
    into: str

    @classmethod
    def of(cls, args: dict[str, Any]) -> Wanted:
        """Return the arguments, checked."""
        speeds = mapping(args, "algorithms")
        return cls(
            base=_absolute(args, "base"),
            base_rel=text(args, "base_rel", ""),
            patterns=Patterns(texts(args, "patterns")),
            limits=Limits(
                files=integer(args, "max_files", DEFAULT_FILES, 1, 1_000_000),
                size=integer(args, "max_bytes", DEFAULT_BYTES, 0, 1 << 50),
            ),
            algorithms={name: number(speeds, name, 0.0, 0.0, math.inf) for name in speeds},
            prove=choice(args, "prove", PROVES, "full"),
            compress=choice(args, "compress", squeeze.MODES, "auto"),
            have=_have(args),
            partial=mapping(args, "partial"),
            at_most=integer(args, "at_most", 0, 1, 1 << 62),
            into=_absolute(args, "into"),
        )

    @contextmanager
    def folder(self, ctx: Context) -> Iterator[int]:
        """Give a descriptor of the folder that is sent from."""
        place, parts = (Path(self.base), ()) if self.base else (ctx.root, case_parts(ctx, self.base_rel))
        with folder(place, parts) as base_fd:
            yield base_fd

    def algorithm(self) -> str:
        """Return the name of the digest that proves this stream; raise where the ends have none in common."""
        if self.prove != "full":
            return frames.NO_DIGEST
        ours = digests.speeds(tuple(self.algorithms))
        name = digests.choose(self.algorithms, ours)
        if not name:
            raise refuse("algorithms", sorted(self.algorithms), f"one that this node has, such as {digests.STANDARD}")
        return name


def _absolute(args: dict[str, Any], key: str) -> str:
    """Return a folder of a request; "" when it names none."""
    value = text(args, key, "")
    if value and not value.startswith("/"):
        raise refuse(key, value, "an absolute path")
    return value


def _have(args: dict[str, Any]) -> dict[str, frames.Entry]:
    """Return path -> entry of what the receiver has."""
    rows = args.get("have") or []
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(frames.FIELDS) for row in rows):
        raise refuse("have", rows, f"a list of entries [{', '.join(frames.FIELDS)}]")
    return {str(row[0]): row for row in rows}


def answer(opened: Callable[[], tuple[Context, dict[str, Any]]], out_fd: int) -> None:
    """Write the stream of a request to a descriptor. opened: returns the request's surroundings and arguments."""

    pipes.widen(out_fd)  # the next frame is made while this one is on its way

    def write(piece: frames.Bytes) -> None:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(out_fd, rest) :]

    _answer(opened, write)


def stream(ctx: Context, args: dict[str, Any], write: Write) -> None:
    """Write the stream that args ask for; a failure is its last frame. BrokenPipeError: the receiver has ended it.

    write: see frames.Outlet.
    """
    _answer(lambda: (ctx, args), write)


def _answer(opened: Callable[[], tuple[Context, dict[str, Any]]], write: Write) -> None:
    try:
        out = frames.Outlet(write)
        failure = _failure(opened, out)
        if failure:
            out.value(frames.ERROR, failure)
    except frames.Lost as exc:
        raise BrokenPipeError(str(exc)) from exc


def _failure(opened: Callable[[], tuple[Context, dict[str, Any]]], out: frames.Outlet) -> dict[str, Any]:
    """Send what is asked for, and return what that failed with, {} for nothing."""
    try:
        ctx, args = opened()
        _stream(ctx, Wanted.of(args), out)
    except frames.Lost:
        raise
    except CellError as exc:
        return exc.as_dict()
    except Exception as exc:
        message = f"send failed: {type(exc).__name__}: {exc}"
        return {"kind": error_kind(exc), "message": message, "detail": {}}
    return {}


def _stream(ctx: Context, wanted: Wanted, out: frames.Outlet) -> None:
    sending = Sending(out, wanted.algorithm(), wanted.prove, wanted.compress)
    with ExitStack() as opened:
        try:
            base_fd = opened.enter_context(wanted.folder(ctx))
        except CellError as exc:
            if exc.kind != "artifact_missing":
                raise
            return sending.nothing(wanted.patterns.texts)
        _send(wanted, sending, base_fd)
    return None


def _send(wanted: Wanted, sending: Sending, base_fd: int) -> None:
    """Send what the patterns match below an open folder."""
    walk = Walk(base_fd, wanted.patterns, wanted.limits)
    with _placing(wanted.into) as placing:
        sending.run(base_fd, walk, Order(wanted.have, wanted.partial, wanted.at_most, placing))


@contextmanager
def _placing(into: str) -> Iterator[Placing | None]:
    """Give the folder that is filled on this machine, None where the contents go into the stream."""
    if not into:
        yield None
        return
    with folder(Path(into), ()) as into_fd:
        placing = Placing(into_fd)
        try:
            yield placing
        finally:
            placing.close()
