# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine itself says: kernel log, journal, memory, disks, network, engine, GPUs. Each piece or the reason why not.

A piece has a limit of its own and all of them have one together: what hangs is left behind and holds up nothing else.
"""

from __future__ import annotations

import json
import os
import queue
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Union

from .command import run, which
from .context import Clock
from .engine import Engine
from .errors import CellError
from .redact import HIDDEN, is_secret

PIECE_S = 10.0  # nvidia-smi needs some seconds where eight GPUs sleep; what needs more than this hangs
WHOLE_S = 40.0  # a run waits so long for a machine that is sick, once a case
WORKERS = 4  # three may hang for their whole limit, and the rest is still asked
KEPT = 4 << 20
JOURNAL_LINES = "20000"
MAX_SETTINGS = 50_000
GPU_FIELDS = (
    *("timestamp", "index", "name", "uuid", "pci.bus_id", "driver_version", "vbios_version", "pstate"),
    *("temperature.gpu", "utilization.gpu", "utilization.memory", "memory.total", "memory.used", "power.draw"),
    *("power.limit", "clocks.sm", "clocks.mem", "ecc.errors.uncorrected.volatile.total"),
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "nvidia-smi.txt": ("nvidia-smi", "-q"),
    "nvidia-smi.csv": ("nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,nounits"),
    "df.txt": ("df", "-PT"),
    "df_inodes.txt": ("df", "-Pi"),
    "processes.txt": ("ps", "-eo", "pid,ppid,pgid,user,stat,etime,rss,comm"),
}
FILES = {
    "meminfo.txt": "/proc/meminfo",
    "loadavg.txt": "/proc/loadavg",
    "mounts.txt": "/proc/self/mountinfo",
    "net_dev.txt": "/proc/net/dev",
    "net_snmp.txt": "/proc/net/snmp",
    "net_netstat.txt": "/proc/net/netstat",
}
ENGINE_CALLS = {"docker_info.json": "/info", "docker_version.json": "/version", "docker_system_df.json": "/system/df"}
_XID = re.compile(rb"NVRM: Xid \(")

Content = Union[bytes, str]  # text in place of bytes is the reason why there is no content
Work = Callable[[], "list[tuple[str, Content]]"]


@dataclass(frozen=True)
class Machine:
    """Where the pieces come from. began_unix: since when the journal is wanted, by the node's clock."""

    environ: Mapping[str, str]
    engine: Engine
    began_unix: float
    clock: Clock = field(default_factory=Clock)
    root: Path = Path("/")


def pieces(machine: Machine) -> Iterator[tuple[str, Content]]:
    """Yield (file name, content) of each piece as it comes, at last those that did not come in time."""
    works = _works(machine)
    left = {name for names, _ in works for name in names}
    for name, content in _together(works, machine.clock):
        left.discard(name)
        yield name, content
    for name in sorted(left):
        yield name, f"it did not come within the {WHOLE_S:g} s that all pieces have together"


def _works(machine: Machine) -> list[tuple[tuple[str, ...], Work]]:
    """Return the pieces of work, each with the names of what it gives; first what a failure is explained with."""
    single: dict[str, Callable[[], Content]] = {
        "journal_kernel.txt": lambda: _journal(machine, "-k"),
        "journal_engine.txt": lambda: _journal(machine, "-u", "docker.service", "-u", "containerd.service"),
        **{name: _reader(machine.root, path) for name, path in FILES.items()},
        **{name: _runner(machine, argv) for name, argv in COMMANDS.items()},
        **{name: _caller(machine.engine, path) for name, path in ENGINE_CALLS.items()},
        "infiniband.txt": lambda: _infiniband(machine.root),
        "sysctl.txt": lambda: _settings(machine.root),
    }
    works: list[tuple[tuple[str, ...], Work]] = [(("dmesg.txt", "xid.txt"), lambda: _kernel_log(machine))]
    return works + [((name,), _alone(name, work)) for name, work in single.items()]


def _alone(name: str, work: Callable[[], Content]) -> Work:
    return lambda: [(name, work())]


def _reader(root: Path, path: str) -> Callable[[], Content]:
    return (root / path.lstrip("/")).read_bytes


def _runner(machine: Machine, argv: Sequence[str]) -> Callable[[], Content]:
    return lambda: _output(machine.environ, argv)


def _caller(engine: Engine, path: str) -> Callable[[], Content]:
    return lambda: _answer(engine, path)


def _answer(engine: Engine, path: str) -> Content:
    return json.dumps(engine.call("GET", path, timeout=PIECE_S)).encode()


def _together(works: list[tuple[tuple[str, ...], Work]], clock: Clock) -> Iterator[tuple[str, Content]]:
    """Do the work in several threads and yield what comes in time. A thread that hangs is left behind."""
    waiting: queue.SimpleQueue[tuple[tuple[str, ...], Work]] = queue.SimpleQueue()
    done: queue.SimpleQueue[list[tuple[str, Content]]] = queue.SimpleQueue()
    for one in works:
        waiting.put(one)
    for _ in range(WORKERS):
        threading.Thread(target=_work, args=(waiting, done), daemon=True).start()
    deadline = clock.monotonic() + WHOLE_S
    for _ in works:
        try:
            found = done.get(timeout=max(0.0, deadline - clock.monotonic()))
        except queue.Empty:
            return
        yield from found


def _work(waiting: queue.SimpleQueue[Any], done: queue.SimpleQueue[Any]) -> None:
    while True:
        try:
            names, work = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            done.put(work())
        except CellError as exc:
            done.put([(name, exc.message) for name in names])
        except Exception as exc:  # whatever is wrong with one piece must not cost another one
            done.put([(name, str(exc) or type(exc).__name__) for name in names])


def _tail(content: bytes) -> bytes:
    """Return the last KEPT bytes of a text in whole lines."""
    return content if len(content) <= KEPT else content[-KEPT:].partition(b"\n")[2]


def _output(environ: Mapping[str, str], argv: Sequence[str]) -> Content:
    if which(argv[0], environ) is None:
        return f"{argv[0]} is not installed"
    done = run(argv, dict(environ), PIECE_S)
    if done.timed_out:
        return f"{argv[0]} did not end within {PIECE_S:g} s"
    if not done.ok:
        said = (done.err.strip() or done.out.strip())[:300]
        return f"{argv[0]} failed with exit code {done.code}: {said}"
    return _tail(done.out.encode())


def _kernel_log(machine: Machine) -> list[tuple[str, Content]]:
    """Return the kernel's log and those of its lines that tell of errors of NVIDIA GPUs."""
    found = _output(machine.environ, ("dmesg", "-T"))
    if isinstance(found, str) and "failed with exit code" in found:
        found = _output(machine.environ, ("dmesg",))  # busybox knows no -T
    if isinstance(found, str):
        return [("dmesg.txt", found), ("xid.txt", f"the kernel's log cannot be read: {found}")]
    lines = [line for line in found.splitlines() if _XID.search(line)]
    title = b"# %d lines about Xid errors in the kernel's log\n" % len(lines)
    return [("dmesg.txt", found), ("xid.txt", title + b"".join(line + b"\n" for line in lines))]


def _journal(machine: Machine, *which_part: str) -> Content:
    """Return a part of the journal since the case began."""
    form = ("--no-pager", "-o", "short-iso", "-n", JOURNAL_LINES)
    return _output(machine.environ, ("journalctl", *which_part, f"--since=@{int(machine.began_unix)}", *form))


def _infiniband(root: Path) -> Content:
    """Return the counters of every InfiniBand port, one `device/port/kind/name value` a line."""
    top = root / "sys/class/infiniband"
    found = sorted(top.glob("*/ports/*/*counters/*")) if top.is_dir() else []
    lines = [f"{path.relative_to(top)} {value}" for path in found if (value := _value(path)) is not None]
    return ("\n".join(lines) + "\n").encode() if lines else "there is no InfiniBand device"


def _settings(root: Path) -> Content:
    """Return the kernel's settings as `sysctl -a` prints them; keys of its own stay hidden, and what cannot be read is left out."""
    top = root / "proc/sys"
    lines: list[str] = []
    for folder, _, names in os.walk(top):
        for name in names:
            path = Path(folder, name)
            value = _value(path)
            if value is not None and len(lines) < MAX_SETTINGS:
                key = ".".join(path.relative_to(top).parts)
                lines.append(f"{key} = {HIDDEN if is_secret(name) and value else value}")
    return ("\n".join(sorted(lines)) + "\n").encode() if lines else "no setting can be read"


def _value(path: Path) -> str | None:
    try:
        return " ".join(path.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return None
