# SPDX-License-Identifier: MIT
"""Runs for the results database: folders as a run leaves them, and rows without any folder."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import schema
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.put import AttemptRows, RunRows
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import Store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import case_files, run_files
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure

BEGAN = 1_767_322_800.25
HOST = "ctl"
OWNER = f"anna@{HOST}:77/0a1b2c3d-4026531836/99"
BENCHMARK = {
    "requested": {"num_prompts": 30},
    "achieved": {"completed": 30, "failed": 0},
    "metrics": {"ttft_ms": {"p50": 7.5, "p99": 42.0, "count": 30}, "output_token_throughput": 1980.5},
}
# What a run leaves of rows in each of these: what is compared after a rebuild, by words and not by numbers.
TABLES = ("runs", "cases", "case_labels", "attempts", "attempt_nodes", "evidence", "metrics", "run_nodes", "events")


def attempt(
    scenario: str = "first", case: str = "", number: int = 1, verdict: str = "pass", **more: Any
) -> dict[str, Any]:
    """Return the record of an attempt as the report step makes it."""
    failed = failure.of(
        "engine_dead", "EngineCore died", at=BEGAN + 2, step="test", node="n2", evidence=["line 1", "line 2"]
    )
    return {
        "scenario": scenario,
        "case": case,
        "labels": {"model": "small", "prompt_type": "chat"},
        "attempt": number,
        "verdict": verdict,
        "control": {"ok": True},
        "result": {"ok": verdict == "pass"},
        "failure": None if verdict == "pass" else failed.as_dict(),
        "reasons": [],
        "seconds": 3.5,
        "started_at": BEGAN,
        "nodes": ["n1", "n2"],
        "benchmark": BENCHMARK,
        **more,
    }


def write(results: Path, run_id: str, *attempts: dict[str, Any], finished: bool = True, owner: str = OWNER) -> Path:
    """Write the folder of a run with these attempts, or with one that passed, and return it."""
    run_dir = results / run_id
    records = [{"run_id": run_id, **one} for one in attempts or (attempt(),)]
    refs = [{key: one[key] for key in ("scenario", "case", "attempt")} for one in records]
    plan = {"run_id": run_id, "owner": owner, "started_at": BEGAN, "addresses": {"n1": "10.0.0.1"}}
    run_dir.mkdir(parents=True)
    (run_dir / "plan.json").write_text(
        json.dumps({**plan, "cases": [{"ref": ref, "nodes": ["n1", "n2"]} for ref in refs]})
    )
    (run_dir / "journal.jsonl").write_text("{}\n")
    events = [
        {"t": BEGAN + n, "event": "result", "host": "n1", "task": f"task {n}", "status": "ok", "seconds": 0.5}
        for n in range(3)
    ]
    (run_dir / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for record in records:
        case_files.write(run_dir / _folder(record), record)
    if finished:
        run = {"run_id": run_id, "verdict": "pass", "exit_code": 0, "control": {"ok": True}, "cases": records}
        ended = {"nodes": ["n1", "n2"], "seconds": 4.0, "started_at": BEGAN, "ended_at": BEGAN + 4}
        run_files.write(run_dir, {**run, **ended, "verify": {"n1": {"clean": True}, "n2": {"clean": None}}})
    return run_dir


def _folder(record: dict[str, Any]) -> str:
    parts = [record["scenario"], record["case"], f"attempt_{record['attempt']}" if record["attempt"] > 1 else ""]
    return "/".join(part for part in parts if part)


def rows(run_id: str, cases: int = 1, **run: Any) -> RunRows:
    """Return a run that lies in no folder, with one attempt of each of so many cases."""
    facts = {
        "verdict": "pass",
        "exit_code": 0,
        "control_ok": True,
        "started_at": BEGAN,
        "ended_at": BEGAN,
        "seconds": 0.0,
    }
    row = {
        "key": f"{run_id}@{HOST}",
        "run_id": run_id,
        "host": HOST,
        "path": "",
        "state": "finished",
        "digest": "",
        **facts,
    }
    return RunRows({**row, **run}, tuple(_attempt_rows(f"case_{number}") for number in range(cases)), events=())


def _attempt_rows(case: str) -> AttemptRows:
    words = dict.fromkeys(("error_kind", "owner", "step", "node", "service", "message", "rule", "path"), "")
    flags = {"control_ok": True, "result_ok": True, "retriable": None, "during_fault": None}
    times = {"started_at": BEGAN, "ended_at": BEGAN + 1, "seconds": 1.0}
    row = {"attempt": 1, "verdict": "pass", **words, **flags, **times}
    return AttemptRows(
        {"scenario": "s", "name": case, "labels": '{"model": "small"}'}, row, {"model": "small"}, ("n1",)
    )


def content(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a database holds, told by names instead of numbers, so that two of them can be compared."""
    with store.read() as connection:
        named = {
            "runs": dict(connection.execute(sa.select(schema.runs.c.id, schema.runs.c.key)).all()),
            "cases": {row.id: (row.scenario, row.name) for row in connection.execute(sa.select(schema.cases))},
        }
        numbers = sa.select(schema.attempts.c["id", "run_id", "case_id", "attempt"])
        named["attempts"] = {
            row.id: (named["runs"][row.run_id], named["cases"][row.case_id], row.attempt)
            for row in connection.execute(numbers)
        }
        return {name: sorted(map(repr, _named(connection, name, named))) for name in TABLES}


def _named(connection: sa.Connection, name: str, named: dict[str, dict[int, Any]]) -> list[tuple[Any, ...]]:
    table = schema.METADATA.tables[name]
    columns = [column for column in table.columns if column.name != "id"]
    targets = [next((key.column.table.name for key in column.foreign_keys), "") for column in columns]
    return [
        tuple(named[target][value] if target else value for target, value in zip(targets, row, strict=True))
        for row in connection.execute(sa.select(*columns))
    ]


def whole(file: Path) -> str:
    """Return what SQLite says of a whole file."""
    connection = sqlite3.connect(file)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def spoil(file: Path, table: str) -> None:
    """Overwrite the first page of one table of a database that nobody has open."""
    connection = sqlite3.connect(file)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
    connection.close()
    content = bytearray(file.read_bytes())
    content[4096 * (page - 1) : 4096 * page] = b"\xff" * 4096
    file.write_bytes(content)
