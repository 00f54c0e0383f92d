# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of v1 and v2: found, made, filled, ended as a whole, and removed.

One unit has one group, in one hierarchy: `<base>/testcell-<root key>/<run>:<name>:<nonce>/{work,sup}`. The command and
whatever it starts live in `work`, the supervisor in `sup`, so that a login session's end does not take it along.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import mounts
from .mounts import Mount
from .procs import GROUP_PREFIX, Proc, identify, root_key, send

PREFERENCE = ("v2", "freezer", "pids", "name=systemd", "hybrid")
FREEZE_LIMIT_S = 0.5


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy. name: v2, hybrid (v2 beside v1), or the v1 controller; own: our place in it."""

    name: str
    mount: Path
    own: str

    @property
    def version(self) -> str:
        """Return v1 or v2."""
        return "v2" if self.name in ("v2", "hybrid") else "v1"

    @property
    def bases(self) -> tuple[Path, ...]:
        """Return the folders a group may be made in: the top, then where this process is (a delegated place)."""
        here = self.mount / self.own.lstrip("/")
        return (self.mount,) if here == self.mount else (self.mount, here)


@dataclass(frozen=True)
class Group:
    """The group of one unit in one hierarchy."""

    path: Path

    @property
    def work(self) -> Path:
        """Return the folder of the command and its descendants."""
        return self.path / "work"

    @property
    def supervisor(self) -> Path:
        """Return the folder of the supervisor itself."""
        return self.path / "sup"


def hierarchies(seen: Iterable[Mount], membership: str) -> tuple[Hierarchy, ...]:
    """Return the usable hierarchies, best first, from the mounts and the text of /proc/self/cgroup."""
    own = dict(_membership(membership))
    found: dict[str, Hierarchy] = {}
    for mount in seen:
        names = {"cgroup": mount.options, "cgroup2": ("v2",)}.get(mount.kind, ())
        for name in names:
            found.setdefault(name, Hierarchy(name, Path(mount.point), own.get("" if name == "v2" else name, "/")))
    if "v2" in found and len(found) > 1:
        found["hybrid"] = Hierarchy("hybrid", found["v2"].mount, found.pop("v2").own)
    return tuple(found[name] for name in PREFERENCE if name in found)


def _membership(text: str) -> Iterator[tuple[str, str]]:
    """Yield controller -> path of each line `id:controllers:path`; v2's controller is ""."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            yield name, path


def detect(wanted: str = "auto") -> tuple[Hierarchy, ...]:
    """Return this node's hierarchies, best first. wanted: auto, none, or the name of one."""
    if wanted == "none":
        return ()
    try:
        membership = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(one for one in hierarchies(mounts.current(), membership) if wanted in ("auto", one.name))


def version() -> str:
    """Return v1, v2 or none: the hierarchy that a unit would be put in, when it can be written."""
    for one in detect():
        if any(os.access(base, os.W_OK) and not _read_only(base) for base in one.bases):
            return one.version
    return "none"


def _read_only(path: Path) -> bool:
    """Return whether a folder is on a read-only mount."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return True


def candidates(root: Path, leaf: str, wanted: str = "auto") -> Iterator[Group]:
    """Yield the groups that a unit could live in, best first; nothing is made yet."""
    key = root_key(root)
    for one in detect(wanted):
        for base in one.bases:
            yield Group(base / f"{GROUP_PREFIX}{key}" / leaf)


def make(group: Group) -> bool:
    """Make a group's folders and return whether that worked; a parent that vanishes meanwhile is made again."""
    for _ in range(5):
        try:
            os.makedirs(group.work, exist_ok=True)
            os.makedirs(group.supervisor, exist_ok=True)
            return True
        except FileNotFoundError:
            continue
        except OSError:
            break
    remove(group)
    return False


def join(folder: Path, pid: int) -> bool:
    """Move a process into a group's folder and return whether the kernel agreed."""
    return _write(folder / "cgroup.procs", str(pid))


def _write(path: Path, text: str) -> bool:
    """Write one word to a control file and return whether the kernel took it."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _folders(top: Path) -> list[Path]:
    """Return a group's folders, deepest first: the command may have made groups of its own inside."""
    return [Path(where) for where, _, _ in os.walk(top, topdown=False)]


def members(top: Path) -> list[Proc]:
    """Return the living processes in a group's folder and everything below it."""
    found: dict[Proc, None] = {}
    for folder in _folders(top):
        try:
            words = (folder / "cgroup.procs").read_text(encoding="ascii").split()
        except OSError:  # removed meanwhile
            continue
        for proc in (identify(int(word)) for word in words if word != "0"):
            if proc is not None:
                found[proc] = None
    return list(found)


def strike(top: Path) -> None:
    """Kill everything in a group at one blow: by cgroup.kill, else frozen first so that nothing can fork."""
    if _write(top / "cgroup.kill", "1"):
        return
    frozen = _freeze(top)
    for proc in members(top):
        send(proc, signal.SIGKILL)
    if frozen:
        thaw(top)


def _freeze(top: Path) -> bool:
    """Freeze a group where the hierarchy can and return whether it was asked to."""
    deadline = time.monotonic() + FREEZE_LIMIT_S
    if _write(top / "freezer.state", "FROZEN"):
        state, done = top / "freezer.state", "FROZEN"
    elif _write(top / "cgroup.freeze", "1"):
        state, done = top / "cgroup.events", "frozen 1"
    else:
        return False
    with suppress(OSError):
        while done not in state.read_text(encoding="ascii") and time.monotonic() < deadline:
            time.sleep(0.002)
    return True


def thaw(top: Path) -> None:
    """Thaw a group and the groups inside it, which the command may have frozen itself."""
    for folder in reversed(_folders(top)):
        if not _write(folder / "freezer.state", "THAWED"):
            _write(folder / "cgroup.freeze", "0")


def remove(group: Group) -> bool:
    """Remove a group's folders, and the common parent when it is empty; return whether the group is gone."""
    for folder in _folders(group.path):
        with suppress(OSError):
            folder.rmdir()
    with suppress(OSError):
        group.path.parent.rmdir()
    return not group.path.exists()


def leave(group: Group) -> None:
    """Move this process out of a unit's group, so that the group can be removed."""
    for folder in (group.path.parent.parent, *group.path.parent.parent.parents):
        if not (folder / "cgroup.procs").exists():
            return
        if join(folder, os.getpid()):
            return


def groups_left(root: Path, run_id: str | None = None) -> list[Group]:
    """Return the groups of a run's units (None: of any run) that are left below this node root's folders."""
    key, found = root_key(root), []
    for one in detect():
        for base in one.bases:
            with suppress(OSError):
                leaves = sorted(os.listdir(base / f"{GROUP_PREFIX}{key}"))
                found += [
                    Group(base / f"{GROUP_PREFIX}{key}" / leaf)
                    for leaf in leaves
                    if ":" in leaf and run_id in (None, leaf.split(":")[0])
                ]
    return found
