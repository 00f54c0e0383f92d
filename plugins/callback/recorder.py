# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: recorder
type: notification
short_description: Records what Ansible did in a run
description:
  - Appends one JSON line a play, task and host result to events.jsonl in the run's folder, within 100 ms, from the moment when
    the folder is known.
  - The same goes into the results database, and at the end the run's results with it, see docs/reference/database.md. A
    database that cannot be used is told and changes nothing of the run.
  - It records and never judges. Results are recorded by status, never by content, so that no secret gets there. Of what failed it
    also records the error kind, its owner, and whether a retry can help.
version_added: 0.1.0
author: Testcell contributors
"""

import atexit
import gc
import logging
import os
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback import CallbackBase

from ..plugin_utils.artifacts import sums
from ..plugin_utils.memory import recording
from ..plugin_utils.memory.rows import EVENTS
from ..plugin_utils.run import ansible_log, folder, screen, starter

RUN_OPENER = "resolve_run"


class CallbackModule(CallbackBase):
    """Put events into a queue; from the moment when the run's folder is known a thread writes them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "enginelab.testcell.recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        starter.end_with(os.environ)
        self._began: dict[tuple[str, str], float] = {}
        self._names: dict[str, str] = {}
        self._queue: recording.Queue = SimpleQueue()
        self._recording: recording.Recording | None = None

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # What is loaded by now stays until the end. Tasks are forks of this process, and a search for garbage in one of
        # them copies all the memory that it looks at.
        gc.freeze()
        # The thread of Ansible's that shows lines dies, and hangs the run, where one cannot be shown.
        self._display.display = screen.unfailing(self._display.display)
        ansible_log.tell_once(logging.root.handlers, self._display.warning)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._record("play", name=play.get_name().strip())

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._began[(host.get_name(), task._uuid)] = time.time()

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        opens = self._recording is None and str(result.task.action).endswith(RUN_OPENER)
        if opens and result.result.get("run_dir"):
            self._open(Path(str(result.result["run_dir"])))
        self._result("ok", result)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        self._result("failed", result)

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        self._result("skipped", result)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        self._result("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._record("end", hosts={host: stats.summarize(host) for host in sorted(stats.processed)})
        self._end_recording()
        gc.freeze()  # a last search for garbage, at exit, would take longer than all else that is left to do

    def _result(self, status: str, result: CallbackTaskResult) -> None:
        host, task = result.host.get_name(), result.task
        began = self._began.pop((host, task._uuid), None)
        seconds = None if began is None else round(time.time() - began, 3)
        cause = _cause(result.result, host) if status in ("failed", "unreachable") else {}
        self._record("result", host=host, task=self._name_of(task), status=status, seconds=seconds, **cause)

    def _name_of(self, task: Any) -> str:
        """Return a task's name, which Ansible puts together anew for each host."""
        if task._uuid not in self._names:
            self._names[task._uuid] = task.get_name().strip()
        return self._names[task._uuid]

    def _record(self, event: str, **fields: Any) -> None:
        self._queue.put((round(time.time(), 3), event, fields))

    def _open(self, run_dir: Path) -> None:
        if run_dir.is_dir():
            url = folder.database_url(run_dir)
            found = recording.of_run(run_dir, url, self._queue, lambda: sums.settle(run_dir, EVENTS))
            found.start()
            self._recording = found

    def _end_recording(self) -> None:
        if self._recording is None:
            return
        wrong = self._recording.end()
        if wrong:
            self._display.warning(wrong)
        atexit.register(self._recording.close)
        self._recording = None


def _cause(result: Any, host: str) -> dict[str, Any]:
    """Return kind, owner and retry rule of a result that failed, and no word of its content."""
    from ..plugin_utils.classify import task  # noqa: PLC0415 - most runs need no rules

    found = task.of_result(result, host=host)
    return {"error_kind": found.error_kind, "owner": found.owner, "retriable": found.retriable}
