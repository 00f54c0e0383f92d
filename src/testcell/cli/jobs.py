# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""Playbooks beside the run itself: run them, and read what the nodes said through a JSON file."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcell import scratch

if TYPE_CHECKING:
    from testcell.inventory import Inventory
    from testcell.project import Project
    from testcell.runner import Outcome

ANSWERS = "answers.json"
LOCAL = "local"


@dataclass(frozen=True)
class Work:
    """Where a playbook runs and how long it may take. timeout_s: 0 is no limit; grace_s: time to end after a signal.

    with_local: the controller takes part as the node `local`, which the inventory does not have.
    """

    project: Project
    found: Inventory
    with_local: bool = False
    verbose: bool = False
    grace_s: float = 20.0
    timeout_s: int = 0

    def do(self, playbook: str, variables: Mapping[str, Any]) -> Outcome:
        """Run a playbook of the collection to its end."""
        from testcell import runner
        from testcell.cli.execution import say_all

        with scratch.brief_folder() as folder:
            job = runner.Job(
                playbook=f"{runner.COLLECTION}.{playbook}",
                project=self.project,
                inventory=(*self.found.sources, *(_local_node(folder) if self.with_local else ())),
                extravars=variables,
                hosts=len(self.found.nodes),
                grace_s=self.grace_s,
                timeout_s=self.timeout_s,
            )
            return runner.run(job, say_all if self.verbose else None)

    def ask(
        self, playbook: str, out_variable: str, variables: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]] | None, Outcome]:
        """Run a playbook and return what it wrote to the file named by out_variable, None for nothing."""
        with scratch.brief_folder() as folder:
            path = folder / ANSWERS
            outcome = self.do(playbook, {**variables, out_variable: str(path)})
            return _read(path), outcome


def needs_local(used: Sequence[str], found: Inventory) -> bool:
    """Decide whether the controller must be added to the inventory, so that each used node is there."""
    return LOCAL in used and LOCAL not in found.names


def silent(answers: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Return the nodes that gave no answer, so that silence is never taken for health or for cleanness."""
    heard = {answer.get("name") for answer in answers}
    return [name for name in names if name not in heard]


def _local_node(folder: Path) -> tuple[str]:
    path = folder / "local.ini"
    path.write_text(f"{LOCAL} ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    return (str(path),)


def _read(path: Path) -> list[dict[str, Any]] | None:
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return [answer for answer in answers if isinstance(answer, dict)] if isinstance(answers, list) else None
