# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control groups of a container, v1 and v2: its processes, and what the kernel counts for all of them together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..mounts import Mount

LINKS_OF_A_LEAF = 2  # a folder's links without folders in it
UNIFIED = ""
# Where the processes are listed, best first: of the controllers of v1 one is always mounted.
LISTS = ("pids", "memory", "cpuacct", "freezer", "name=systemd", UNIFIED)
READ_BYTES = 16384
SHORT_BYTES = 2048  # the kernel fills a page before it stops, so a list that ends earlier is at its end


class _Counter:
    """A file of the kernel that is kept open; one that is made anew with its container is opened anew."""

    def __init__(self, path: str) -> None:
        self._path, self._fd = path, -1

    def read(self) -> bytes:
        """Return what it holds now, b"" where it is not there."""
        for _ in range(2):
            try:
                if self._fd < 0:
                    self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                return os.pread(self._fd, READ_BYTES, 0)
            except FileNotFoundError:
                return b""
            except OSError:
                self.close()
        return b""

    def number(self) -> int | None:
        """Return the number that it holds, None where it holds none."""
        text = self.read().strip()
        return int(text) if text.isdigit() else None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Group:
    """The groups of one container. folders: controller -> folder, UNIFIED for v2's."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._list = next((folders[name] for name in LISTS if name in folders), "")
        unified = folders.get(UNIFIED, "")
        self._v2 = bool(unified) and os.path.exists(f"{unified}/memory.current")
        if self._v2:
            self._list = unified
            paths = {"memory": "memory.current", "stat": "memory.stat", "swap": "memory.swap.current"}
            paths.update(cpu="cpu.stat", threads="pids.current")
            files = {name: f"{unified}/{path}" for name, path in paths.items()}
        else:
            wanted = [("memory", "memory", "memory.usage_in_bytes"), ("stat", "memory", "memory.stat")]
            wanted += [("cpu", "cpuacct", "cpuacct.usage"), ("threads", "pids", "pids.current")]
            files = {name: f"{folders[place]}/{file}" for name, place, file in wanted if place in folders}
        self._files = {name: _Counter(path) for name, path in files.items()}

    def pids(self) -> list[int]:
        """Return the processes, those of groups that the container has made inside among them."""
        try:
            found = _listed(self._list)
            if os.stat(self._list).st_nlink > LINKS_OF_A_LEAF:
                for place, _, _ in os.walk(self._list):
                    found += _listed(place) if place != self._list else []
        except OSError:
            return []
        return found

    def counts(self) -> dict[str, Any]:
        """Return memory_bytes, anon_bytes, swap_bytes, threads and cpu_s, without what the kernel does not count here."""
        stat, cpu = self._read("stat"), self._read("cpu")
        found = {
            "memory_bytes": self._number("memory"),
            "anon_bytes": _field(stat, b"anon" if self._v2 else b"total_rss"),
            "swap_bytes": self._number("swap") if self._v2 else _field(stat, b"total_swap"),
            "threads": self._number("threads"),
            "cpu_s": _seconds(_field(cpu, b"usage_usec"), 1e6) if self._v2 else _seconds(_whole(cpu), 1e9),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _read(self, name: str) -> bytes:
        return self._files[name].read() if name in self._files else b""

    def _number(self, name: str) -> int | None:
        return self._files[name].number() if name in self._files else None

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def _listed(folder: str) -> list[int]:
    # Opened each time: the kernel keeps a list of v1 for as long as somebody goes on reading it.
    fd = os.open(f"{folder}/cgroup.procs", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = part = os.read(fd, READ_BYTES)
        while len(part) >= SHORT_BYTES:
            part = os.read(fd, READ_BYTES)
            text += part
    finally:
        os.close(fd)
    return [int(word) for word in text.split() if word != b"0"]


def _field(text: bytes, name: bytes) -> int | None:
    """Return the number of the line `name number`, None where there is none; there are many more lines than are wanted."""
    _, found, rest = (b"\n" + text).partition(b"\n" + name + b" ")
    return _whole(rest.partition(b"\n")[0]) if found else None


def _whole(text: bytes) -> int | None:
    text = text.strip()
    return int(text) if text.isdigit() else None


def _seconds(count: int | None, of_a_second: float) -> float | None:
    return None if count is None else round(count / of_a_second, 3)


def points(mounts: Iterable[Mount]) -> dict[str, str]:
    """Return controller -> where its hierarchy is mounted, UNIFIED for v2."""
    found: dict[str, str] = {}
    for mount in mounts:
        names = {"cgroup": mount.options, "cgroup2": (UNIFIED,)}.get(mount.kind, ())
        for name in names:
            found.setdefault(name, mount.point)
    return found


def folders(membership: str, mounted: Mapping[str, str]) -> dict[str, str]:
    """Return controller -> folder for the text of a process's `/proc/PID/cgroup`; those that are not there are left out."""
    found = {name: _folder(mounted[name], path) for name, path in _membership(membership) if name in mounted}
    return {name: folder for name, folder in found.items() if folder}


def _membership(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.split(":", 2)
        if len(words) == 3:
            for name in words[1].split(","):
                yield name, words[2]


def _folder(point: str, path: str) -> str:
    """Return the folder of a group below a mount point; where we see a part of the hierarchy, the path begins within it."""
    pieces = [piece for piece in path.split("/") if piece]
    for first in range(len(pieces)):
        folder = "/".join((point, *pieces[first:]))
        if os.path.isdir(folder):
            return folder
    return ""
