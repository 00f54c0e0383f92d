# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: recorder
type: notification
short_description: Records what Ansible did in a run
description:
  - Appends one JSON line a play, task and host result to events.jsonl in the run's folder, as soon as the folder is known.
  - It records and never judges. Results are recorded by status, never by content, so that no secret gets there.
version_added: 0.1.0
author: Testcell contributors
"""

import gc
import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback import CallbackBase

from ..plugin_utils.artifacts import proof
from ..plugin_utils.run import ansible_log, screen

NAME = "events.jsonl"
RUN_OPENER = "resolve_run"


class CallbackModule(CallbackBase):
    """Keep the events until the run's folder is known, then write each as it comes."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "enginelab.testcell.recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[str] = []
        self._stream: TextIO | None = None
        self._began: dict[tuple[str, str], float] = {}

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
        if str(result.task.action).endswith(RUN_OPENER) and result.result.get("run_dir"):
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
        if self._stream:
            with suppress(OSError):
                self._stream.close()
                proof.settle(Path(self._stream.name).parent, NAME)
            self._stream = None
        gc.freeze()  # a last search for garbage, at exit, would take longer than all else that is left to do

    def _result(self, status: str, result: CallbackTaskResult) -> None:
        host = result.host.get_name()
        began = self._began.pop((host, result.task._uuid), None)
        seconds = None if began is None else round(time.time() - began, 3)
        self._record("result", host=host, task=result.task.get_name().strip(), status=status, seconds=seconds)

    def _record(self, event: str, **fields: Any) -> None:
        line = json.dumps({"t": round(time.time(), 3), "event": event, **fields}, default=str) + "\n"
        if self._stream is None:
            self._waiting.append(line)
        else:
            with suppress(OSError):  # a full disk: the stream keeps the line and writes it with a later one
                self._stream.write(line)

    def _open(self, run_dir: Path) -> None:
        if self._stream is None and run_dir.is_dir():
            self._stream = (run_dir / NAME).open("a", buffering=1, encoding="utf-8")
            self._stream.writelines(self._waiting)
            self._waiting.clear()
