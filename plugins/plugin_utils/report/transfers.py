# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it took to bring a node's files home, in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .values import mapping, number, shown, size, text

# A plain stream has heads beside its contents; what is compressed is clearly smaller than these.
COMPRESSED = 1.05
# Of so many files that were not taken the reason is told; the manifest has all.
SHOWN = 3
UNPROVED = {"size": "only sizes compared", "off": "nothing proved"}


def told(transfer: Mapping[str, Any]) -> str:
    """Return a transfer report in one line, as far as it has figures."""
    parts = [f"{_files(transfer.get('files'))}, {size(transfer.get('bytes'))} in {shown(transfer.get('seconds'), 's')}"]
    if number(transfer.get("mb_per_s")) is not None:
        parts[0] += f" ({shown(transfer['mb_per_s'], 'MB/s')})"
    if (number(transfer.get("ratio")) or 0) > COMPRESSED:
        parts.append(f"compressed {shown(transfer['ratio'])} to 1")
    if transfer.get("retries"):
        parts.append(
            f"{_count(transfer['retries'], 'retry', 'retries')}, {_files(transfer.get('resumed_files'))} not sent twice"
        )
    if transfer.get("carrier"):
        parts.append(f"by {transfer['carrier']}")
    return ", ".join([*parts, _proof(transfer)])


def left_out(refused: Sequence[Mapping[str, Any]], listed_in: str = "manifest.json") -> str:
    """Return what is said of files that a node has and that were not taken, "" for none. refused: {path, why} each."""
    if not refused:
        return ""
    named = [f"{text(one.get('path'))!r} ({text(one.get('why'))})" for one in refused[:SHOWN]]
    more = [f"{_count(len(refused) - SHOWN, 'more', 'more')}"] if len(refused) > SHOWN else []
    return f"not all files came home: {', '.join([*named, *more])}; {listed_in} names each one"


def of_nodes(record: Mapping[str, Any]) -> list[str]:
    """Return a line for each node of a case's record whose files came home."""
    transfers = mapping(mapping(record.get("artifacts")).get("transfers"))
    return [f"{node}: {told(mapping(transfer))}" for node, transfer in transfers.items()]


def _files(value: Any) -> str:
    return _count(value, "file", "files")


def _count(value: Any, one: str, many: str) -> str:
    return f"{shown(value)} {one if value == 1 else many}"


def _proof(transfer: Mapping[str, Any]) -> str:
    return UNPROVED.get(text(transfer.get("integrity")), f"proved by {text(transfer.get('algorithm'))}")
