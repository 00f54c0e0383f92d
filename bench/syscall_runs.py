# SPDX-License-Identifier: MIT
"""Whole runs on this machine with faults in the calls of all their processes: JSON lines with how many were survived.

A fault comes at the same call of every process of the run, those of the node's program and of Compose among them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import crash_cells
import rig
from crash_cells import CASES, Cell
from run_checks import FOUND, Broken, check_readers, check_shapes

from testcell import signals
from testcell.exits import Exit

# Call -> at which of them, in each process: those that Ansible and its runner do not make for files of their own.
CALLS = {"fsync": range(1, 11), "link": range(1, 2)}
FAULTS = {"signal=KILL": "", "error=ENOSPC": "No space left on device", "error=EIO": "Input/output error"}
TRACED = "fsync,?link"
LIMIT_S = 60.0
ENDS = {int(code) for code in (Exit.PASS, Exit.INFRASTRUCTURE, Exit.NOT_CLEAN)}


@dataclass(frozen=True)
class Point:
    """A fault at one call of every process."""

    call: str
    ordinal: int
    fault: str

    def __str__(self) -> str:
        return f"{self.call}:{self.fault}:when={self.ordinal}"


def points() -> list[Point]:
    """Return all points."""
    return [Point(call, ordinal, fault) for call, places in CALLS.items() for ordinal in places for fault in FAULTS]


def wrong(cell: Cell, point: Point) -> str | None:
    """Return what is wrong after a run with a fault, "" for nothing, None when the fault did not come."""
    known = set(cell.project.runs)
    with tempfile.TemporaryDirectory(prefix="testcell-strace-") as folder:
        log = Path(folder) / "log"
        # Not with --seccomp-bpf: strace 6.1 then counts no calls for signals.
        words = ["strace", "-f", "-q", "-o", str(log), "-e", f"trace={TRACED}", "-e", f"inject={point}"]
        code, said = _run([*words, *cell.words("run", CASES[0])], Path(folder) / "screen")
        came = any(word in log.read_text(errors="replace") for word in ("(INJECTED)", "killed by SIGKILL"))
    try:
        for run in cell.project.runs:
            if run not in known:
                check_readers(run)
                check_shapes(run)
        _check_end(point, code, said)
        cleaned = cell.command("cleanup", "--all", "--lift")
        if cleaned.returncode:
            raise Broken(f"cleanup ended with {cleaned.returncode}: {cleaned.stdout}{cleaned.stderr}")
        if left := cell.left():
            raise Broken(f"left on the node: {left}")
    except FOUND as exc:
        return f"{point}: {type(exc).__name__}: {exc}"
    return "" if came else None


def _run(command: list[str], screen: Path) -> tuple[int | None, str]:
    """Return how a run ended and what it said; None for one that had to be killed."""
    with screen.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            code: int | None = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            signals.kill_tree(process.pid)
            process.wait()
            code = None
    return code, screen.read_text(errors="replace")


def _check_end(point: Point, code: int | None, said: str) -> None:
    if code is None:
        raise Broken(f"the run did not end within {LIMIT_S:g} s: {said[-600:]}")
    killed = point.fault == "signal=KILL"
    if code not in ENDS and not (killed and code == -signal.SIGKILL):
        raise Broken(f"the run ended with {code}: {said[-600:]}")
    if code and FAULTS[point.fault] not in said:
        raise Broken(f"the error is not told: {said[-600:]}")


def main() -> int:
    """Print one line; return 1 unless every fault that came was survived."""
    held, missed, broken = 0, [], []
    with crash_cells.local() as cell:
        for point in points():
            found = wrong(cell, point)
            if found is None:
                missed.append(str(point))
            elif found:
                broken.append(found)
            else:
                held += 1
    total = held + len(broken)
    line = rig.line("C2-runs", held, "whole runs that held", "all", total, target=total, holds=not broken)
    print(json.dumps({**line, "did_not_come": missed, "wrong": broken[:20]}), flush=True)
    return int(bool(broken))


if __name__ == "__main__":
    raise SystemExit(main())
