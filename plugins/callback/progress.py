# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: A progress view for people
description:
  - Shows the plays, what our actions answer, and what failed. The steps of a case print their own lines.
  - It shows and never judges.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - default_callback
requirements:
  - set as stdout in configuration
"""

import sys
from typing import Any

from ansible import constants as C
from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback import CallbackBase

from ..plugin_utils.run import screen

OURS = "enginelab.testcell."


class CallbackModule(CallbackBase):
    """Print play names, failures, and what our own actions answer in words."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "enginelab.testcell.progress"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # What a step shows is written by a thread of Ansible's that dies, and hangs the run, where nobody reads it.
        sys.stdout, sys.stderr = screen.lasting(sys.stdout), screen.lasting(sys.stderr)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._display.display(f"-- {play.get_name().strip()}", color=C.COLOR_HIGHLIGHT)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        message = str(result.result.get("msg", "")).strip() or "failed without a message"
        self._display.display(
            f"  {result.host.get_name():<12} FAILED   {result.task.get_name().strip()}: {message}", color=C.COLOR_ERROR
        )

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        message = str(result.result.get("msg", "")).strip()
        self._display.display(f"  {result.host.get_name():<12} UNREACHABLE {message}", color=C.COLOR_UNREACHABLE)

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        message = str(result.result.get("msg", "")).strip()
        if message and str(result.task.action).startswith(OURS):
            self._display.display(f"  {result.host.get_name():<12} {message}")
        if self._display.verbosity:
            self._display.display(
                f"  {result.host.get_name():<12} ok       {result.task.get_name().strip()}", color=C.COLOR_OK
            )

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._display.display("  no node matches; see the inventory and --limit", color=C.COLOR_SKIP)
