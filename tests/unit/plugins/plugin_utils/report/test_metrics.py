# SPDX-License-Identifier: MIT

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import metrics

Make = Callable[..., dict[str, Any]]


def test_headline_takes_the_ten_figures_of_a_summary(make_case: Make) -> None:
    found = metrics.headline(make_case()["benchmark"])
    assert found["ttft_ms_p50"] == 38.5 and found["itl_ms_p50"] == 9.25
    assert found["output_tokens_per_s"] == 412.7 and found["requests_completed"] == 20


def test_latency_without_samples_is_absent_never_zero(make_case: Make) -> None:
    benchmark = make_case()["benchmark"] | {"metrics": {"ttft_ms": None}}
    assert metrics.headline(benchmark)["ttft_ms_p50"] is None
    assert metrics.tiles(benchmark)[0].main == "-"
    rows = [figure for figure in metrics.figures(benchmark) if figure.metric == "ttft_ms"]
    assert rows and all(figure.value is None for figure in rows)


def test_no_benchmark_has_no_figures() -> None:
    assert metrics.figures(None) == () and metrics.tiles(None) == ()
    assert set(metrics.headline(None).values()) == {None}


def test_every_error_kind_is_a_figure(make_case: Make) -> None:
    benchmark = make_case()["benchmark"] | {"errors": {"http_reset": 3, "http_5xx": 2}}
    found = {f.metric: f.value for f in metrics.figures(benchmark) if f.metric.startswith("errors_")}
    assert found == {"errors_http_5xx": 2, "errors_http_reset": 3}


def test_wrong_types_in_a_benchmark_are_absent_not_fatal() -> None:
    benchmark = {
        "metrics": {"ttft_ms": [1], "itl_ms": {"p50": "fast"}, "request_throughput": True},
        "errors": 4,
        "requested": None,
    }
    assert set(metrics.headline(benchmark).values()) == {None}
