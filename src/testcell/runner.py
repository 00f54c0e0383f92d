# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""The only caller of ansible-runner: one job in, one outcome out."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import starter

from testcell import ansible_process, scratch, signals
from testcell.project import Project

COLLECTION = "enginelab.testcell"
LEAST_FORKS = 20
POLL_S = 1
OUTPUT_LINES = 40
LATE = "timeout"
# ansible-runner's own code for a run that it ended; a process that a signal ended has no code at all.
ENDED_BY_SIGNAL = 254
# What a folder that is kept begins with, so that nobody tidies it.
KEPT = "testcell-kept-"
# The command file of a run holds the whole environment, and with it every secret in it.
SECRET_FILES = ("artifacts/*/command", "env/extravars")


@dataclass(frozen=True)
class Job:
    """One playbook to run.

    playbook: a path below the project or a full collection name. inventory: as for ansible-playbook -i; excluded: its
    nodes to leave out. hosts: how many nodes work at the same time. grace_s: time to end after a signal. timeout_s: 0
    is none.
    """

    playbook: str
    project: Project
    inventory: tuple[str, ...]
    extravars: Mapping[str, Any] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
    hosts: int = 1
    verbosity: int = 0
    keep: bool = False
    grace_s: float = 20.0
    timeout_s: int = 0


@dataclass(frozen=True)
class TaskFailure:
    """A task that failed or a node that was not reached. failure: our own record, when the task gave one."""

    host: str
    task: str
    message: str
    unreachable: bool
    failure: Mapping[str, Any]
    problems: tuple[Mapping[str, Any], ...] = ()
    usage: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a job ended. signal: the first we were sent, 0 for none; signals: how many.

    results: the last result of each action by its short name. kept: the folder with Ansible's own files.
    """

    rc: int
    status: str
    signal: int
    signals: int
    seconds: float
    failures: tuple[TaskFailure, ...]
    results: Mapping[str, Mapping[str, Any]]
    output: tuple[str, ...]
    kept: Path | None


Listener = Callable[[Mapping[str, Any]], None]


def run(job: Job, listener: Listener | None = None) -> Outcome:
    """Run a job to its end and return how it ended. listener: gets every event of ansible-runner as it comes."""
    with scratch.folder() as private:
        return _run_in(private, job, listener)


def _run_in(private: Path, job: Job, listener: Listener | None) -> Outcome:
    """Run a job with its files in a folder, and put that away."""
    recorder = _Recorder(listener, job.keep)
    began = time.monotonic()
    limit = _Limit(began + job.timeout_s if job.timeout_s else None)
    before = signals.children(os.getpid())
    stopper = signals.Stopper(lambda: signals.session_leader(os.getpid(), before), job.grace_s, time.monotonic)
    try:
        with stopper, ansible_process.clean_environ():
            rc, status = _run(job, private, recorder, lambda: _must_end(stopper, limit, before))
    finally:
        signals.kill_sessions(stopper.sessions)
        kept = _put_away(private, job.keep)
    return Outcome(
        rc=rc,
        status=LATE if limit.passed else status,
        signal=stopper.signal,
        signals=len(stopper.received),
        seconds=time.monotonic() - began,
        failures=tuple(recorder.failures),
        results=recorder.results,
        output=tuple(recorder.output[-OUTPUT_LINES:]),
        kept=kept,
    )


def _run(job: Job, private: Path, recorder: _Recorder, must_end: Callable[[], bool]) -> tuple[int, str]:
    import ansible_runner

    _write_extravars(private / "env" / "extravars", {**job.extravars, "testcell_project_dir": str(job.project.root)})
    inventory = [*job.inventory, *_exclusion(private, job.excluded)]
    done = ansible_runner.run(
        private_data_dir=str(private),
        project_dir=str(job.project.root),
        playbook=job.playbook,
        inventory=inventory,
        forks=max(LEAST_FORKS, job.hosts + 1),
        verbosity=job.verbosity or None,
        envvars={**ansible_process.environment(job.project, private), starter.VARIABLE: str(os.getpid())},
        settings={"pexpect_timeout": POLL_S},
        quiet=True,
        event_handler=recorder,
        cancel_callback=must_end,
    )
    return ENDED_BY_SIGNAL if done.rc is None else int(done.rc), str(done.status)


@dataclass
class _Limit:
    """When a job must have ended, None for never. passed: it had not, and was ended."""

    at: float | None
    passed: bool = False

    def over(self) -> bool:
        """Return whether the time is over."""
        self.passed = self.passed or (self.at is not None and time.monotonic() >= self.at)
        return self.passed


def _must_end(stopper: signals.Stopper, limit: _Limit, before: set[int]) -> bool:
    """Decide whether Ansible must be killed now; its workers lead sessions of their own, so they are killed here."""
    if not stopper.overdue() and not limit.over():
        return False
    child = signals.session_leader(os.getpid(), before)
    if child is not None:
        signals.kill_tree(child)
    return True


def _exclusion(private: Path, excluded: Sequence[str]) -> list[str]:
    """Return an inventory that turns nodes off; Ansible's own --limit would leave out the controller as well."""
    if not excluded:
        return []
    path = private / "excluded.ini"
    path.write_text("".join(f"{name} testcell_enabled=false\n" for name in excluded))
    return [str(path)]


def _write_extravars(path: Path, variables: Mapping[str, Any]) -> None:
    """Write variables so that Ansible never takes text in them for a template, as AWX does.

    The whole document carries the tag: on a single text it would make "20260102_030405" a number.
    """
    path.parent.mkdir(mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"--- !unsafe\n{json.dumps(dict(variables), indent=1)}\n")


def _put_away(private: Path, keep: bool) -> Path | None:
    """Remove the private folder, or keep it without the files that hold secrets and return it."""
    if not keep:
        shutil.rmtree(private, ignore_errors=True)
        return None
    for pattern in SECRET_FILES:
        for path in private.glob(pattern):
            path.unlink()
    return private.rename(private.with_name(private.name.replace(scratch.PREFIX, KEPT)))


class _Recorder:
    """Keeps of ansible-runner's events what an outcome needs. in_files: each becomes a file as well, for people to read."""

    def __init__(self, listener: Listener | None, in_files: bool) -> None:
        self._in_files = in_files
        self.failures: list[TaskFailure] = []
        self.results: dict[str, Mapping[str, Any]] = {}
        self.output: list[str] = []
        self._listener = listener

    def __call__(self, event: Mapping[str, Any]) -> bool:
        """Take in one event; the answer tells ansible-runner to write it to its artifacts."""
        facts = event.get("event_data") or {}
        kind = event.get("event")
        result = facts.get("res") or {}
        if kind == "runner_on_ok" and isinstance(result, Mapping):
            self.results[str(facts.get("task_action", "")).rpartition(".")[2]] = result
        elif kind in ("runner_on_failed", "runner_on_unreachable") and not facts.get("ignore_errors"):
            self.failures.append(_failure(facts, result, kind == "runner_on_unreachable"))
        self.output += _lines(event)
        del self.output[: -4 * OUTPUT_LINES]
        if self._listener is not None:
            self._listener(event)
        return self._in_files


def _failure(facts: Mapping[str, Any], result: Mapping[str, Any], unreachable: bool) -> TaskFailure:
    known, problems = result.get("failure"), result.get("problems")
    return TaskFailure(
        host=str(facts.get("host", "")),
        task=str(facts.get("task", "")),
        message=str(result.get("msg") or "failed without a message"),
        unreachable=unreachable,
        failure=known if isinstance(known, Mapping) else {},
        problems=tuple(problems) if isinstance(problems, list) else (),
        usage=result.get("usage") is True,
    )


def _lines(event: Mapping[str, Any]) -> Sequence[str]:
    text = event.get("stdout")
    return str(text).splitlines() if text else ()
