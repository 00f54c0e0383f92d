# SPDX-License-Identifier: MIT
"""A results database filled by rows, as runs would fill it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.put import AttemptRows, RunRows
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import Store
from upkeep_facts import attempt

BLANK = dict.fromkeys(("step", "service", "message", "rule", "path"), "")


def fill(store: Store, run_id: str, at: float, words: Mapping[str, str], *, host: str = "ctl") -> None:
    """Put a run that ended at a moment. words: case -> what happened, as `upkeep_facts.attempt` reads it; its model after a colon."""
    attempts = tuple(_rows(case, word, at) for case, word in words.items())
    row = {
        "key": f"{run_id}@{host}", "run_id": run_id, "host": host, "path": "", "state": "finished", "verdict": "fail",
        "exit_code": 1, "control_ok": True, "started_at": at - 600, "ended_at": at, "seconds": 600.0, "digest": "",
    }  # fmt: skip
    store.put([RunRows(row, attempts, events=())])


def _rows(case: str, word: str, at: float) -> AttemptRows:
    name, _, model = case.partition(":")
    seen = attempt(word, at)
    labels = {"model": model or "m"}
    row: dict[str, Any] = {
        **BLANK, "attempt": 1, "verdict": seen.verdict, "control_ok": True, "result_ok": seen.verdict == "pass",
        "error_kind": seen.kind, "owner": seen.owner, "retriable": seen.retriable, "node": seen.node,
        "during_fault": None, "started_at": at - 60, "ended_at": at, "seconds": 60.0,
    }  # fmt: skip
    facts = {"scenario": "s", "name": name, "labels": json.dumps(labels)}
    return AttemptRows(facts, row, labels, seen.nodes, revision=seen.revision)
