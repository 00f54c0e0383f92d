# SPDX-License-Identifier: MIT
"""The load client at an adaptive rate against the engine that limits, from the wire to the verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.main import main
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import tables
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import clients
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.normal import DefaultLimits
from engine_sim.limiter import TokenBucket

LIMITS = DefaultLimits(max_schedule_delay_ms_p95=None)  # a slow machine is no reason for these tests to fail


@pytest.mark.parametrize(
    ("rate", "burst", "step_s", "passed"),
    [(8.0, 1.0, 1 / 64, 80), (8.0, 5.0, 1 / 64, 84), (2.0, 0.0, 0.25, 20), (0.0, 3.0, 0.25, 3)],
)
def test_a_bucket_lets_its_rate_and_its_burst_pass(rate: float, burst: float, step_s: float, passed: int) -> None:
    now = 0.0
    bucket = TokenBucket(rate, burst, lambda: now)
    waits = []
    while now < 10.0:
        waits.append(bucket.wait_s())
        now += step_s
    assert waits.count(0.0) == passed


def load(folder: Path, url: str, **config: Any) -> tuple[int, dict[str, Any], Any]:
    """Return the client's exit status, its summary, and the judgement of it."""
    file = folder / "test_config.json"
    file.write_text(json.dumps({"base_url": url, "model": "sim", "prompt_tokens": 8, "max_tokens": 3, **config}))
    environ = {"TESTCELL_RUN_ID": "r", "TESTCELL_CASE": "c", "TESTCELL_ATTEMPT": "1"}
    status = main(["--config", str(file), "--out", str(folder / "out"), "--quiet"], environ)
    measured = clients.get("testcell").read(folder, ("out/",))
    ours = {"run_id": "r", "case": "c", "attempt": 1, "script_exit": status}
    return status, dict(measured.benchmark or {}), clients.judge(measured, LIMITS, **ours)


def test_a_limited_engine_is_loaded_no_faster_than_it_takes(sims: Any, tmp_path: Path) -> None:
    sim = sims.start("rate_limit=25:3")
    rate = {"window_s": 0.3}
    status, found, judgement = load(tmp_path, sim.url, num_prompts=90, max_concurrency=6, adaptive_rate=rate)
    assert (status, found["achieved"]["completed"], found["errors"]) == (0, 90, {})
    assert 0 < found["throttled"]["refused"] <= 45
    assert found["achieved"]["rate"] <= 27
    assert (judgement.verdict, len(judgement.notes)) == ("pass", 1)
    assert f"throttled_refused,value,{found['throttled']['refused']}" in tables.performance({"benchmark": found})


def test_without_it_the_same_load_does_not_count(sims: Any, tmp_path: Path) -> None:
    sim = sims.start("rate_limit=25:3")
    status, found, judgement = load(tmp_path, sim.url, num_prompts=40, max_concurrency=6)
    assert (status, judgement.verdict) == (0, "invalid")
    assert found["errors"]["overloaded"] > 0
