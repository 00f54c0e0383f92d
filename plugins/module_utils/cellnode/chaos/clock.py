# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault of a wrong clock: the wall clock of a container jumps, as far as its programs ask the C library for the time.

A container is prepared for it when it is made: libfaketime is loaded into its programs, which reads its offset from a file
that only the node writes. Without the file the time is right. Programs that do not use the C library (static ones, Go)
do not notice; the clock that only goes forward is left alone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any

from .. import durable
from ..command import run
from ..errors import CellError
from . import values
from .fault import Aim, Effect, Gone, Place

NAMES = ("libfaketimeMT.so.1", "libfaketime.so.1")
PLACES = ("/usr/local/lib/faketime", "/usr/lib/*/faketime", "/usr/lib64/faketime", "/usr/lib/faketime")
INSIDE = "/testcell-clock"
INSIDE_LIBRARY = "/testcell-libfaketime.so"
FILE = "offset"
MOST_S = 10 * 366 * 86400.0
LEAST_S = 5.0  # less is not told from the time that asking takes
ASK_S = 10.0
# The file is read again each second; intervals are measured right.
SETTINGS = {"FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
TRIAL_S = 3600
TRIAL = "import time; time.sleep(0.001); print(time.time(), time.monotonic())"
# What a container may have to tell the time with; the first one that works is believed.
ASKED = (
    ("date", "+%s"),
    ("python3", "-c", "import time; print(int(time.time()))"),
    ("perl", "-e", "print time"),
)
Json = dict[str, Any]


def library(environ: Mapping[str, str]) -> str:
    """Return the path of a libfaketime on this node that works; raise chaos_unsupported where there is none."""
    tried = {path: _fault_of(path, environ) for path in _libraries()}
    working = [path for path, why in tried.items() if not why]
    if working:
        return working[0]
    shown = "; ".join(f"{path}: {why}" for path, why in tried.items())
    shown = shown or f"there is none in {', '.join(PLACES)}; install the package libfaketime"
    raise CellError("chaos_unsupported", f"no libfaketime here can move a clock: {shown}")


def _libraries() -> list[str]:
    return [path for place in PLACES for name in NAMES for path in sorted(glob(f"{place}/{name}"))]


def _fault_of(path: str, environ: Mapping[str, str]) -> str:
    """Return what is wrong with a library, "" when a program under it has another wall clock and is otherwise well.

    Version 0.9.10 breaks each program that sleeps until a moment of the monotonic clock, as Python does from 3.11 on.
    """
    env = {**environ, **SETTINGS, "LD_PRELOAD": path, "FAKETIME": f"+{TRIAL_S}"}
    began = time.time()
    done = run([sys.executable, "-I", "-S", "-E", "-c", TRIAL], env, ASK_S)
    if not done.ok:
        said = done.err.strip().splitlines()
        return (
            "a program under it hangs"
            if done.timed_out
            else f"a program under it fails: {said[-1] if said else done.code}"
        )
    wall, monotonic = (float(word) for word in done.out.split())
    if not TRIAL_S - 1 < wall - began < TRIAL_S + ASK_S:
        return "it does not move the clock of a program"
    return "" if abs(monotonic - time.monotonic()) < ASK_S else "it moves the clock that only goes forward, too"


def preload(library: str, folder: str) -> Json:
    """Return {environment, volumes} for a service of a Compose file whose clock shall be able to jump.

    library: what library() has found on the service's node; folder: one of the service's own on that node, empty at first.
    """
    environment = {"LD_PRELOAD": INSIDE_LIBRARY, "FAKETIME_TIMESTAMP_FILE": f"{INSIDE}/{FILE}", **SETTINGS}
    volumes = [f"{library}:{INSIDE_LIBRARY}:ro", f"{folder}:{INSIDE}:ro"]
    return {"environment": environment, "volumes": volumes}


class Jump:
    """The wall clock in a container is jump_s ahead of the node's (behind it, where that is negative)."""

    kind = "clock_jump"

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return what is wrong with the parameters, or why no libfaketime works on this node."""
        found = values.problem(lambda: _jump_s(params))
        return found or values.problem(lambda: library(place.ctx.environ))

    def prepare(self, place: Place, aim: Aim) -> Json:
        """Return the file that the container's programs read their offset from."""
        jump = _jump_s(aim.params)
        if not aim.service:
            raise CellError("chaos_unsupported", "clock_jump needs a service: the node's own clock is left alone")
        path = _file(aim.service, _inspected(place, aim))
        if not _loaded(aim.pid):
            message = (
                f"service {aim.service}: its first program has not loaded libfaketime (a static program, or another C "
            )
            raise CellError("chaos_unsupported", message + "library than the node's), so its clock cannot jump")
        return {"path": path, "jump_s": jump}

    def inject(self, place: Place, aim: Aim, undo: Json) -> None:
        """Write the offset."""
        path = Path(undo["path"])
        folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            durable.replace_bytes(folder_fd, path.name, f"{undo['jump_s']:+.3f}\n".encode(), mode=0o644)
        finally:
            os.close(folder_fd)

    def effect(self, place: Place, aim: Aim, undo: Json) -> Effect:
        """Ask a program in the container for the time, and compare it with the node's."""
        undo = undo or self.prepare(place, aim)
        jump = undo["jump_s"]
        asked, offset = _offset_s(place, aim)
        measured: Json = {"wanted_offset_s": jump, "asked": asked}
        if offset is None:
            return Effect(False, measured, f"no program in the container tells the time (tried: {asked})")
        applied = abs(offset - jump) <= max(LEAST_S / 2, abs(jump) * 0.01)
        why = (
            ""
            if applied
            else f"{asked} in the container is {offset:+.1f} s from the node's clock, expected {jump:+.0f} s"
        )
        return Effect(applied, {**measured, "offset_s": round(offset, 1)}, why)

    def undo(self, place: Place, undo: Json) -> None:
        """Remove the file: the time is right again within a second."""
        for path in _written(undo):
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)

    def left(self, place: Place, undo: Json) -> list[str]:
        """Return the file if it is still there, or what was to become it."""
        return [f"file {path}" for path in _written(undo) if os.path.lexists(path)]


def _written(undo: Json) -> tuple[Path, Path]:
    """Return the file, and what whoever is killed while it is written leaves."""
    path = Path(undo["path"])
    return path, path.with_name(durable.half(path.name))


def _jump_s(params: Mapping[str, Any]) -> float:
    jump = values.number(params, "jump_s", -MOST_S, MOST_S)
    if abs(jump) < LEAST_S:
        raise values.refuse("jump_s", params["jump_s"], f"at least {LEAST_S:g} s ahead or behind")
    return jump


def _inspected(place: Place, aim: Aim) -> Json:
    try:
        return place.engine.inspect(aim.container)
    except CellError as exc:
        if exc.kind == "container_gone":
            raise Gone(f"service {aim.service}: {exc.message}") from exc
        raise


def _file(service: str, record: Json) -> str:
    """Return the path on the node of a prepared container's offset; raise chaos_unsupported when it is not prepared."""
    env = (record.get("Config") or {}).get("Env") or []
    sources = {str(one.get("Destination")): str(one.get("Source")) for one in record.get("Mounts") or []}
    if f"FAKETIME_TIMESTAMP_FILE={INSIDE}/{FILE}" not in env or INSIDE not in sources:
        message = (
            f"service {service} was not started with libfaketime, which is done where the plan has a clock_jump for it"
        )
        raise CellError("chaos_unsupported", message)
    return f"{sources[INSIDE]}/{FILE}"


def _loaded(pid: int) -> bool:
    """Return whether a process has the library mapped; raise Gone when it does not run."""
    try:
        text = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as exc:
        raise Gone("the container does not run") from exc
    return INSIDE_LIBRARY in text


def _offset_s(place: Place, aim: Aim) -> tuple[str, float | None]:
    """Return which program told the time, and how far that is from the node's, in seconds."""
    for argv in ASKED:
        began = time.time()
        try:
            code, output = place.engine.exec_run(place.engine.exec_create(aim.container, list(argv)), ASK_S)
        except CellError as exc:
            if exc.kind == "container_gone":
                raise Gone(f"service {aim.service}: {exc.message}") from exc
            raise
        if code == 0 and output.strip().isdigit():
            return argv[0], int(output) - (began + time.time()) / 2
    return ", ".join(argv[0] for argv in ASKED), None


KINDS = {Jump.kind: Jump()}
