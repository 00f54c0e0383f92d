# SPDX-License-Identifier: MIT
"""A run that has ended, small and whole: two cases with files of several digests, and its proof."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import manifest, proof, sums
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import atomic
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef

RUN_ID = "20260102_030405"
CASES = (CaseRef("first", "", 1), CaseRef("second", "a_1", 2))
LOG, RESULT, STATE, HASHED = (
    "nodes/n1/services/engine.log",
    "test_artifacts/results/data.json",
    "nodes/n1/evidence/state.json",
    "test_artifacts/results/fast.bin",
)
CONTENT = {LOG: b"ready\n" * 100, RESULT: b'{"tokens": 1}\n', STATE: b"", HASHED: bytes(range(256)) * 8}
DIGESTS: dict[str, Callable[[bytes], str]] = {
    LOG: lambda content: f"sha256:{hashlib.sha256(content).hexdigest()}",
    RESULT: lambda content: f"blake2b:{hashlib.blake2b(content, digest_size=32).hexdigest()}",
    STATE: lambda _content: "",
    HASHED: lambda _content: f"blake3:{'ab' * 32}",
}
OWN = {
    "plan.json": {"run_id": RUN_ID},
    "summary.json": {
        "run_id": RUN_ID,
        "verdict": "pass",
        "exit_code": 0,
        "counts": {"pass": 2},
        "seconds": 3.0,
        "ended_at": "2026-01-02T03:04:08+00:00",
        "cases": [
            {"scenario": ref.scenario, "case": ref.case, "attempt": ref.attempt, "verdict": "pass"} for ref in CASES
        ],
    },
}
EVENTS = b'{"t": 1, "event": "play"}\n'
# The files of such a run, without the two of its proof.
FILES = len(OWN) + len(CASES) * (len(CONTENT) + 2) + 2


def write(results: Path, run_id: str = RUN_ID, *, seal: bool = True, **extra: bytes) -> Path:
    """Write a run below results and return its folder. extra: path -> content of more files of the first case."""
    run = results / run_id
    for ref in CASES:
        folder = ref.folder(run)
        files = {**CONTENT, **(extra if ref == CASES[0] else {})}
        for name, content in files.items():
            _put(folder / name, content)
        notes = {"files": [entry(folder, name) for name in files], "missing": [], "refused": []}
        atomic.write_json(folder / manifest.NAME, manifest.of_case(run_id, ref, {"n1": notes}))
        _put(folder / "test.log", b"done\n")
    for name, document in OWN.items():
        _put(run / name, json.dumps({**document, "run_id": run_id}).encode())
    _put(run / "journal.jsonl", b'{"step": "report"}\n')
    _put(run / "events.jsonl", EVENTS)
    if seal:
        proof.seal(run, CASES, 0.0, known={}, pending={}, growing=("events.jsonl",))
        sums.settle(run, "events.jsonl")
    return run


def entry(folder: Path, name: str) -> dict[str, Any]:
    """Return the entry of a file as its collection notes it."""
    content = (folder / name).read_bytes()
    digest = DIGESTS.get(name, DIGESTS[LOG])(content)
    return {"path": name, "size": len(content), "mode": 0o644, "mtime_ns": 1_767_322_800_000_000_000, "digest": digest}


def tree(folder: Path) -> dict[str, bytes]:
    """Return path -> content of all files below a folder."""
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            found[os.path.relpath(path, folder)] = Path(path).read_bytes()
    return found


def of_the_first_form(run: Path) -> None:
    """Make a run what runs were before they had a proof."""
    for name in (manifest.NAME, sums.NAME):
        (run / name).unlink()
    cases = []
    for ref in CASES:
        folder = ref.folder(run)
        known = {**entry(folder, LOG), "sha256": proof.sha256(CONTENT[LOG])}
        del known["digest"]
        nodes = {"n1": {"files": [known], "missing": [], "refused": []}}
        document = {"schema_version": 1, "algorithm": "sha256", "nodes": nodes}
        (folder / manifest.NAME).write_text(json.dumps(document))
        cases.append({"path": ref.folder(Path()).as_posix()})
    (run / "summary.json").write_text(json.dumps({"run_id": run.name, "cases": cases}))


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
