# SPDX-License-Identifier: MIT
"""Results of a load in normal form, right in every part, for tests to spoil."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.summary import figures

IDENTITY = {"run_id": "20260101_000000", "case": "c1", "attempt": 1}


def record(index: int, **changes: Any) -> dict[str, Any]:
    """Return a completed request of three tokens: sent at its index, first token after 100 ms, done after 300 ms."""
    return {
        "index": index,
        **IDENTITY,
        "scheduled_s": float(index),
        "sent_s": float(index),
        "first_token_s": index + 0.1,
        "end_s": index + 0.3,
        "ok": True,
        "status": 200,
        "error": None,
        "error_kind": None,
        "prompt_tokens": 10,
        "output_tokens": 3,
        "tokens_estimated": False,
        "no_tokens": False,
        "chunks": 3,
        "finish_reason": "length",
        "ttft_ms": 100.0,
        "e2e_ms": 300.0,
        "itl_ms": [80.0, 120.0],
        **changes,
    }


def failed(index: int, kind: str = "http_refused", status: int | None = None, **changes: Any) -> dict[str, Any]:
    """Return a request that failed before its first token."""
    nothing = {"first_token_s": None, "ttft_ms": None, "e2e_ms": None, "itl_ms": [], "chunks": 0, "output_tokens": 0}
    return record(
        index, ok=False, status=status, error="it broke", error_kind=kind, finish_reason=None, **{**nothing, **changes}
    )


def empty(index: int) -> dict[str, Any]:
    """Return a request that completed without a token."""
    return record(
        index,
        no_tokens=True,
        chunks=0,
        output_tokens=0,
        first_token_s=None,
        ttft_ms=None,
        itl_ms=[],
        finish_reason="stop",
    )


def benchmark(records: list[dict[str, Any]], wanted: int | None = None, **changes: Any) -> dict[str, Any]:
    """Return the summary that belongs to records."""
    return {
        "schema_version": 1,
        **IDENTITY,
        "client": {
            "name": "cellload",
            "version": "1",
            "loop_lag_ms": {"p50": 0.1, "p95": 0.2, "max": 1.0},
            "held_back": 0,
        },
        "config": {"goodput": None},
        "started_at": "2026-01-01T00:00:10.000+00:00",
        "requested": {"num_prompts": wanted or len(records), "request_rate": None, "max_concurrency": 1},
        **figures(records),
        **changes,
    }


def write(folder: Path, summary: dict[str, Any] | None, records: list[dict[str, Any]]) -> Path:
    """Write both files below folder as the client does and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(item) + "\n" for item in records).encode()
    (folder / "requests.jsonl").write_bytes(content)
    if summary is not None:
        facts = {"name": "requests.jsonl", "lines": len(records), "sha256": hashlib.sha256(content).hexdigest()}
        (folder / "benchmark.json").write_text(json.dumps({**summary, "files": {"requests": facts}}, indent=2))
    return folder


@pytest.fixture(scope="session")
def made() -> Any:
    """The makers of results, and the identity they carry."""
    makers = (record, failed, empty, benchmark, write)
    return SimpleNamespace(identity=IDENTITY, **{maker.__name__: maker for maker in makers})
