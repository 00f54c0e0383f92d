# SPDX-License-Identifier: MIT

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import case_files, case_page, tables

Make = Callable[..., dict[str, Any]]


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_case_gets_its_five_files(tmp_path: Path, make_case: Make) -> None:
    written = case_files.write(tmp_path / "a" / "case", make_case())
    names = {"test_metadata.json", "result_summary.json", "performance_results.csv", "timeline.csv", "test_report.md"}
    assert {path.name for path in written} == names == set(os.listdir(tmp_path / "a" / "case"))


def test_a_failed_case_gets_its_failure_as_a_file(tmp_path: Path, make_case: Make) -> None:
    failure = {"error_kind": "service_died", "message": "gone", "retriable": True, "evidence": ["x"]}
    case_files.write(tmp_path, make_case(verdict="error", failure=failure))
    found = json.loads((tmp_path / "failure.json").read_text())
    assert found["error_kind"] == "service_died" and found["run_id"] == "20260102_030405"


def test_json_files_hold_no_nan(tmp_path: Path, make_case: Make) -> None:
    record = make_case(seconds=math.nan)
    record["benchmark"]["metrics"]["goodput"] = math.inf
    case_files.write(tmp_path, record)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for path in tmp_path.glob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)
    assert json.loads((tmp_path / "result_summary.json").read_text())["benchmark"]["metrics"]["goodput"] is None


def test_metadata_and_result_are_two_things(tmp_path: Path, make_case: Make) -> None:
    case_files.write(tmp_path, make_case())
    metadata = json.loads((tmp_path / "test_metadata.json").read_text())
    result = json.loads((tmp_path / "result_summary.json").read_text())
    assert metadata["started_at"] == "2026-01-02T03:04:05+00:00" and "verdict" not in metadata
    assert (
        result["verdict"] == "pass" and result["control"] == {"ok": True} and result["metrics"]["ttft_ms_p50"] == 38.5
    )


def test_performance_csv_has_one_line_a_figure_with_its_unit(make_case: Make) -> None:
    lines = read_csv(tables.performance(make_case(labels={"concurrency": "4"})))
    ttft = {line["statistic"]: line for line in lines if line["metric"] == "ttft_ms"}
    assert ttft["p50"]["value"] == "38.5" and ttft["p50"]["unit"] == "ms"
    assert ttft["p50"]["labels"] == "concurrency=4"
    absent = [line for line in lines if line["metric"] == "tpot_ms"]
    assert absent and {line["value"] for line in absent} == {""}


def test_no_benchmark_leaves_a_table_with_only_its_heading(make_case: Make) -> None:
    assert read_csv(tables.performance(make_case(benchmark=None))) == []


@pytest.mark.parametrize("table", [tables.performance, tables.timeline], ids=["B90-performance", "B90-timeline"])
def test_no_cell_of_foreign_text_starts_a_formula(table: Callable[..., str], hostile_case: dict[str, Any]) -> None:
    record = hostile_case | {"scenario": "=1+1", "case": "@x", "labels": {"=a": "b"}, "run_id": "+1"}
    record["benchmark"]["errors"] = {"=cmd()": 1}
    for line in read_csv(table(record)):
        for name, cell in line.items():
            if name not in ("value", "start_s", "seconds"):
                assert not cell.lstrip().startswith(("=", "+", "-", "@")), (name, cell)


def test_report_says_the_verdict_first(make_case: Make) -> None:
    lines = case_page.render(make_case()).splitlines()
    assert lines[0] == "# 001_baseline: PASS"
    assert any("38.5 ms" in line for line in lines)


def test_report_of_a_failure_shows_kind_place_and_evidence(make_case: Make) -> None:
    failure = {
        "error_kind": "service_died",
        "message": "d-1 exited",
        "node": "node2",
        "retriable": True,
        "evidence": ["Segfault"],
    }
    text = case_page.render(make_case(verdict="error", failure=failure, attempt=2))
    assert "001_baseline / attempt 2" in text
    assert "**service_died: d-1 exited**" in text and "- node: node2" in text and "- retriable: yes" in text
    assert "```text\nSegfault\n```" in text


def test_report_keeps_foreign_text_out_of_its_markup(hostile_case: dict[str, Any]) -> None:
    """B91: outside code blocks no raw HTML, no new heading, and every table line has as many cells as its heading."""
    width = 0
    fence = ""
    for line in case_page.render(hostile_case).splitlines():
        if line.startswith("```") and (not fence or line == fence):
            fence = "" if fence else line.removesuffix("text")
            continue
        if fence:
            continue
        assert "<" not in line and "\x1b" not in line and "\u202e" not in line
        if line.startswith("|"):
            cells = line.replace("\\\\", "").replace("\\|", "").count("|")
            width = width or cells
            assert cells == width, line
        else:
            width = 0
    assert not fence


def test_dirty_node_is_never_shown_as_clean(make_case: Make) -> None:
    verify = {"node1": {"clean": False, "errors": ["docker ps: no answer in 5 s"]}, "node2": {}}
    text = case_page.render(make_case(verify=verify))
    assert "| node1 | 1 container, 1 network | 0.5 s | 0 | **not clean** |" in text
    assert "| node2 | nothing | - | - | **not clean** |" in text
    assert "- node1: could not be verified docker ps: no answer in 5 s" in text


@pytest.mark.parametrize("empty", [{}, {"verdict": "cancelled", "scenario": "x"}])
def test_a_record_with_holes_still_gets_its_files(tmp_path: Path, empty: dict[str, Any]) -> None:
    case_files.write(tmp_path, empty)
    assert (tmp_path / "test_report.md").read_text().startswith("# ")
