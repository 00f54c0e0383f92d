# SPDX-License-Identifier: MIT

from __future__ import annotations

import csv
import io

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import escape
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("\x1b[31mred\x1b[0m", "red", id="B84-colours-go"),
        pytest.param("a\x1b]0;title\x07b", "a\\x1b]0;title\\x07b", id="B84-other-escapes-are-spelled"),
        pytest.param("50%\rdone\r\nnext", "50%\ndone\nnext", id="B84-carriage-returns"),
        pytest.param("abc\u202etxt", "abc\\u202etxt", id="B84-bidi"),
        pytest.param(b"\xff\x00x".decode("utf-8", "surrogateescape"), "\\xff\\x00x", id="B84-bytes-that-are-no-utf-8"),
        pytest.param("\ud800", "\\ud800", id="lone-surrogate"),
        pytest.param("tab\tand\nline", "tab\tand\nline", id="tab-and-newline-stay"),
        pytest.param("模型 ✓ é", "模型 ✓ é", id="ordinary-unicode-stays"),
        pytest.param(None, "None", id="not-a-text"),
    ],
)
def test_visible_hides_nothing(text: object, shown: str) -> None:
    assert escape.visible(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a|b", "a\\|b", id="B91-table-cell"),
        pytest.param("`rm`", "\\`rm\\`", id="B91-backticks"),
        pytest.param("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;", id="B91-html"),
        pytest.param("[x](javascript:y)", "\\[x\\](javascript:y)", id="B91-link"),
        pytest.param("**bold** _it_ snake_case", "\\*\\*bold\\*\\* \\_it\\_ snake_case", id="B91-emphasis"),
        pytest.param("# heading", "\\# heading", id="B91-heading"),
        pytest.param("---", "\\---", id="B91-rule"),
        pytest.param("- item", "\\- item", id="B91-list"),
        pytest.param("1. item", "1\\. item", id="B91-numbered-list"),
        pytest.param("0.1.0 and -3", "0.1.0 and -3", id="versions-and-numbers-stay-readable"),
        pytest.param("one\n\ntwo", "one two", id="B91-new-lines"),
        pytest.param("back\\slash", "back\\\\slash", id="B91-backslash"),
    ],
)
def test_markdown_shows_exactly_the_text(text: str, shown: str) -> None:
    assert escape.markdown(text) == shown


@pytest.mark.parametrize("content", ["plain", "```", "a ````` b", "~~~\n```\n</pre>", ""])
def test_code_block_cannot_be_closed_by_its_content(content: str) -> None:
    lines = escape.code_block(content).split("\n")
    fence = lines[0].removesuffix("text")
    assert set(fence) == {"`"} and lines[-1] == fence
    assert fence not in "\n".join(lines[1:-1])


@pytest.mark.parametrize(
    ("text", "span"),
    [("x", "`x`"), ("a`b", "a\\`b"), ("<b>", "&lt;b&gt;"), ("a|b", "a\\|b"), ("a\nb", "`a b`"), ("", "")],
)
def test_code_span_cannot_be_left_by_its_content(text: str, span: str) -> None:
    assert escape.code(text) == span


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        pytest.param("=1+1", "'=1+1", id="B90-equals"),
        pytest.param("+1", "'+1", id="B90-plus"),
        pytest.param("-2+3", "'-2+3", id="B90-minus"),
        pytest.param("@SUM(A1)", "'@SUM(A1)", id="B90-at"),
        pytest.param("\t=1", "'\t=1", id="B90-tab"),
        pytest.param("  =1", "'  =1", id="B90-leading-spaces"),
        pytest.param("\r\n=1", "'\n=1", id="B90-line-end"),
        pytest.param("\uff1d1", "'\uff1d1", id="B90-full-width-equals"),
        pytest.param(-3.5, -3.5, id="negative-number-stays-a-number"),
        pytest.param(None, "", id="absent-is-empty"),
        pytest.param("plain", "plain", id="plain"),
    ],
)
def test_csv_cell_never_starts_a_formula(value: object, cell: object) -> None:
    assert escape.csv_cell(value) == cell


@given(st.text())
def test_any_text_survives_a_csv_round_trip_as_one_cell(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow([escape.csv_cell(text), "end"])
    stream.seek(0)
    assert next(csv.reader(stream)) == [escape.csv_cell(text), "end"]


@given(st.text())
def test_markdown_text_is_one_line_without_raw_html_or_cell_ends(text: str) -> None:
    shown = escape.markdown(text)
    assert "\n" not in shown and "<" not in shown
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")
