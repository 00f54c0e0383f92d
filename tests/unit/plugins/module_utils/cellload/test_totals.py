# SPDX-License-Identifier: MIT
"""The figures of a soak are those of its records, without the records."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.summary import figures
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.totals import Totals, Window

LATENCIES = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
GOODPUT = {"ttft_ms": 120.0, "e2e_ms": 400.0}


def record(source: random.Random, index: int) -> dict[str, Any]:
    """Return the record of one request: completed, empty, failed, refused or never sent."""
    kind = source.choices(("whole", "empty", "failed", "refused", "never"), (80, 5, 8, 5, 2))[0]
    ok, sent = kind in ("whole", "empty", "refused"), index / 50 + source.random() / 100
    ttft = round(source.lognormvariate(4.5, 0.5), 3)
    gaps = [round(source.lognormvariate(2, 0.4), 3) for _ in range(7)]
    whole = ok and kind != "empty"
    return {
        "index": index,
        "scheduled_s": index / 50,
        "sent_s": sent,
        "held_s": 0.001 if kind in ("refused", "never") else 0.0,
        "attempts": {"refused": 2, "never": 0}.get(kind, 1),
        "refused": int(kind == "refused"),
        "end_s": sent + ttft / 1000 + 0.1,
        "ok": ok,
        "error_kind": None if ok else source.choice(("http_reset", "http_timeout")),
        "prompt_tokens": 10 if whole else None,
        "output_tokens": 8 if whole else 0,
        "tokens_estimated": whole and index % 9 == 0,
        "no_tokens": kind == "empty",
        "ttft_ms": ttft if whole else None,
        "e2e_ms": ttft + 100.0 if ok else None,
        "itl_ms": gaps if whole else [],
    }


def counted(records: list[dict[str, Any]], per_window: int = 100) -> dict[str, Any]:
    """Return the figures of records that were counted by windows."""
    totals = Totals(GOODPUT)
    for place in range(0, len(records), per_window):
        window = Window()
        for entry in records[place : place + per_window]:
            window.add(entry)
            totals.add(entry)
        totals.window.merge(window)
    return totals.figures()


def distributions(figure: dict[str, Any]) -> dict[str, Any]:
    """Take what is made of many samples out of figures, and return it."""
    return {key: figure["metrics"].pop(key) for key in LATENCIES} | {"delay": figure.pop("schedule_delay_ms")}


@pytest.mark.parametrize(
    ("count", "exact_keys"), [(1, {"mean", "min", "max", "count"}), (2, {"max", "count"}), (1050, None)]
)
def test_figures_are_those_of_the_records(count: int, exact_keys: set[str] | None) -> None:
    """Percentiles of a few samples are left out where exact_keys says so: the nearest rank is no interpolation."""
    source = random.Random(11)
    records = [record(source, index) for index in range(count)]
    exact, found = figures(records, GOODPUT), counted(records)
    assert list(found) == list(exact)
    mine, theirs = distributions(found), distributions(exact)
    assert found == exact
    for key, values in theirs.items():
        if values is None:
            assert mine[key] is None
            continue
        assert list(mine[key]) == list(values)
        compared = exact_keys or set(values)
        for name in compared & set(values):
            assert mine[key][name] == pytest.approx(values[name], rel=0.05, abs=0.001), (key, name)


@pytest.mark.parametrize("unknown", [0, 1, 2])
def test_prompt_tokens_that_one_request_does_not_tell_are_not_summed(unknown: int) -> None:
    source = random.Random(1)
    records = [{**record(source, index), "ok": True, "no_tokens": False} for index in range(3)]
    told = [{**entry, "e2e_ms": 5.0, "prompt_tokens": None if entry["index"] == unknown else 4} for entry in records]
    assert counted(told)["tokens"]["input"] is None
    assert counted(told)["metrics"]["total_token_throughput"] is None


def test_no_requests_give_null_and_never_zero() -> None:
    """G01, G02: where nothing was measured there is no figure."""
    exact, found = figures([], GOODPUT), counted([])
    assert found == exact
    assert set(found["metrics"].values()) == {None}


def test_a_window_counts_what_ended_in_it() -> None:
    source = random.Random(5)
    records = [record(source, index) for index in range(400)]
    window = Window()
    for entry in records:
        window.add(entry)
    told = window.as_json()
    full = [entry for entry in records if entry["ok"] and not entry["no_tokens"]]
    assert told["completed"] + told["failed"] == 400
    assert told["without_tokens"] == told["completed"] - len(full) > 0
    assert sum(told["errors"].values()) == told["failed"] > 0
    sizes = [told[key]["n"] for key in ("ttft_ms", "itl_ms", "e2e_ms")]
    assert sizes == [len(full), 7 * len(full), len(full)]
    assert all(sum(count for _, count in told[key]["h"]) == told[key]["n"] for key in ("ttft_ms", "itl_ms", "e2e_ms"))
