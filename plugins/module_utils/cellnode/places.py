# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run could leave something outside the engine and its own folder: names before, and what is new after."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import mounts, procs
from .context import Context
from .differences import below

Json = dict[str, Any]
NETNS = "docker/netns"  # the end of the folder in which the engine mounts the namespaces of its containers
SCRATCH = {"/tmp": "tmp", "/var/tmp": "tmp", "/dev/shm": "shm"}
CRON = ("/etc/cron.d", "/var/spool/cron", "/var/spool/cron/crontabs", "/var/spool/cron/atjobs", "/var/spool/at")
SHM_TABLE = Path("/proc/sysvipc/shm")
LINKS = "/sys/class/net"
MODULE = "ansible-tmp-"
# What controllers on this machine keep in /tmp while their runs go on, and put away themselves.
CONTROLLERS = ("testcell-link-", "testcell-job-")
MOST_NAMES = 5000  # a folder of more names is not compared
MOST_NEW = 20
# What the node program itself keeps in the node root.
KEPT = re.compile(r"^(?:runs|[a-z_]+\.(?:json|lock)(?:\.[a-z]+)?|cellnode-.+|\.[0-9a-f]{8}\.tmp)\Z")


def folders(ctx: Context) -> dict[str, str]:
    """Return the folders whose names are compared, each with the type of what lies in it."""
    home = ctx.environ.get("HOME") or ""
    ansible = {f"{home}/.ansible/tmp": "ansible_tmp"} if home else {}
    own = {str(ctx.root): "file", str(ctx.runs_dir): "file"}
    return {**own, **SCRATCH, **ansible}


def names(ctx: Context) -> dict[str, list[str]]:
    """Return the names in each folder; one that is absent or that this user may not read has none."""
    found = {folder: _names(folder) for folder in folders(ctx)}
    return {folder: inside for folder, inside in found.items() if len(inside) <= MOST_NAMES}


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def jobs() -> dict[str, int]:
    """Return path -> time of the last change (nanoseconds) of each cron and at job that this user may see."""
    found: dict[str, int] = {}
    for folder in CRON:
        for name in _names(folder):
            path = os.path.join(folder, name)
            with suppress(FileNotFoundError):
                info = os.lstat(path)
                if stat.S_ISREG(info.st_mode):
                    found[path] = info.st_mtime_ns
    return found


def segments() -> list[Json]:
    """Return {id, uid, cpid, bytes} of each shared memory segment (System V); cpid: the process that made it."""
    if not SHM_TABLE.exists():
        return []
    lines = SHM_TABLE.read_text(encoding="ascii").splitlines()
    head = lines[0].split()
    rows = (dict(zip(head, line.split())) for line in lines[1:])
    return [
        {"id": int(row["shmid"]), "uid": int(row["uid"]), "cpid": int(row["cpid"]), "bytes": int(row["size"])}
        for row in rows
    ]


def links() -> dict[str, str]:
    """Return network interface -> the bridge that it belongs to ("" for none)."""
    found: dict[str, str] = {}
    for name in _names(LINKS):
        try:
            found[name] = os.path.basename(os.readlink(f"{LINKS}/{name}/master"))
        except OSError:
            found[name] = ""
    return found


def namespaces() -> list[str]:
    """Return where network namespaces are mounted; an empty file that the engine has not yet tidied away is none."""
    return sorted({mount.point for mount in mounts.current() if mount.kind == "nsfs"})


def disk(ctx: Context) -> Json:
    """Return {path, free_bytes, total_bytes} of the disk that the node root is on."""
    path = next(folder for folder in (ctx.root, *ctx.root.parents) if folder.exists())
    info = os.statvfs(path)
    return {
        "path": str(path),
        "free_bytes": info.f_bavail * info.f_frsize,
        "total_bytes": info.f_blocks * info.f_frsize,
    }


def new(ctx: Context, before: Json, after: Json) -> list[Json]:
    """Return {type, path, user, created, [named]} of what came into the folders and the jobs since.

    Of a temporary folder only what this user owns: others work there as well. named: a job that names the run's folder.
    """
    found: list[Json] = []
    was, now = before.get("names") or {}, after.get("names") or {}
    for folder, kind in folders(ctx).items():
        if folder in was and folder in now:
            fresh = sorted(set(now[folder]) - set(was[folder]))
            found += list(_described(ctx, folder, kind, fresh))[:MOST_NEW]
    for path in sorted(set(after.get("namespaces") or ()) - set(before.get("namespaces") or ())):
        found.append({"type": "netns", "path": path, **_facts(path)})
    for path, changed in (after.get("jobs") or {}).items():
        if (before.get("jobs") or {}).get(path) != changed:
            found.append({"type": "cron", "path": path, **_facts(path), "named": _names_run(ctx, path)})
    return found


def _described(ctx: Context, folder: str, kind: str, fresh: list[str]) -> Iterator[Json]:
    for name in fresh:
        path = os.path.join(folder, name)
        if kind == "file" and (KEPT.match(name) or path == str(ctx.run_dir)):
            continue
        if kind == "ansible_tmp" and not name.startswith(MODULE):  # the controller's own folders lie beside
            continue
        if kind == "tmp" and name.startswith(CONTROLLERS):
            continue
        facts = _facts(path)
        scratch = kind in ("tmp", "shm", "ansible_tmp")
        if not facts or below(str(ctx.root), path) or (scratch and facts["uid"] != os.geteuid()):
            continue
        yield {"type": kind, "path": path, **facts}


def _facts(path: str) -> Json:
    """Return {uid, user, created} of a file, nothing when it is gone."""
    try:
        info = os.lstat(path)
    except OSError:
        return {}
    return {"uid": info.st_uid, "user": procs.user_name(info.st_uid), "created": info.st_mtime}


def _names_run(ctx: Context, path: str) -> bool:
    """Return whether a job's text names the folder of the run."""
    try:
        return f"{ctx.run_dir}/".encode() in Path(path).read_bytes()[: 1 << 20] + b"/"
    except OSError:
        return False
