# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit: one supervised command of a case, its folder `unit/<name>/` and its status file."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from . import logfile, procs
from .beneath import base_parts, case_folder, case_parts, open_folder
from .context import Context, RunRef
from .durable import read_json, replace_json, take_lock
from .errors import CellError
from .params import integer, number, refuse, text, texts
from .procs import Proc
from .request import flag, mapping

STATUS = "status.json"
LOCK = "lock"
NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,31}$")
ATTEMPT = re.compile(r"^a[0-9]+\Z")
ENV_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
START_LIMIT_S = 35.0  # for so long who asks for a start waits until the command runs
DEFAULT_LOG_CAP_BYTES = 64 << 20
LIVE = ("starting", "running")


@dataclass(frozen=True)
class Spec:
    """What to run. cwd and dirs: below the case folder; cgroup: auto, none, or the name of a hierarchy.

    adopts: what the command leaves behind by a double fork is the supervisor's to end as well, whatever its group and mark.
    asked: what makes this another request than one before, where the command cannot tell: it names the controller's epoch.
    """

    name: str
    argv: tuple[str, ...]
    cwd: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    timeout_s: float
    grace_s: float
    log_cap_bytes: int
    dirs: tuple[tuple[str, ...], ...]
    cgroup: str
    adopts: bool = True
    asked: str = ""

    @property
    def digest(self) -> str:
        """Return the digest that tells a repeated request from another one."""
        told = asdict(self)
        if self.asked:
            del told["argv"]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Status:
    """What is known of a unit. state: starting, running, exited, timed_out, killed or lost."""

    name: str
    token: str
    state: str
    spec_sha256: str
    boot_id: str
    started_unix: float
    started_boottime: float
    timeout_s: float
    grace_s: float
    argv: tuple[str, ...] = ()
    pid: int = 0
    pid_start: int = 0
    supervisor_pid: int = 0
    supervisor_start: int = 0
    group: str = ""
    ended_unix: float | None = None
    seconds: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    error_kind: str = ""
    message: str = ""
    survivors_killed: int = 0
    unkillable: tuple[Mapping[str, Any], ...] = ()
    log_error: str = ""

    @property
    def supervisor(self) -> Proc:
        """Return the supervisor's process."""
        return Proc(self.supervisor_pid, self.supervisor_start)

    @property
    def live(self) -> bool:
        """Return whether the unit has not ended as far as its file says."""
        return self.state in LIVE


def check_name(name: str) -> str:
    """Return the unit's name, or raise when it is not usable as a folder."""
    if not NAME.match(name):
        raise refuse("name", name, "1 to 32 letters, digits, _ and -")
    return name


def parse_spec(args: Mapping[str, Any]) -> Spec:
    """Return the checked request of a start."""
    argv = texts(args, "argv")
    if not argv or not argv[0]:
        raise refuse("argv", list(argv), "at least one text, the first not empty")
    return Spec(
        name=check_name(text(args, "name")),
        argv=argv,
        cwd=base_parts(text(args, "cwd_rel", "")),
        env=tuple(sorted(_environment(args).items())),
        timeout_s=number(args, "timeout_s", 2400.0, 0.01, 30 * 86400.0),
        grace_s=number(args, "grace_s", 10.0, 0.0, 3600.0),
        log_cap_bytes=integer(args, "log_cap_bytes", DEFAULT_LOG_CAP_BYTES, logfile.MIN_CAP_BYTES, 1 << 40),
        dirs=tuple(base_parts(item) for item in texts(args, "dirs_rel")),
        cgroup=text(args, "cgroup", "auto"),
        adopts=flag(args, "adopts", True),
        asked=text(args, "asked", ""),
    )


def _environment(args: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of the request."""
    env = mapping(args, "env")
    for name, value in env.items():
        if not ENV_NAME.match(name) or name == procs.MARK:
            raise refuse("env", name, f"names of letters, digits and _, other than {procs.MARK}")
        text({f"env.{name}": value}, f"env.{name}")
    return env


def new_token(root: Path, run: RunRef, name: str) -> str:
    """Return a token that no other unit has: `<root key>:<run>:<name>:<nonce>`."""
    return f"{procs.root_key(root)}:{run.id}:{name}:{os.urandom(4).hex()}"


def leaf(token: str) -> str:
    """Return the name of the unit's control group."""
    return token.split(":", 1)[1]


def open_unit(ctx: Context, name: str, create: bool = False) -> int:
    """Return a descriptor of a unit's folder; raise artifact_missing when there is none."""
    return case_folder(ctx, f"unit/{check_name(name)}", create)


@contextmanager
def locked(folder_fd: int, limit_s: float = 30.0) -> Iterator[int]:
    """Hold the unit's start lock, and give its descriptor; raise io_error when another start has it for longer.

    It is free once all who have the descriptor have closed it: a supervisor keeps it until its status is on disk, so that
    nobody starts the unit once more when who asked for it has died meanwhile.
    """
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
    try:
        take_lock(fd, limit_s, "another start of this unit has not finished", "io_error")
        yield fd
    finally:
        os.close(fd)


def write_status(folder_fd: int, status: Status) -> None:
    """Put the status in place, whole or not at all."""
    replace_json(folder_fd, STATUS, asdict(status))


def read_status(folder_fd: int) -> Status | None:
    """Return a unit's status, or None when it was never started; raise internal_error when the file is broken."""
    try:
        data = read_json(folder_fd, STATUS)
        if data is None:
            return None
        known = {field.name for field in fields(Status)}
        status = Status(**{key: value for key, value in data.items() if key in known})
    except (ValueError, TypeError, AttributeError) as exc:
        raise CellError("internal_error", f"a unit's {STATUS} cannot be read: {exc}") from exc
    return status


def lost(status: Status) -> bool:
    """Return whether nobody watches a unit that its file calls live: its supervisor died, or the node was restarted."""
    return status.live and (status.boot_id != procs.boot_id() or not procs.alive(status.supervisor))


def units_of_run(ctx: Context, run_id: str) -> list[Path]:
    """Return the unit folders of every case and attempt of a run.

    They lie where the cases are, of a scenario or below it; files of the same name that a scenario brings or a test writes
    are none.
    """
    top = ctx.runs_dir / run_id
    found = [path for cases in ("*", "*/*") for path in top.glob(f"{cases}/a*/unit/*/{STATUS}")]
    return sorted(path.parent for path in found if ATTEMPT.match(path.parts[-4]) and NAME.match(path.parts[-2]))


def open_path(ctx: Context, path: Path) -> int:
    """Return a descriptor of a folder below the node root."""
    return open_folder(ctx.root, path.relative_to(ctx.root).parts)


def cwd_folder(ctx: Context, spec: Spec) -> int:
    """Return a descriptor of the command's working folder; raise work_dir_error when it cannot be used."""
    try:
        return open_folder(ctx.root, case_parts(ctx) + spec.cwd)
    except CellError as exc:
        shown = "/".join(spec.cwd) or "."
        message = f"working folder {shown!r} of unit {spec.name!r} cannot be used: {exc.message}"
        raise CellError("work_dir_error", message, path=shown) from exc
