# SPDX-License-Identifier: MIT
"""Our recorder, which also tells what it took: of Ansible's main thread by the clock and in CPU time, and of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
name: timed_recorder
type: notification
short_description: The recorder with a clock
description:
  - Writes what recording took to the file named by the variable BENCH_TOOK.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

BEFORE = time.perf_counter()
from ansible_collections.enginelab.testcell.plugins.callback import recorder

IMPORT_S = time.perf_counter() - BEFORE
TIMED = (
    "v2_playbook_on_start", "v2_playbook_on_play_start", "v2_runner_on_start", "v2_runner_on_ok",
    "v2_runner_on_failed", "v2_runner_on_skipped", "v2_runner_on_unreachable",
)  # fmt: skip


class CallbackModule(recorder.CallbackModule):
    """The recorder, each call of it timed."""

    CALLBACK_NAME = "timed_recorder"

    def __init__(self) -> None:
        super().__init__()
        self.took = {"import_s": IMPORT_S, "calls_s": 0.0, "cpu_s": 0.0, "end_s": 0.0, "thread_s": 0.0}
        for name in TIMED:
            setattr(self, name, self._timed(getattr(self, name)))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        assert self._recording is not None and self._recording._thread.ident is not None
        # What the thread does from here on is waited for, and counted by the clock.
        self.took["thread_s"] = time.clock_gettime(time.pthread_getcpuclockid(self._recording._thread.ident))
        began = time.perf_counter()
        super().v2_playbook_on_stats(stats)
        self.took["end_s"] = time.perf_counter() - began
        Path(os.environ["BENCH_TOOK"]).write_text(json.dumps(self.took))

    def _timed(self, call: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> None:
            began, cpu = time.perf_counter(), time.thread_time()
            call(*args, **kwargs)
            self.took["cpu_s"] += time.thread_time() - cpu
            self.took["calls_s"] += time.perf_counter() - began

        return timed
