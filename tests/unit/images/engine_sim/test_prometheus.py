# SPDX-License-Identifier: MIT
from __future__ import annotations

from engine_sim.prometheus import Registry


def test_a_scrape_has_help_type_and_samples() -> None:
    registry = Registry({"model_name": 'a"b\\c\n'})
    registry.value("counter", "sim_total", "Things.").add(registry.labels, 2)
    assert registry.render() == (
        '# HELP sim_total Things.\n# TYPE sim_total counter\nsim_total{model_name="a\\"b\\\\c\\n"} 2\n'
    )


def test_a_histogram_has_cumulative_buckets_a_sum_and_a_count() -> None:
    registry = Registry({})
    histogram = registry.histogram("sim_seconds", "Time.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    assert registry.render().splitlines()[2:] == [
        'sim_seconds_bucket{le="0.1"} 2',
        'sim_seconds_bucket{le="1.0"} 3',
        'sim_seconds_bucket{le="+Inf"} 4',
        "sim_seconds_sum 7.65",
        "sim_seconds_count 4",
    ]


def test_a_value_starts_at_zero_unless_told_otherwise() -> None:
    registry = Registry({})
    registry.value("gauge", "shown", "A.")
    registry.value("counter", "hidden", "B.", start=False)
    samples = [line for line in registry.render().splitlines() if not line.startswith("#")]
    assert samples == ["shown 0"]
