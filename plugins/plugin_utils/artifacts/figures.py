# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it took to bring files home: the transfer report of a node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Ways by which a stream comes, as reports call them.
LINK, STREAM, COMMANDS, COPY = "link", "stream", "commands", "copy"


@dataclass
class Figures:
    """Sums over the streams of one transfer. sent: bytes on the wire; raw: of contents in them; seconds: the node's.

    resumed: files that were here from an earlier stream and not sent again.
    """

    files: int = 0
    bytes: int = 0
    sent: int = 0
    raw: int = 0
    resumed: int = 0
    seconds: float = 0.0
    algorithm: str = ""
    carriers: list[str] = field(default_factory=list)


def report(transfers: Iterable[Figures], retries: int, seconds: float, integrity: str) -> dict[str, Any]:
    """Return the report of a node as JSON values. seconds: for all of it; ratio: contents to bytes on the wire, None for none."""
    found = list(transfers)
    sent, raw, size = (sum(getattr(one, name) for one in found) for name in ("sent", "raw", "bytes"))
    return {
        "files": sum(one.files for one in found),
        "bytes": size,
        "seconds": round(seconds, 3),
        "mb_per_s": round(size / seconds / 1e6, 1) if seconds > 0 else None,
        "sent_bytes": sent,
        "ratio": round(raw / sent, 2) if sent and raw else None,
        "retries": retries,
        "resumed_files": sum(one.resumed for one in found),
        "carrier": "+".join(dict.fromkeys(name for one in found for name in one.carriers)),
        "algorithm": "+".join(dict.fromkeys(one.algorithm for one in found if one.algorithm)) or "none",
        "integrity": integrity,
    }
