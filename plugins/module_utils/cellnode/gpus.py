# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs of this node and who uses their memory: NVIDIA by its tool, AMD by the kernel's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .command import run, which

MIB = 1 << 20
TIMEOUT_S = 10.0
_CARDS = ("index", "name", "uuid", "memory.total", "memory.used", "utilization.gpu")
_USERS = ("pid", "gpu_uuid", "used_memory")
AMD_VENDOR = "0x1002"


@dataclass(frozen=True)
class Gpus:
    """The cards, their users, and why they could not be listed (empty when they could, or when there are none)."""

    cards: tuple[dict[str, Any], ...] = ()
    users: tuple[dict[str, Any], ...] = ()
    error: str = ""


def read(environ: Mapping[str, str], drm: Path = Path("/sys/class/drm"), *, users: bool = True) -> Gpus:
    """Return the GPUs of this node; no tool and no card is an empty list without an error. users: who uses them, too."""
    amd = tuple(_amd_cards(drm))
    if which("nvidia-smi", environ) is None:
        return Gpus(amd)
    cards = _query(environ, "gpu", _CARDS)
    if isinstance(cards, str):
        return Gpus(amd, (), cards)
    found = tuple(_card(row) for row in cards) + amd
    listed = _query(environ, "compute-apps", _USERS) if users else []
    if isinstance(listed, str):
        return Gpus(found, (), listed)
    return Gpus(found, tuple(_user(row) for row in listed))


def _query(environ: Mapping[str, str], what: str, fields: tuple[str, ...]) -> list[list[str]] | str:
    """Return the rows of one question to nvidia-smi, or its complaint."""
    argv = ["nvidia-smi", f"--query-{what}={','.join(fields)}", "--format=csv,noheader,nounits"]
    done = run(argv, dict(environ), TIMEOUT_S)
    if done.timed_out:
        return f"nvidia-smi did not answer within {TIMEOUT_S:g} s"
    if not done.ok:
        words = " ".join((done.out + " " + done.err).split())
        return (
            "" if "No devices were found" in words else f"nvidia-smi failed with exit code {done.code}: {words[:500]}"
        )
    return rows(done.out, len(fields))


def rows(text: str, width: int) -> list[list[str]]:
    """Return the fields of each line that has at least width of them; a comma in a name stays in the name."""
    found: list[list[str]] = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) >= width:
            extra = len(fields) - width
            found.append([fields[0], ", ".join(fields[1 : 2 + extra]), *fields[2 + extra :]])
    return found


def _card(row: list[str]) -> dict[str, Any]:
    index, name, uuid, total, used, busy = row
    memory = {"memory_total_bytes": _bytes(total), "memory_used_bytes": _bytes(used)}
    return {"index": _number(index), "name": name, "uuid": uuid, **memory, "utilization_percent": _number(busy)}


def _user(row: list[str]) -> dict[str, Any]:
    return {"pid": _number(row[0]), "uuid": row[1], "memory_used_bytes": _bytes(row[2])}


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _bytes(mib: str) -> int | None:
    number = _number(mib)
    return None if number is None else number * MIB


def _amd_cards(drm: Path) -> list[dict[str, Any]]:
    """Return the AMD cards that the kernel shows, in the shape of the others."""
    found: list[dict[str, Any]] = []
    for device in sorted(drm.glob("card[0-9]*/device")):
        total, used = _file(device / "mem_info_vram_total"), _file(device / "mem_info_vram_used")
        if _file(device / "vendor") == AMD_VENDOR and total.isdigit():
            name, uuid = _file(device / "product_name") or "AMD GPU", _file(device / "unique_id") or device.parent.name
            memory = {"memory_total_bytes": int(total), "memory_used_bytes": _number(used)}
            busy = {"utilization_percent": _number(_file(device / "gpu_busy_percent"))}
            found.append({"index": len(found), "name": name, "uuid": uuid, **memory, **busy})
    return found


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
