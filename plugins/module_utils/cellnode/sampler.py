# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How busy the machine is while a case runs: one CSV line a moment, from /proc, until the case's evidence is collected.

It runs as a unit beside the test, so that it outlives its caller, ends with the lease, and is found by whoever cleans.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from . import logfile, main, supervise, unit
from .context import Context
from .errors import CellError

UNIT = "samples"

INTERVAL_S = 1.0
# After so many lines the interval doubles: a short case is seen by the second, and 30 days are about a megabyte.
LINES_OF_AN_INTERVAL = 600
LONGEST_S = 30 * 86400
LOG_CAP_BYTES = 8 << 20
SECTOR_BYTES = 512
COLUMNS = (
    *("unix_s", "interval_s", "cpu_busy_pct", "cpu_iowait_pct", "cpu_steal_pct", "load_1m", "processes_running"),
    *("memory_used_bytes", "memory_available_bytes", "swap_used_bytes"),
    *("disk_read_bytes_per_s", "disk_written_bytes_per_s", "disk_busiest_pct"),
    *("net_received_bytes_per_s", "net_sent_bytes_per_s"),
)
PSEUDO_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "nbd")
INNER_NETWORKS = ("veth", "docker", "br-", "virbr", "cni", "cali")


@dataclass(frozen=True)
class Counters:
    """What the kernel has counted since boot. cpu: ticks by kind; disks: (sectors read, written, busy ms); net: (in, out)."""

    cpu: tuple[int, ...] = ()
    disks: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    net: dict[str, tuple[int, int]] = field(default_factory=dict)
    running: int | None = None


def count(proc: Path, disks: set[str], cards: set[str]) -> Counters:
    """Return the counters now. disks, cards: the names that count."""
    stat = dict(line.split(" ", 1) for line in _lines(proc / "stat") if " " in line)
    found = [line.split() for line in _lines(proc / "diskstats")]
    nets = [line.replace(":", " ", 1).split() for line in _lines(proc / "net" / "dev")[2:]]
    return Counters(
        cpu=tuple(int(word) for word in stat.get("cpu", "").split()[:8]),
        disks={words[2]: (int(words[5]), int(words[9]), int(words[12])) for words in found if words[2] in disks},
        net={words[0]: (int(words[1]), int(words[9])) for words in nets if words[0] in cards},
        running=int(stat["procs_running"]) if "procs_running" in stat else None,
    )


def _lines(path: Path) -> list[str]:
    """Return the lines of a file of the kernel, none where it does not have it."""
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def whole_disks(sys_block: Path) -> set[str]:
    """Return the disks that are no part, view or image of another one."""
    names = {path.name for path in sys_block.iterdir()} if sys_block.is_dir() else set()
    return {name for name in names if not name.startswith(PSEUDO_DISKS)}


def cards(sys_net: Path) -> set[str]:
    """Return the network cards; where there are none, as in a container, whatever leads outside."""
    names = {path.name for path in sys_net.iterdir()} if sys_net.is_dir() else set()
    real = {name for name in names if (sys_net / name / "device").exists()}
    return real or {name for name in names if name != "lo" and not name.startswith(INNER_NETWORKS)}


def line_of(before: Counters, after: Counters, seconds: float, unix: float, proc: Path) -> str:
    """Return the CSV line for the seconds between two counts; what the kernel does not tell is empty."""
    memory = _memory(proc)
    load = _lines(proc / "loadavg")
    ticks = [new - old for old, new in zip(before.cpu, after.cpu)]
    total = sum(ticks)
    disks = [_less(before.disks[name], found) for name, found in after.disks.items() if name in before.disks]
    nets = [_less(before.net[name], found) for name, found in after.net.items() if name in before.net]
    values = (
        f"{unix:.3f}",
        f"{seconds:.3f}",
        _percent(total - ticks[3] - ticks[4], total) if len(ticks) > 4 else "",
        _percent(ticks[4], total) if len(ticks) > 4 else "",
        _percent(ticks[7], total) if len(ticks) > 7 else "",
        load[0].split()[0] if load else "",
        "" if after.running is None else str(after.running),
        _difference(memory, "MemTotal", "MemAvailable"),
        str(memory.get("MemAvailable", "")),
        _difference(memory, "SwapTotal", "SwapFree"),
        *(_rate(disks, index, SECTOR_BYTES, seconds) for index in (0, 1)),
        _percent(max((disk[2] for disk in disks), default=0), seconds * 1000) if disks else "",
        *(_rate(nets, index, 1, seconds) for index in (0, 1)),
    )
    return ",".join(values)


def _memory(proc: Path) -> dict[str, int]:
    """Return the fields of meminfo in bytes."""
    found = (line.replace(":", " ", 1).split() for line in _lines(proc / "meminfo"))
    return {words[0]: int(words[1]) * 1024 for words in found if len(words) > 2}


def _difference(memory: dict[str, int], whole: str, free: str) -> str:
    return str(memory[whole] - memory[free]) if whole in memory and free in memory else ""


def _less(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """Return what was added; a counter that began anew counts from 0."""
    return tuple(now - then if now >= then else now for then, now in zip(old, new))


def _percent(part: float, whole: float) -> str:
    return f"{min(100.0, max(0.0, 100.0 * part / whole)):.1f}" if whole > 0 else ""


def _rate(found: list[tuple[int, ...]], index: int, unit_bytes: int, seconds: float) -> str:
    return str(round(sum(one[index] for one in found) * unit_bytes / seconds)) if found and seconds > 0 else ""


def intervals() -> Iterator[float]:
    """Yield the seconds from one line to the next, without end."""
    interval = INTERVAL_S
    while True:
        yield from [interval] * LINES_OF_AN_INTERVAL
        interval *= 2


def write(out: BinaryIO, proc: Path = Path("/proc"), system: Path = Path("/sys")) -> None:
    """Write the samples until nobody reads them or this process is ended."""
    wanted = whole_disks(system / "block"), cards(system / "class" / "net")
    out.write((",".join(COLUMNS) + "\n").encode())
    before, at = count(proc, *wanted), time.monotonic()
    for interval in intervals():
        time.sleep(max(0.0, at + interval - time.monotonic()))
        after, now = count(proc, *wanted), time.monotonic()
        out.write((line_of(before, after, now - at, time.time(), proc) + "\n").encode())
        out.flush()
        before, at = after, now


def start(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Start the samples of a case and return {started, why}: a case goes on without them, and its evidence says so."""
    program = [sys.executable, "-I", "-S", "-E", os.path.abspath(sys.argv[0]), main.SAMPLE]
    limits = {"timeout_s": LONGEST_S, "grace_s": 1.0, "log_cap_bytes": LOG_CAP_BYTES}
    try:
        supervise.start(ctx, {"name": UNIT, "argv": program, **limits})
    except CellError as exc:
        return {"started": False, "why": exc.message}
    return {"started": True, "why": ""}


def take(ctx: Context) -> bytes:
    """End the samples of a case and return them; raise artifact_missing where there are none."""
    supervise.kill(ctx, {"name": UNIT})
    folder_fd = unit.open_unit(ctx, UNIT)
    try:
        return logfile.read(folder_fd, 0, LOG_CAP_BYTES).data
    finally:
        os.close(folder_fd)


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"samples": start}
