# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this node is and has: machine, engine, Compose, disks, GPUs, ports, lease, and what earlier runs left."""

from __future__ import annotations

import os
import platform
import pwd
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import cgroup, compose_known, gpus, lease, ports, procs, quarantine
from .command import which
from .context import Context
from .engine import connect
from .errors import CellError
from .leftovers import inventory
from .lifetime import life
from .listeners import published
from .params import texts
from .request import flag
from .wants import wants

ENGINE_LIMIT_S = 5.0
Json = dict[str, Any]


def facts(ctx: Context, args: Json) -> Json:
    """Return the facts of this node. args: paths (whose disks are told beside the node root's and the engine's), those of `wants`.

    deep: false leaves out what takes long. compose: false leaves out only Compose, whose programs take longest to answer.
    """
    deep = flag(args, "deep", True)
    parts: dict[str, Callable[[], Json]] = {
        "machine": lambda: machine(ctx),
        "engine": lambda: {"engine": engine_facts(ctx)},
        "disks": lambda: {"disks": [disk(path) for path in dict.fromkeys([str(ctx.root), *texts(args, "paths")])]},
        "lease": lambda: {"lease": _lease(ctx)},
        "memory": lambda: {"memory": quarantine.op_quarantine(ctx, {"action": "show"})},
        "leftovers": lambda: _leftovers(ctx),
        "compose": lambda: _composes(ctx, deep and flag(args, "compose", True)),
        "gpus": lambda: _gpus(ctx, deep),
        "listening": lambda: {"listening": _listening(ctx) if deep else []},
        "wants": lambda: wants(ctx, args),
    }
    answer: Json = {"deep": deep}
    with ThreadPoolExecutor(len(parts)) as pool:
        for part in pool.map(lambda make: make(), parts.values()):
            answer.update(part)
    answer["disks"] += engine_disk(ctx, answer["engine"])
    return answer


def machine(ctx: Context) -> Json:
    """Return what the kernel and the interpreter say."""
    return {
        "hostname": socket.gethostname(),
        "user": _user(),
        "uid": os.geteuid(),
        "boot_id": procs.boot_id(),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "time_unix": ctx.clock.unix(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(Path("/proc/meminfo").read_text(encoding="ascii")),
        "cgroup": cgroup.version(),
    }


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def memory_bytes(text: str) -> int:
    """Return MemTotal of `/proc/meminfo` in bytes, 0 when it is not there."""
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def engine_facts(ctx: Context) -> Json:
    """Return {ok, version, api, platform, root_dir, driver, installed, life, error_kind, error}, also where none answers.

    installed: its program is there. platform: the name that its maker gave it, which most distributions leave empty.
    life: another word after each start of the engine, "" where that cannot be told.
    """
    answer: Json = {"ok": False, "version": "", "api": "", "root_dir": "", "driver": "", "error_kind": "", "error": ""}
    answer.update(platform="", life="", installed=which("dockerd", ctx.environ) is not None)
    try:
        engine = connect(ctx.environ, ENGINE_LIMIT_S)
        answer["socket"] = engine.path
        version, info = engine.version(ENGINE_LIMIT_S), engine.info(ENGINE_LIMIT_S)
    except CellError as exc:
        return {**answer, "error_kind": exc.kind, "error": exc.message}
    runtimes = sorted(info.get("Runtimes") or {})
    answer.update(ok=True, version=version.get("Version", ""), api=version.get("ApiVersion", ""), runtimes=runtimes)
    answer.update(platform=(version.get("Platform") or {}).get("Name") or "", life=life(engine.path))
    return {**answer, "root_dir": info.get("DockerRootDir", ""), "driver": info.get("Driver", "")}


def standing(path: str) -> Path:
    """Return a path, or the nearest folder above it that is there already."""
    place = Path(path)
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def disk(path: str) -> Json:
    """Return the space of the disk that holds a path, or will hold it once it is made."""
    try:
        space = os.statvfs(standing(path))
    except OSError as exc:
        return {"path": path, "free_bytes": 0, "total_bytes": 0, "free_inodes": None, "error": str(exc)}
    return {
        "path": path,
        "free_bytes": space.f_bavail * space.f_frsize,
        "total_bytes": space.f_blocks * space.f_frsize,
        "free_inodes": space.f_favail if space.f_files else None,
        "error": "",
    }


def engine_disk(ctx: Context, engine: Json) -> list[Json]:
    """Return the disk of images and containers where it is another one than that of the node root."""
    place = engine["root_dir"]
    try:
        shared = not place or standing(place).stat().st_dev == standing(str(ctx.root)).stat().st_dev
    except OSError:
        return []
    return [] if shared else [disk(place)]


def _lease(ctx: Context) -> Json:
    """Return the node's lease as it stands."""
    return lease.op_lease(ctx, {"action": "show"})


def _leftovers(ctx: Context) -> Json:
    """Return what earlier runs left, without the request's own run; the error when it cannot be listed."""
    own = ctx.run.id if ctx.run else None
    try:
        found = inventory(ctx, connect(ctx.environ, ENGINE_LIMIT_S))
    except CellError as exc:
        return {"leftovers": [], "leftovers_error": exc.message}
    entries = [{**entry, "ours": entry["run"] in found.ours} for entry in found.items if entry["run"] != own]
    return {"leftovers": entries, "leftovers_error": ""}


def _composes(ctx: Context, wanted: bool) -> Json:
    found = compose_known.detect(ctx.root, ctx.environ, keep=not ctx.check) if wanted else ()
    return {"compose": [one.as_dict() for one in found]}


def _listening(ctx: Context) -> list[Json]:
    """Return who listens; `container` names the one that the engine listens for, as far as the engine tells."""
    found = ports.listening()
    try:
        return published(connect(ctx.environ, ENGINE_LIMIT_S), found)
    except CellError:
        return found


def _gpus(ctx: Context, deep: bool) -> Json:
    found = gpus.read(ctx.environ, users=False) if deep else gpus.Gpus()
    return {"gpus": list(found.cards), "gpu_error": found.error}


OPS: dict[str, Callable[[Context, Json], Json]] = {"facts": facts}
