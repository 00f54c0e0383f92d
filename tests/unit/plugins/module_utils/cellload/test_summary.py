# SPDX-License-Identifier: MIT
"""The figures of a load, by hand-made records with known answers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload import summary


def record(index: int, **changes: Any) -> dict[str, Any]:
    """Return a completed request: sent at its index, first token after 100 ms, three tokens, done after 300 ms."""
    return {
        "index": index,
        "scheduled_s": float(index),
        "sent_s": float(index),
        "end_s": index + 0.3,
        "ok": True,
        "error_kind": None,
        "prompt_tokens": 10,
        "output_tokens": 3,
        "tokens_estimated": False,
        "no_tokens": False,
        "ttft_ms": 100.0,
        "e2e_ms": 300.0,
        "itl_ms": [80.0, 120.0],
        **changes,
    }


FAILED = {"ok": False, "error_kind": "http_reset", "e2e_ms": None}
EMPTY = {"no_tokens": True, "output_tokens": 0, "ttft_ms": None, "e2e_ms": 1.0, "itl_ms": []}


def test_figures_follow_from_the_records() -> None:
    figure = summary.figures([record(0), record(1), record(2, **FAILED)])
    assert figure["duration_s"] == 2.3
    assert figure["achieved"] == {"rate": 1.0, "sent": 3, "completed": 2, "failed": 1, "without_tokens": 0}
    assert figure["tokens"] == {"input": 20, "output": 6, "estimated_requests": 0}
    assert figure["metrics"]["tpot_ms"]["p50"] == 100.0
    assert figure["metrics"]["itl_ms"]["count"] == 4
    assert figure["metrics"]["request_throughput"] == pytest.approx(2 / 2.3, abs=0.001)
    assert figure["metrics"]["output_token_throughput"] == pytest.approx(6 / 2.3, abs=0.001)
    assert figure["metrics"]["total_token_throughput"] == pytest.approx(26 / 2.3, abs=0.001)
    assert figure["metrics"]["goodput"] is None
    assert figure["errors"] == {"http_reset": 1}
    assert figure["schedule_delay_ms"] == {"p50": 0.0, "p95": 0.0, "max": 0.0}


@pytest.mark.parametrize(
    "records",
    [[], [record(0, **FAILED)], [record(0, **EMPTY)]],
    ids=["G01_none", "G02_all_failed", "zero_tokens"],
)
def test_nothing_measured_gives_null_and_never_zero(records: list[dict[str, Any]]) -> None:
    figure = summary.figures(records, {"ttft_ms": 1})
    assert set(figure["metrics"].values()) == {None}
    assert figure["tokens"]["input"] is None


def test_a_quick_empty_answer_is_no_good_latency() -> None:
    figure = summary.figures([record(0), record(1, **EMPTY)])
    assert figure["metrics"]["e2e_ms"]["min"] == 300.0
    assert figure["achieved"]["without_tokens"] == 1


def test_one_token_has_no_time_per_further_token() -> None:
    assert summary.tpot_ms(record(0, output_tokens=1)) is None


def test_unknown_prompt_tokens_are_not_summed() -> None:
    figure = summary.figures([record(0), record(1, prompt_tokens=None)])
    assert figure["tokens"]["input"] is None
    assert figure["metrics"]["total_token_throughput"] is None


@pytest.mark.parametrize(
    ("limits", "changes", "good"),
    [
        ({"ttft_ms": 100}, {}, True),
        ({"ttft_ms": 99}, {}, False),
        ({"ttft_ms": 100, "tpot_ms": 99}, {}, False),
        ({"tpot_ms": 1}, {"output_tokens": 1}, True),
        ({"ttft_ms": 100}, {"ttft_ms": None}, False),
    ],
)
def test_goodput_needs_every_limit(limits: dict[str, float], changes: dict[str, Any], good: bool) -> None:
    assert summary.is_good(record(0, **changes), limits) is good


@pytest.mark.parametrize(("sent", "rate"), [([], None), ([1.0], None), ([1.0, 1.0], None), ([2.0, 0.0, 1.0], 1.0)])
def test_achieved_rate_is_between_first_and_last_sending(sent: list[float], rate: float | None) -> None:
    assert summary.achieved_rate(sent) == rate


@pytest.mark.parametrize(("sent", "delay"), [(1.0, 0.0), (1.25, 250.0), (0.999, 0.0)])
def test_schedule_delay_is_never_negative(sent: float, delay: float) -> None:
    assert summary.schedule_delay_ms({"scheduled_s": 1.0, "sent_s": sent}) == delay
