# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs of this node and who uses their memory: NVIDIA by its tool, AMD by the kernel's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import procs
from .command import run, which

MIB = 1 << 20
TIMEOUT_S = 10.0
_CARDS = ("index", "name", "uuid", "memory.total", "memory.used", "utilization.gpu")
_USERS = ("pid", "process_name", "gpu_uuid", "used_memory")
NO_CARD = "No devices were found"
NO_USER = "No running processes found"
# What nvidia-smi prints where a card, a mode (MIG) or the user's rights have no figure. Any other word is a fault.
UNTOLD = frozenset({"n/a", "not supported", "insufficient permissions", "not available"})
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
    listed = _query(environ, "compute-apps", _USERS) if users and cards else []
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
        return [] if NO_CARD in words else f"nvidia-smi failed with exit code {done.code}: {words[:500]}"
    return rows(done.out, len(fields))


def rows(text: str, width: int) -> list[list[str]] | str:
    """Return the fields of each line, or a complaint when a line is none; a comma in a name stays in the name.

    A driver that lost one of its cards says so in a line among those of the others, and may still end with 0.
    """
    found: list[list[str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line in (NO_CARD, NO_USER):
            continue
        fields = [field.strip() for field in line.split(",")]
        extra = len(fields) - width
        if extra < 0:
            return f"nvidia-smi said: {line[:500]}"
        found.append([fields[0], ", ".join(fields[1 : 2 + extra]), *fields[2 + extra :]])
    return found


def _card(row: list[str]) -> dict[str, Any]:
    index, name, uuid, total, used, busy = row
    memory = {"memory_total_bytes": _bytes(total), "memory_used_bytes": _bytes(used)}
    fault = next(filter(None, map(_fault, (total, used, busy))), "")
    card = {"index": _number(index), "name": name, "uuid": uuid, **memory, "utilization_percent": _number(busy)}
    return {**card, "fault": fault}


def _fault(figure: str) -> str:
    """Return the word that stands in place of a figure, such as `ERR!`, or "" when it is one or just is not told."""
    word = figure.strip("[]")
    return "" if _number(figure) is not None or word.lower() in UNTOLD else word


def _user(row: list[str]) -> dict[str, Any]:
    """Return one process that uses a card; container, user and age_s are those that the kernel tells of it."""
    pid = _number(row[0])
    known = procs.about(pid) if pid is not None else {}
    program = "" if row[1].startswith("[") else row[1]
    return {"pid": pid, "program": program, "uuid": row[2], "memory_used_bytes": _bytes(row[3]), **known}


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
            found.append({"index": len(found), "name": name, "uuid": uuid, **memory, **busy, "fault": ""})
    return found


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
