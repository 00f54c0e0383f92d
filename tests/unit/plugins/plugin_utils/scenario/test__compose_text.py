# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario._compose_text import dotenv, fill
from hypothesis import given
from hypothesis import strategies as st

ENVIRON = {"A": "one", "E": "", "TOKEN": "hunter2"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("$A-${A}", "one-one"),
        ("$$A $${A}", "$A ${A}"),
        ("${A:-x}", "one"),
        ("${X:-x}", "x"),
        ("${X:-}", ""),
        ("${E:-x}", "x"),
        ("${E-x}", ""),
        ("${E}", ""),
        ("${X-x}", "x"),
        ("${A:+y}", "y"),
        ("${X:+y}", ""),
        ("${E+y}", "y"),
        ("${E:+y}", ""),
        ("${A:?m}", "one"),
        ("${E?m}", ""),
        ("${X:-${A}}", "one"),
        ("${X:-${Y:-${A}b}}c", "onebc"),
        ("${X:-a:b}", "a:b"),
        ("100%$$", "100%$"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, filled: str) -> None:
    assert fill(text, ENVIRON).text == filled
    assert fill(text, ENVIRON).faults == ()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param("bb:${TAG}", "variable TAG is not set; set it with testcell_environment", id="B44-unset"),
        pytest.param("$TAG", "variable TAG is not set", id="B44-unset-short"),
        pytest.param("${X:?say it}", "variable X is not set: 'say it'", id="B45-required"),
        pytest.param("${E:?m}", "variable E is empty: 'm'", id="B45-required-empty"),
        pytest.param("${X?}", "variable X is not set", id="B45-no-message"),
        pytest.param("${", "'${' is not closed", id="B45-open"),
        pytest.param("a ${A", "'${' is not closed", id="B45-open-name"),
        pytest.param("${}", "not a variable", id="B45-empty"),
        pytest.param("${1A}", "not a variable", id="B45-digit"),
        pytest.param("${A!x}", "not a variable", id="B45-operator"),
        pytest.param("5 $ 3", "write $$ for a dollar sign", id="B45-single-dollar"),
        pytest.param("${X:-${Y}}", "variable Y is not set", id="B45-nested"),
        pytest.param("${X:-" * 20 + "}" * 20, "not a variable", id="B45-too-deep"),
    ],
)
def test_what_cannot_be_filled_in_is_said(text: str, part: str) -> None:
    assert part in "\n".join(fill(text, ENVIRON).faults)


@pytest.mark.parametrize("text", ["${TESTCELL_HOST_A}", "$TESTCELL_HOST_A", "${TESTCELL_HOST_A:?m}"])
def test_variables_of_run_time_count_as_set(text: str) -> None:
    assert fill(text, {}).late
    assert fill(text, {}).faults == ()
    assert fill(text, {}).text == "${TESTCELL_HOST_A}"


def test_a_default_stands_for_a_variable_of_run_time() -> None:
    assert fill("${TESTCELL_HOST_A:-a}:80", {}).text == "a:80"


def test_values_of_secrets_are_not_filled_in() -> None:
    assert fill("x${TOKEN}y", ENVIRON).text == "x${TOKEN}y"
    assert fill("x${TOKEN}y", ENVIRON).faults == ()


def test_the_env_file_beside_is_read_as_compose_reads_it(tmp_path: Path) -> None:
    assert dotenv(tmp_path) == {}
    (tmp_path / ".env").write_text("# c\nA=1\nexport B='two words'\nC=x # note\n\nD=\n")
    assert dotenv(tmp_path) == {"A": "1", "B": "two words", "C": "x", "D": ""}


def test_a_broken_line_of_the_env_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nnonsense\n")
    with pytest.raises(InputError, match=r"\.env:2:1: not a line of the form NAME=VALUE"):
        dotenv(tmp_path)


@given(text=st.text("${}:-?+AX_1 ", max_size=40))
def test_any_text_is_filled_without_errors(text: str) -> None:
    filled = fill(text, ENVIRON)
    assert isinstance(filled.text, str)
    if "$" not in text:
        assert filled.text == text
