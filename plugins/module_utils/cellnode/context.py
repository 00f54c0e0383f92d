# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every operation is given: the node root, the run it works for, and the clocks."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .errors import OS_ERROR_KINDS, CellError, is_limit
from .mailbox import Mailbox, closed

T = TypeVar("T")
SAFE_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.+=@,-]{0,199}\Z")


@dataclass(frozen=True)
class Clock:
    """The node's clocks and its way to wait, replaced by a fake in tests."""

    unix: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def boottime(self) -> float:
        """Return seconds since boot, suspended time included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def until(self, true: Callable[[], bool], limit_s: float, pause_s: float = 0.01) -> bool:
        """Ask true() again and again with growing pauses; return whether it came true within limit_s."""
        deadline = self.monotonic() + limit_s
        while not true():
            if self.monotonic() >= deadline:
                return False
            self.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.25)
        return True

    def drained(self, find: Callable[[], Sequence[T]], limit_s: float) -> Sequence[T]:
        """Ask find() until it finds nothing, for at most limit_s; return what it found last."""
        left: Sequence[T] = ()

        def none() -> bool:
            nonlocal left
            left = find()
            return not left

        self.until(none, limit_s)
        return left


@dataclass(frozen=True)
class RunRef:
    """The run, scenario, case and attempt that a request works for; epoch is None before the lease is held."""

    id: str
    scenario: str = ""
    case: str = ""
    attempt: int = 1
    epoch: int | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that every object of this case carries."""
        return {
            "testcell.run": self.id,
            "testcell.scenario": self.scenario,
            "testcell.case": self.case,
            "testcell.epoch": str(self.epoch or 0),
        }


def _drop_event(event: dict[str, Any]) -> None:
    """Forget an event: nobody listens."""


@dataclass(frozen=True)
class Context:
    """One request's surroundings. check: change nothing and say what would be done; emit: send an event line.
    mailbox: what the caller says while the request is worked on.

    engine_needed: false on a node that only runs the test, where an absent engine is no error.
    secrets: values that the caller knows to be secret, to be taken out of the text of logs and messages.
    """

    root: Path
    run: RunRef | None = None
    owner: str = ""
    check: bool = False
    engine_needed: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)
    emit: Callable[[dict[str, Any]], None] = _drop_event
    mailbox: Mailbox = field(default_factory=closed)
    clock: Clock = field(default_factory=Clock)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def runs_dir(self) -> Path:
        """Return the folder that holds one folder a run."""
        return self.root / "runs"

    @property
    def needed_run(self) -> RunRef:
        """Return the run, or raise when the request names none."""
        if self.run is None:
            raise CellError("internal_error", "this operation needs a run, and the request names none")
        return self.run

    @property
    def run_dir(self) -> Path:
        """Return `<root>/runs/<run_id>`."""
        return self.runs_dir / self.needed_run.id

    @property
    def case_dir(self) -> Path:
        """Return `<root>/runs/<run_id>/<scenario>[/<case>]/a<attempt>`."""
        run = self.needed_run
        if not run.scenario:
            raise CellError("internal_error", "this operation needs a scenario, and the request names none")
        base = self.run_dir / run.scenario
        return (base / run.case if run.case else base) / f"a{run.attempt}"


def parse_run(data: Mapping[str, Any] | None) -> RunRef | None:
    """Return the run of a request; raise when a name could leave the node root."""
    if data is None:
        return None
    run = RunRef(
        id=str(data.get("id") or ""),
        scenario=str(data.get("scenario") or ""),
        case=str(data.get("case") or ""),
        attempt=int(data.get("attempt") or 1),
        epoch=None if data.get("epoch") is None else int(data["epoch"]),
    )
    for key, value in (("id", run.id), ("scenario", run.scenario), ("case", run.case)):
        if (value or key == "id") and not SAFE_NAME.match(value):
            raise CellError("config_invalid", f"run.{key} is {value!r}; allowed: letters, digits, _.+=@,- (1 to 200)")
    return run


def ensure_root(root: Path) -> Path:
    """Return the node root, made with mode 0700 when absent; raise when it is a link or belongs to somebody else."""
    if not root.is_absolute():
        raise CellError("config_invalid", f"node root is {str(root)!r}; it must be an absolute path")
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = os.lstat(root)
    except OSError as exc:
        raise CellError(os_error_kind(exc), f"cannot make the node root {root}: {exc.strerror}") from exc
    if not stat.S_ISDIR(info.st_mode):
        raise CellError("privilege", f"node root {root} is not a folder (a link is refused)")
    if info.st_uid != os.geteuid():
        raise CellError("privilege", f"node root {root} belongs to uid {info.st_uid}, expected {os.geteuid()}")
    if stat.S_IMODE(info.st_mode) & 0o077:
        os.chmod(root, 0o700)
    return root


def error_kind(exc: Exception) -> str:
    """Return the error kind of what stopped an operation: the system, one of its limits, or else a fault of ours."""
    if is_limit(exc):
        return "resource_limit"
    return os_error_kind(exc) if isinstance(exc, OSError) else "internal_error"


def os_error_kind(exc: OSError) -> str:
    """Return the error kind that an operating system error stands for; unknown numbers are io_error."""
    return OS_ERROR_KINDS.get(exc.errno or 0, "io_error")
