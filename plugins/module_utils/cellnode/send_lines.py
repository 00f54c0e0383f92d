# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation `send` where answers are lines of text: the stream of files as events {"stream": base64 of its next bytes}."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from .context import Context
from .send import stream

# A multiple of three, so that only the last piece is padded; small enough that a slow way shows that it moves.
PIECE_BYTES = 48 << 10


def send(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Emit the stream that args ask for and return {}; a failure is its last frame."""
    stream(ctx, args, lambda data: _emit(ctx, memoryview(data)))
    return {}


def _emit(ctx: Context, data: memoryview) -> None:
    for begin in range(0, len(data), PIECE_BYTES):
        ctx.emit({"stream": base64.b64encode(data[begin : begin + PIECE_BYTES]).decode("ascii")})


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"send": send}
