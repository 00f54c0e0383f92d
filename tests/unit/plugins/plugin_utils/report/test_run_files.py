# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import (
    case_files,
    case_page,
    html_page,
    junit,
    run_files,
    run_page,
    summary,
)

Make = Callable[..., dict[str, Any]]
VOID = {"meta", "br"}
KNOWN = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "section", "h1", "h2", "h3", "p", "ul", "li", "b", "i",
    "span", "div", "table", "tr", "th", "td", "pre", "code", "a", "br", "details", "summary", "svg", "line", "text", "rect",
    "polyline",
}  # fmt: skip


class Page(HTMLParser):
    """Collects the elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_run_gets_its_four_files_and_the_summary_back(tmp_path: Path, make_run: Make, make_case: Make) -> None:
    found = run_files.write(tmp_path, make_run(make_case()))
    assert set(os.listdir(tmp_path)) == {"summary.json", "summary.md", "report.html", "junit.xml"}
    assert json.loads((tmp_path / "summary.json").read_text()) == found


def test_summary_has_the_agreed_shape(make_run: Make, make_case: Make) -> None:
    found = summary.build(make_run(make_case(case="concurrency-4", labels={"concurrency": 4}, attempt=2)))
    assert found["schema_version"] == 1 and found["verdict"] == "pass" and found["exit_code"] == 0
    assert found["control"] == {"ok": True} and found["counts"] == {"pass": 1} and found["seconds"] == 42.5
    assert found["started_at"] == "2026-01-02T03:04:05+00:00" and found["ended_at"] == "2026-01-02T03:04:47+00:00"
    (case,) = found["cases"]
    assert {"scenario", "case", "labels", "attempt", "verdict", "result", "failure"} <= case.keys()
    assert case["path"] == "001_baseline/concurrency-4/attempt_2"


def test_attempts_of_a_case_count_once_and_a_pass_after_a_failure_is_flaky(make_run: Make, make_case: Make) -> None:
    run = make_run(make_case(verdict="fail"), make_case(attempt=2), make_case(scenario="other"))
    assert summary.build(run)["counts"] == {"flaky": 1, "pass": 1}


def test_a_repeat_that_was_not_needed_is_not_shown(tmp_path: Path, make_run: Make, make_case: Make) -> None:
    run = make_run(make_case(), make_case(attempt=2, verdict="skipped"))
    assert summary.build(run)["counts"] == {"pass": 1} and len(summary.build(run)["cases"]) == 1
    assert "attempt 2" not in run_page.render(run) + html_page.render(run, tmp_path) + junit.render(run)


def test_restarts_and_memory_kills_are_shown(tmp_path: Path, make_run: Make, make_case: Make) -> None:
    case = make_case(services=[{"name": "d-1", "state": "exited", "oom": True, "restarts": 2}])
    assert "exited, killed for memory, restarted 2 times" in html_page.render(make_run(case), tmp_path)
    assert "exited, killed for memory, restarted 2 times" in case_page.render(case)


@pytest.mark.parametrize("missing", ["run_id", "verdict", "exit_code"])
def test_a_run_without_a_verdict_is_refused_not_guessed(make_run: Make, missing: str) -> None:
    run = make_run()
    del run[missing]
    with pytest.raises(KeyError, match=missing):
        summary.build(run)


def test_silence_about_control_is_not_ok(make_run: Make, make_case: Make) -> None:
    case = make_case()
    del case["control"], case["result"]
    run = make_run(case)
    del run["control"]
    found = summary.build(run)
    assert found["control"] == {"ok": False} and found["cases"][0]["result"] == {"ok": False}


def test_page_says_the_verdict_first_and_why(tmp_path: Path, make_run: Make, make_case: Make) -> None:
    case = make_case(verdict="invalid", reasons=["12 of 20 streams ended in an error"])
    texts = [
        text.strip()
        for text in Page(html_page.render(make_run(case, verdict="invalid"), tmp_path)).texts
        if text.strip()
    ]
    body = texts[texts.index("! INVALID") :]
    assert body[:2] == ["! INVALID", "12 of 20 streams ended in an error"]
    assert "38.5 ms" in body and "413 tok/s" in body and "20 / 20" in body


def test_page_needs_no_network_and_runs_no_script(tmp_path: Path, make_run: Make, make_case: Make) -> None:
    text = html_page.render(make_run(make_case()), tmp_path)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?:", text)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "prefers-color-scheme: dark" in text


def test_page_escapes_every_foreign_text(tmp_path: Path, make_run: Make, hostile_case: dict[str, Any]) -> None:
    """B91: hostile names and logs add no element, no attribute that runs, and are still there to read."""
    hostile_run = make_run(
        hostile_case,
        hostile_case,
        verdict="error",
        exit_code=5,
        nodes=hostile_case["nodes"],
        failure=hostile_case["failure"],
        warnings=hostile_case["warnings"],
        verify=hostile_case["verify"],
        versions=hostile_case["versions"],
    )
    text = html_page.render(hostile_run, tmp_path)
    page = Page(text)
    assert set(page.tags) <= KNOWN and not page.open
    assert not [name for name, _value in page.attributes if name.startswith("on")]
    assert not [value for name, value in page.attributes if name == "href" and not value.startswith(("./", "#"))]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    assert "<script>alert(1)</script>" in "".join(page.texts) and "{{ 7*7 }}" in "".join(page.texts)


def test_markdown_summary_escapes_every_foreign_text(make_run: Make, hostile_case: dict[str, Any]) -> None:
    """B91: outside code blocks there is no raw HTML; a heading is one of ours."""
    text = re.sub(
        r"(?ms)^(`{3,})text\n.*?^\1$", "", run_page.render(make_run(hostile_case, verdict="error", exit_code=5))
    )
    assert not re.search(r"<(?!\S*test_report\.md>)", text)
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    assert all(h.startswith(("✗ ERROR", "Cases", "Nodes", "001_baseline")) for h in headings)


@pytest.mark.parametrize(
    ("verdict", "element", "kind"),
    [
        ("pass", None, None),
        ("fail", "failure", "fail"),
        ("invalid", "failure", "invalid"),
        ("no_data", "failure", "no_data"),
        ("flaky", "failure", "flaky"),
        ("error", "error", "error"),
        ("cancelled", "error", "cancelled"),
        ("skipped", "skipped", None),
        ("never heard of", "error", "never heard of"),
        ("", "error", ""),
    ],
)
def test_junit_maps_each_verdict(
    make_run: Make, make_case: Make, verdict: str, element: str | None, kind: str | None
) -> None:
    suite = ET.fromstring(junit.render(make_run(make_case(verdict=verdict)))).find("testsuite")
    assert suite is not None
    case = suite.find("testcase")
    assert case is not None
    found = [child for child in case if child.tag != "properties"]
    assert [child.tag for child in found] == ([element] if element else [])
    if found:
        assert found[0].get("type") == kind
    totals = {"failure": suite.get("failures"), "error": suite.get("errors"), "skipped": suite.get("skipped")}
    assert totals == {name: ("1" if name == element else "0") for name in totals}


def test_junit_of_a_run_that_never_began_is_an_error(make_run: Make) -> None:
    failure = {"error_kind": "lock_held", "message": "node1 is held by run 20260102_030000"}
    root = ET.fromstring(junit.render(make_run(verdict="error", exit_code=6, failure=failure)))
    error = root.find("testsuite/testcase/error")
    assert error is not None and error.get("type") == "lock_held"


def test_junit_is_well_formed_whatever_the_texts(make_run: Make, hostile_case: dict[str, Any]) -> None:
    """B91: control characters that XML cannot hold are spelled out."""
    root = ET.fromstring(junit.render(make_run(hostile_case, verdict="error")))
    error = root.find("testsuite/testcase/error")
    assert error is not None and "<script>alert(1)</script>" in (error.text or "")


def test_page_links_files_that_exist_and_follows_no_link(tmp_path: Path, make_run: Make, make_case: Make) -> None:
    record = make_case(scenario="001_x")
    case_dir = tmp_path / "001_x"
    case_files.write(case_dir, record)
    (case_dir / "test_artifacts").mkdir()
    (case_dir / "test_artifacts" / "a b&<c>.json").write_text("{}")
    os.symlink("/etc/passwd", case_dir / "test_artifacts" / "secret")
    Path(os.fsdecode(bytes(case_dir / "test_artifacts") + b"/\xff\n.bin")).write_text("x")
    hrefs = [v for n, v in Page(html_page.render(make_run(record), tmp_path)).attributes if n == "href"]
    assert "./001_x/test_report.md" in hrefs
    assert "./001_x/test_artifacts/a%20b%26%3Cc%3E.json" in hrefs
    assert "./001_x/test_artifacts/%FF%0A.bin" in hrefs
    assert not [href for href in hrefs if "secret" in href or "failure.json" in href]
