# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of too much work: processor time and memory taken away, within the container's own limits or the node's."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import CellError
from . import boxed, values, workers
from .fault import Aim, Effect, Gone, Place

MOST_CORES = 1024
WINDOW_S = 0.5
LEAVE_BYTES = 64 << 20
LEAST_BYTES = 1 << 20
FILL_S, FILLED_BYTES_S = 2.0, 500 << 20  # the slowest that memory is expected to be filled
PAGE = os.sysconf("SC_PAGE_SIZE")
Json = dict[str, Any]


class Stress(ABC):
    """What both have in common: workers under the event's mark."""

    kind = ""

    @abstractmethod
    def checked(self, params: Mapping[str, Any]) -> None:
        """Raise chaos_invalid for parameters that are not allowed."""

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return what is wrong with the parameters; nothing but Python is needed."""
        return values.problem(lambda: self.checked(params))

    @abstractmethod
    def spec(self, place: Place, aim: Aim, box: boxed.Boxed | None) -> Json:
        """Return what the worker of a kind is told."""

    def prepare(self, place: Place, aim: Aim) -> Json:
        """Return the workers' mark, what they do, and the groups that they join to feel the container's limits."""
        self.checked(aim.params)
        box = _box(aim)
        spec = self.spec(place, aim, box)
        groups = box.joined if box else []
        if box and not groups:
            message = (
                f"the control groups of service {aim.service} are not to be seen here, so its limits would not be felt"
            )
            raise CellError("chaos_unsupported", message)
        refused = [folder for folder in groups if not os.access(f"{folder}/cgroup.procs", os.W_OK)]
        if refused:
            raise CellError("chaos_unsupported", f"this user may not put processes into {refused[0]}; root may")
        return {"token": workers.new_token(place), "groups": groups, "watched": aim.pid, **spec}

    def inject(self, place: Place, aim: Aim, undo: Json) -> None:
        """Start the workers."""
        workers.start(place, undo["token"], undo)

    def undo(self, place: Place, undo: Json) -> None:
        """End the workers."""
        workers.end(place, undo["token"])

    def left(self, place: Place, undo: Json) -> list[str]:
        """Return the workers that still live."""
        return workers.left(place, undo["token"])


class Cpu(Stress):
    """So many cores are kept busy."""

    kind = "cpu_stress"

    def checked(self, params: Mapping[str, Any]) -> None:
        _cores(params)
        if not os.path.exists("/proc/self/schedstat"):
            raise CellError("chaos_unsupported", "this kernel does not tell how long a process waits for a processor")

    def spec(self, place: Place, aim: Aim, box: boxed.Boxed | None) -> Json:
        cores = _cores(aim.params)
        quota = box.cores() if box else None
        allowed = float(len(_allowed(aim)))
        return {"job": "cpu", "cores": cores, "reachable_cores": min(float(cores), allowed, quota or allowed)}

    def effect(self, place: Place, aim: Aim, undo: Json) -> Effect:
        """Measure the processor time that the workers get within half a second, and how long they wait for more.

        A quarter of what can be had is enough: the rest is the service's, or somebody else's. Where all cores are in use
        it is enough that the workers take part in that.
        """
        undo = undo or self.prepare(place, aim)
        token, clock = undo["token"], place.ctx.clock
        (used, waited), began = _cpu_s(token), clock.monotonic()
        clock.sleep(WINDOW_S)
        (used_then, waited_then), seconds = _cpu_s(token), clock.monotonic() - began
        got, wanted = (used_then - used) / seconds, (used_then - used + waited_then - waited) / seconds
        measured = {"cpu_s_per_s": round(got, 3), "demand_s_per_s": round(wanted, 3), "cores": undo["cores"]}
        least = undo["reachable_cores"] / 4
        why = f"the workers get {got:.2f} CPU s/s, expected at least {least:.2f}, and ask for {wanted:.2f}"
        applied = got >= least or (got > 0 and wanted >= undo["cores"] / 2)
        return Effect(applied, {**measured, "reachable_cores": undo["reachable_cores"]}, "" if applied else why)


class Memory(Stress):
    """So many bytes are held."""

    kind = "memory_stress"

    def checked(self, params: Mapping[str, Any]) -> None:
        if values.size(params, "memory") is None:
            raise values.refuse("memory", None, "bytes, as a number or with a unit (512MiB)")
        values.size(params, "leave_bytes")

    def spec(self, place: Place, aim: Aim, box: boxed.Boxed | None) -> Json:
        """Return how much is held: what is asked for, but leave_bytes stay with the container, or the node."""
        wanted, leave = values.size(aim.params, "memory") or 0, values.size(aim.params, "leave_bytes")
        own = box.memory_room() if box else None
        room = available() if own is None else min(own, available())
        held = min(wanted, room - (LEAVE_BYTES if leave is None else leave))
        if held < LEAST_BYTES:
            message = f"only {room} bytes of memory can be had, and params.leave_bytes must stay free"
            raise CellError("chaos_unsupported", message)
        return {"job": "memory", "bytes": held, "wanted_bytes": wanted, "room_bytes": room}

    def effect(self, place: Place, aim: Aim, undo: Json) -> Effect:
        """Measure what the worker holds, once it has had the time to take it."""
        undo = undo or self.prepare(place, aim)
        token, wanted = undo["token"], undo["bytes"]
        limit = FILL_S + wanted / FILLED_BYTES_S
        place.ctx.clock.until(lambda: _resident(token) >= wanted or not workers.running(token), limit)
        held = _resident(token)
        measured = {
            "resident_bytes": held,
            "wanted_bytes": undo["wanted_bytes"],
            "room_before_bytes": undo["room_bytes"],
        }
        return Effect(held >= wanted * 0.9, measured, _why(token, held, wanted))


def _why(token: str, held: int, wanted: int) -> str:
    if held >= wanted * 0.9:
        return ""
    if not workers.running(token):
        return "no worker runs; where one was started, the kernel has ended it for want of memory"
    return f"the worker holds {held} bytes, expected at least 90 % of {wanted}"


def _cores(params: Mapping[str, Any]) -> int:
    return values.whole(params, "cores", 1, MOST_CORES, os.cpu_count() or 1)


def _box(aim: Aim) -> boxed.Boxed | None:
    """Return the groups of the target's container, None for the node; raise Gone when it does not run."""
    if not aim.service:
        return None
    if aim.pid:
        with suppress(OSError):
            return boxed.of(aim.pid)
    raise Gone(f"service {aim.service}: its container {aim.container[:12]} does not run")


def available() -> int:
    """Return the bytes that the kernel can still give without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise CellError("chaos_unsupported", "/proc/meminfo does not tell MemAvailable")


def _cpu_s(token: str) -> tuple[float, float]:
    """Return the processor time that the workers have used, and how long they were ready to and had none, in seconds."""
    used = waited = 0
    for proc in workers.running(token):
        with suppress(OSError, ValueError):
            ran, ready, _ = Path(f"/proc/{proc.pid}/schedstat").read_text(encoding="ascii").split()
            used, waited = used + int(ran), waited + int(ready)
    return used / 1e9, waited / 1e9


def _allowed(aim: Aim) -> set[int]:
    """Return the processors that the target may use."""
    try:
        return os.sched_getaffinity(aim.pid)
    except ProcessLookupError:
        raise Gone(f"service {aim.service}: its container {aim.container[:12]} does not run") from None


def _resident(token: str) -> int:
    """Return the bytes of memory that the workers hold."""
    total = 0
    for proc in workers.running(token):
        with suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{proc.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE
    return total


KINDS = {one.kind: one() for one in (Cpu, Memory)}
