# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor: it runs one command, keeps its output, enforces its limits and leaves no process behind."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import cgroup, child, procs, room, spawn
from .cgroup import Group
from .context import error_kind, os_error_kind
from .deadman import DeadMan
from .durable import WRITE_FLAGS, write_all
from .errors import OS_ERROR_KINDS
from .logfile import CappedLog
from .outcome import Limits, judge, on_disk
from .output import Output
from .procs import Proc
from .unit import Spec, Status, leaf, write_status

TICK_S = 1.0  # how often the lease and the unit's folder are looked at
STEP_S = 0.05  # how often the command's processes are counted while they are being ended
LINGER_S = 2.0  # how long children that hold the output may outlive the command
DRAIN_LIMIT_S = 1.0
STRIKE_S = 0.2
START_LIMIT_S = 30.0
SAVE_LIMIT_S = 60.0
RESERVE = ".reserve"
# Errors of a start that say nothing about what was asked for: too many files or processes, or no memory.
LIMITS = {number: OS_ERROR_KINDS[number] for number in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)}


@dataclass(frozen=True)
class Plan:
    """All that a supervisor needs. cwd_fd and folder_fd are open; cwd is the same folder's path, for messages.

    lock_fd: open, and closed once the first status is on disk.
    """

    spec: Spec
    root: Path
    folder_fd: int
    cwd_fd: int
    lock_fd: int
    cwd: Path
    env: Mapping[str, str]
    dead_man: DeadMan | None
    status: Status


class Supervisor:
    """One command's guardian; run() is its whole life."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.spec, self.status = plan, plan.spec, plan.status
        self.output = Output(CappedLog(plan.folder_fd, plan.spec.log_cap_bytes))
        self.group: Group | None = None
        self.main = Proc(0, 0)
        self.wait_status: int | None = None
        self._report_fd = self._wake_fd = -1
        self._stop_asked = False
        self._reaped_killed: set[int] = set()
        self._begun, self._ended = time.monotonic(), 0.0
        self._next_tick = 0.0

    def run(self, report_fd: int) -> None:
        """Run the command to its end, then leave nothing behind but its log and status."""
        self._report_fd = report_fd
        try:
            self._prepare()
            fault = self._start()
            if fault:
                self._never_started(fault)
            else:
                self._finish(self._watch())
        except Exception as exc:  # the last line of defence: the work is ended and the fault recorded
            self._crashed(exc)

    # -- start ---------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Set signals and the wake-up pipe, become the reaper of orphans, and put the first status on disk."""
        self._wake_fd, wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if self.spec.adopts:
            spawn.adopt_orphans()
        stat = procs.read_stat(os.getpid())
        self.status = replace(self.status, supervisor_pid=os.getpid(), supervisor_start=stat.start if stat else 0)
        write_status(self.plan.folder_fd, self.status)
        os.close(self.plan.lock_fd)
        self._reserve()

    def _on_stop(self, number: int, frame: object) -> None:
        """Remember that somebody asked for the end."""
        self._stop_asked = True

    def _reserve(self) -> None:
        """Set some disk space aside for the last status."""
        with suppress(OSError):
            fd = os.open(RESERVE, WRITE_FLAGS, 0o600, dir_fd=self.plan.folder_fd)
            try:
                write_all(fd, b"\0" * 16384)
            finally:
                os.close(fd)

    def _start(self) -> dict[str, Any]:
        """Start the command in its group; return {} or {stage, errno} of what went wrong."""
        log_in = self.output.open()
        go_out, go_in = os.pipe2(os.O_CLOEXEC)
        error_out, error_in = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            pipes = child.Pipes(log=log_in, go=go_out, error=error_in)
            child.start(self.spec.argv, self.plan.env, self.plan.cwd_fd, pipes)
        for fd in (log_in, go_out, error_in):
            os.close(fd)
        stat = procs.read_stat(pid)
        self.main = Proc(pid, stat.start if stat else 0)
        self._enter_group(pid)
        os.write(go_in, b"g")
        os.close(go_in)
        return self._started(error_out)

    def _enter_group(self, pid: int) -> None:
        """Move the waiting command into the best group that the kernel lets us use, if there is one."""
        for group in cgroup.candidates(self.plan.root, leaf(self.status.token), self.spec.cgroup):
            if cgroup.make(group) and cgroup.join(group.work, pid):
                cgroup.join(group.supervisor, os.getpid())
                self.group = group
                return
            cgroup.remove(group)

    def _started(self, error_fd: int) -> dict[str, Any]:
        """Wait until the command was executed; then say so to the starter and on disk."""
        ready = select.select([error_fd], [], [], START_LIMIT_S)[0]
        raw = os.read(error_fd, 4096) if ready else b""
        os.close(error_fd)
        if raw:
            return dict(json.loads(raw))
        group = str(self.group.path) if self.group else ""
        self._begun = time.monotonic()
        self.status = replace(self.status, state="running", pid=self.main.pid, pid_start=self.main.start, group=group)
        write_status(self.plan.folder_fd, self.status)
        self._report({})
        return {}

    def _report(self, report: dict[str, Any]) -> None:
        """Tell the starter, which may have gone meanwhile."""
        with suppress(BrokenPipeError):
            write_all(self._report_fd, json.dumps(report or {"started": True}).encode())
        os.close(self._report_fd)
        self._report_fd = -1

    def _never_started(self, fault: dict[str, Any]) -> None:
        """Record and report a command that could not be executed."""
        asked = "work_dir_error" if fault["stage"] == "chdir" else "config_invalid"
        kind = LIMITS.get(fault["errno"], asked)
        message = child.explain(self.spec.argv[0], self.plan.cwd, self.plan.env, fault["stage"], fault["errno"])
        self._end_all()
        code = 127 if fault["errno"] == errno.ENOENT else 126
        self._save_last(replace(self.status, state="exited", exit_code=code, error_kind=kind, message=message))
        self._report({"error": {"kind": kind, "message": message}})

    # -- while it runs -------------------------------------------------------------------------------------------

    def _watch(self) -> str | None:
        """Return when the command has ended: None, or why it was stopped."""
        while self.wait_status is None:
            cause = self._stop_cause()
            if cause:
                self._terminate()
                return cause
            limit = self._begun + self.spec.timeout_s - time.monotonic()
            self._pump(max(0.0, min(TICK_S, limit)))
        self._linger()
        return None

    def _stop_cause(self) -> str | None:
        """Return why the command must be stopped now, or None."""
        now = time.monotonic()
        if self._stop_asked:
            return "requested"
        if now - self._begun >= self.spec.timeout_s:
            return "timeout"
        if now < self._next_tick:
            return None
        self._next_tick = now + TICK_S
        if os.fstat(self.plan.folder_fd).st_nlink == 0:
            return "folder"
        return self.plan.dead_man.cause() if self.plan.dead_man else None

    def _pump(self, timeout_s: float) -> None:
        """Wait for output, the end of a child or a request; take the output and reap the dead."""
        wanted = [fd for fd in (self.output.fd, self._wake_fd) if fd >= 0]
        ready = select.select(wanted, [], [], timeout_s)[0]
        if self._wake_fd in ready:
            os.read(self._wake_fd, 4096)
        if self.output.fd in ready:
            self.output.take()
        self._reap()

    def _reap(self) -> None:
        """Collect the command's exit status and that of orphans which became our children."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.main.pid:
                    self.wait_status, self._ended = status, time.monotonic()
                elif os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                    self._reaped_killed.add(pid)

    def _relatives(self) -> list[Proc]:
        """Return the living processes of the group and our descendants."""
        grouped = cgroup.members(self.group.work) if self.group else []
        return list(dict.fromkeys(grouped + procs.descendants(os.getpid())))

    # -- the end -------------------------------------------------------------------------------------------------

    def _terminate(self) -> None:
        """Ask every process to end and give them the grace period."""
        if self.group:
            cgroup.thaw(self.group.work)
        for proc in self._relatives():
            procs.send(proc, signal.SIGTERM)
            procs.send(proc, signal.SIGCONT)
        deadline = time.monotonic() + self.spec.grace_s
        while time.monotonic() < deadline and self._relatives():
            self._pump(min(STEP_S, max(0.0, deadline - time.monotonic())))

    def _linger(self) -> None:
        """Let children that hold the output (a `tee`) finish, for a short time."""
        deadline = time.monotonic() + LINGER_S
        while self.output.fd >= 0 and time.monotonic() < deadline and self._relatives():
            self._pump(STEP_S)

    def _end_all(self) -> procs.KillReport:
        """Kill whatever is left in the group, below us or with our mark; then empty the pipe."""
        report = self._kill_found()
        deadline = time.monotonic() + procs.KILL_LIMIT_S
        while not report.survivors and time.monotonic() < deadline and spawn.children():
            self._strike_children()
            again = self._kill_found()
            report = procs.KillReport(report.killed + again.killed, again.survivors)
        self.output.drain(DRAIN_LIMIT_S)
        self._reap()
        if self.group:
            cgroup.leave(self.group)
            cgroup.remove(self.group)
        return report

    def _kill_found(self) -> procs.KillReport:
        """Kill what a look at all processes finds until it finds no more."""
        token, group = self.status.token, self.group
        return procs.kill_all(
            lambda: dict.fromkeys(self._relatives() + procs.marked(token)),
            strike=(lambda: cgroup.strike(group.work)) if group else self._strike_children,
            between=lambda: self._pump(0.0),
        )

    def _strike_children(self) -> None:
        """Kill our children, and those that become ours when their parents die, faster than they can fork.

        Whoever forks and ends at once is never seen by a look at all processes, but each of them ends up as our child:
        having none proves that nothing is left. The number of a child is not used again before we have reaped it.
        """
        deadline = time.monotonic() + STRIKE_S
        while time.monotonic() < deadline:
            found = spawn.children()
            if not found:
                return
            for pid in found:
                with suppress(PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._reap()

    def _finish(self, cause: str | None) -> None:
        """End what is left, seal the log and write the last status."""
        report = self._end_all()
        seconds = (self._ended or time.monotonic()) - self._begun
        stuck = tuple(procs.described(proc) for proc in report.survivors)
        limits = Limits(self.spec.timeout_s, self.spec.grace_s)
        end = judge(self.spec.name, cause, self.wait_status, limits, len(stuck))
        end = on_disk(end, room.fault(self.plan.cwd_fd))
        self.output.log.seal()
        fault = self.output.log.error
        last = replace(
            self.status,
            state=end.state,
            exit_code=end.exit_code,
            signal=end.signal,
            error_kind=end.error_kind,
            message=end.message,
            seconds=round(seconds, 3),
            survivors_killed=len({proc.pid for proc in report.killed} - {self.main.pid} | self._reaped_killed),
            unkillable=stuck,
            log_error=f"{os_error_kind(fault)}: {fault.strerror}" if fault else "",
        )
        self._save_last(last)

    def _save_last(self, status: Status) -> None:
        """Write the last status, giving back the reserved space; try for a while when the disk refuses."""
        status = replace(status, ended_unix=time.time())
        with suppress(OSError):
            os.unlink(RESERVE, dir_fd=self.plan.folder_fd)
        deadline = time.monotonic() + SAVE_LIMIT_S
        while True:
            try:
                return write_status(self.plan.folder_fd, status)
            except OSError as exc:
                if exc.errno == errno.ENOENT or time.monotonic() > deadline:
                    return None
            time.sleep(0.2)

    def _crashed(self, exc: Exception) -> None:
        """End the work and record a fault of the supervisor itself."""
        self._end_all()
        message = f"the supervisor of {self.spec.name} failed: {type(exc).__name__}: {exc}"
        kind = error_kind(exc)
        with suppress(OSError):
            self._report({"error": {"kind": kind, "message": message}})
        self._save_last(replace(self.status, state="killed", error_kind=kind, message=message))
