# SPDX-License-Identifier: MIT
"""Stands for the step that opens a run: it tells the recorder the run's folder, and does nothing else."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """Return the folder that was given."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        return {"changed": False, "run_dir": self._task.args["run_dir"]}
