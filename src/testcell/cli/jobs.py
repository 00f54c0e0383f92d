# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""Playbooks that answer through a JSON file: run them and read what the nodes said."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testcell.project import Project
    from testcell.runner import Outcome

ANSWERS = "answers.json"
LOCAL = "local"


def ask(
    project: Project,
    sources: Sequence[str],
    playbook: str,
    out_variable: str,
    variables: Mapping[str, Any],
    *,
    hosts: int,
    with_local: bool = False,
    grace_s: float = 20.0,
    timeout_s: int = 0,
    verbose: bool = False,
) -> tuple[list[dict[str, Any]] | None, Outcome]:
    """Run a playbook of the collection and return what it wrote to the file named by out_variable, None for nothing.

    with_local: the controller takes part as the node `local`, which the inventory does not have.
    """
    from testcell import runner
    from testcell.cli.execution import say_all

    with tempfile.TemporaryDirectory(prefix="testcell-") as folder:
        path = Path(folder) / ANSWERS
        if with_local:
            own = Path(folder) / "local.ini"
            own.write_text(f"{LOCAL} ansible_connection=local ansible_python_interpreter={sys.executable}\n")
            sources = (*sources, str(own))
        job = runner.Job(
            playbook=f"{runner.COLLECTION}.{playbook}",
            project=project,
            inventory=tuple(sources),
            extravars={**variables, out_variable: str(path)},
            hosts=hosts,
            grace_s=grace_s,
            timeout_s=timeout_s,
        )
        outcome = runner.run(job, say_all if verbose else None)
        return _read(path), outcome


def silent(answers: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Return the nodes that gave no answer, so that silence is never taken for health or for cleanness."""
    heard = {answer.get("name") for answer in answers}
    return [name for name in names if name not in heard]


def _read(path: Path) -> list[dict[str, Any]] | None:
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return [answer for answer in answers if isinstance(answer, dict)] if isinstance(answers, list) else None
