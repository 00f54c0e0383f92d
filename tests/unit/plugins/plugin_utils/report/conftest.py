# SPDX-License-Identifier: MIT

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import cleaning

HOSTILE = (
    "<script>alert(1)</script>",
    "a|b `code` ![x](javascript:alert(1)) <img src=x onerror=alert(1)>",
    "'\"--></style></script><svg onload=alert(1)>",
    "{{ 7*7 }} {% raw %} ${HOME} $(id)",
    "line one\n# heading\n\n| a | b |\r\n- item\u202etxt\x1b[31mred\x1b[0m\x00\x07",
    "=cmd|' /C calc'!A0",
)


def latency(middle: float) -> dict[str, float]:
    return {
        "mean": middle,
        "p50": middle,
        "p90": middle * 2,
        "p95": middle * 2,
        "p99": middle * 3,
        "min": 1.0,
        "max": 99.5,
        "count": 20,
    }


def benchmark() -> dict[str, Any]:
    return {
        "schema_version": 1,
        "requested": {"num_prompts": 20, "request_rate": None, "max_concurrency": 4},
        "achieved": {"rate": 3.5, "sent": 20, "completed": 20, "failed": 0},
        "tokens": {"input": 100, "output": 640},
        "metrics": {
            "ttft_ms": latency(38.5),
            "itl_ms": latency(9.25),
            "tpot_ms": None,
            "e2e_ms": latency(1200.0),
            "request_throughput": 3.21,
            "output_token_throughput": 412.7,
            "total_token_throughput": 450.0,
            "goodput": None,
        },
        "schedule_delay_ms": {"p50": 0.2, "p95": 1.5, "max": 4.0},
        "duration_s": 31.5,
        "errors": {},
    }


@pytest.fixture
def make_case() -> Callable[..., dict[str, Any]]:
    """Return a maker of case records; keywords replace what it would put there."""

    def make(**changes: Any) -> dict[str, Any]:
        record: dict[str, Any] = {
            "run_id": "20260102_030405",
            "scenario": "001_baseline",
            "case": "",
            "labels": {},
            "attempt": 1,
            "verdict": "pass",
            "control": {"ok": True},
            "result": {"ok": True},
            "failure": None,
            "reasons": [],
            "checks": [{"name": "completed requests", "ok": True, "value": 20, "limit": 20}],
            "started_at": 1_767_323_045.25,
            "seconds": 40.0,
            "steps": [
                {"step": "deploy", "node": "node1", "ok": True, "seconds": 4.0, "detail": "", "started_s": 1.0},
                {"step": "test", "node": "node1", "ok": True, "seconds": 30.0, "detail": "", "started_s": 6.0},
                {"step": "stop", "node": "node1", "ok": True, "seconds": 1.0, "detail": "", "started_s": 37.0},
            ],
            "nodes": ["node1"],
            "services": [
                {
                    "name": "router",
                    "node": "node1",
                    "role": "router",
                    "image": "engine-sim:1",
                    "image_id": "sha256:00112233445566778899",
                    "started_s": 2.0,
                    "ready_s": 4.5,
                    "state": "exited",
                    "exit_code": 0,
                }
            ],
            "benchmark": benchmark(),
            "artifacts": {"files": 3, "bytes": 2048, "digest": "sha256:abc"},
            "cleaning": cleaning.of_case({"node1": {"removed": {"containers": 1, "networks": 1}, "seconds": 0.5}}),
            "verify": {"node1": {"clean": True, "leftovers": []}},
            "warnings": [],
            "versions": {"testcell": "0.1.0"},
            "environment": {},
        }
        return {**record, **changes}

    return make


@pytest.fixture
def make_run() -> Callable[..., dict[str, Any]]:
    """Return a maker of runs over case records."""

    def make(*cases: dict[str, Any], **changes: Any) -> dict[str, Any]:
        run = {
            "run_id": "20260102_030405",
            "verdict": "pass",
            "exit_code": 0,
            "control": {"ok": True},
            "cases": list(cases),
            "nodes": [{"name": "node1", "engine": "20.10.24"}],
            "seconds": 42.5,
            "started_at": 1_767_323_045.0,
            "ended_at": 1_767_323_087.5,
        }
        return {**run, **changes}

    return make


@pytest.fixture
def hostile_case(make_case: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Return a case in which every text that can come from outside is hostile."""
    bad = " ".join(HOSTILE)
    return make_case(
        verdict="error",
        labels={HOSTILE[0]: HOSTILE[1]},
        failure={
            "error_kind": "service_died",
            "message": bad,
            "step": HOSTILE[0],
            "node": HOSTILE[2],
            "service": HOSTILE[1],
            "owner": "engine",
            "retriable": False,
            "evidence": [*HOSTILE, "```", "````"],
        },
        reasons=list(HOSTILE),
        checks=[{"name": HOSTILE[0], "ok": False, "value": HOSTILE[2], "limit": HOSTILE[5]}],
        steps=[{"step": HOSTILE[0], "node": HOSTILE[2], "ok": False, "seconds": 1.0, "detail": bad, "started_s": 0.0}],
        nodes=[{"name": HOSTILE[0], "hostname": HOSTILE[2]}, HOSTILE[1]],
        services=[
            {
                "name": text,
                "node": text,
                "role": text,
                "image": text,
                "image_id": text,
                "state": text,
                "started_s": 0,
                "ready_s": 1,
            }
            for text in HOSTILE
        ],
        cleaning=cleaning.of_case(
            {HOSTILE[0]: {"removed": {HOSTILE[2]: 1}, "errors": [HOSTILE[1]], "emergency": True}}
        ),
        verify={
            HOSTILE[0]: {
                "clean": False,
                "leftovers": [{"type": HOSTILE[0], "name": HOSTILE[2], "owner": HOSTILE[1], "detail": bad}],
                "errors": [{"what": HOSTILE[0], "error": HOSTILE[2]}],
                "noted": [{"type": HOSTILE[0], "name": HOSTILE[2], "detail": bad}],
            }
        },
        warnings=[*HOSTILE, {"message": HOSTILE[0]}],
        versions={HOSTILE[0]: HOSTILE[2]},
        environment={HOSTILE[1]: HOSTILE[0]},
    )
