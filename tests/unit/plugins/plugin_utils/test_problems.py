# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import pickle

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import (
    InputError,
    Problem,
    describe,
    escape,
    format_path,
    is_secret_key,
    listing,
    nearest,
    raise_if_errors,
    show,
)

RENDERED = [
    pytest.param(Problem("a.yml", message="is empty"), "a.yml: is empty", id="whole-file"),
    pytest.param(
        Problem("a.yml", 4, 11, "nodes.n1.port", "is out of range", "integer 70000", "1..65535", "22"),
        "a.yml:4:11: nodes.n1.port: is out of range; got integer 70000; allowed: 1..65535; did you mean 22?",
        id="everything",
    ),
    pytest.param(
        Problem("a.yml", 2, 1, "restart", "is overridden", severity="warning"),
        "a.yml:2:1: warning: restart: is overridden",
        id="warning",
    ),
    pytest.param(
        Problem("a\n.yml", 1, 1, "k", "x \x1b[31m"), "a\\n.yml:1:1: k: x \\x1b[31m", id="escapes-foreign-text"
    ),
]


@pytest.mark.parametrize(("problem", "line"), RENDERED)
def test_a_problem_renders_as_one_line_without_empty_parts(problem: Problem, line: str) -> None:
    assert problem.render() == line


def test_a_problem_as_dict_is_plain_json_with_every_field() -> None:
    plain = json.loads(json.dumps(Problem("a.yml", 1, 2, "k", "bad").as_dict()))
    expected = {"file", "line", "column", "key", "message", "got", "allowed", "suggestion", "severity"}
    assert set(plain) == expected
    assert plain["severity"] == "error"


def test_an_input_error_says_everything_in_the_order_of_the_files() -> None:
    problems = [
        Problem("b.yml", 1, 1, message="z"),
        Problem("a.yml", 9, 1, message="y"),
        Problem("a.yml", 2, 5, message="x"),
    ]
    error = InputError([*problems, problems[0]])
    assert str(error).splitlines() == ["a.yml:2:5: x", "a.yml:9:1: y", "b.yml:1:1: z"]
    assert not error.usage


def test_an_input_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(InputError([Problem("a", message="x")], usage=True)))
    assert error.usage
    assert error.problems == (Problem("a", message="x"),)


def test_warnings_alone_do_not_raise() -> None:
    warning = Problem("a", 1, 1, message="w", severity="warning")
    assert raise_if_errors([warning]) == (warning,)
    with pytest.raises(InputError) as caught:
        raise_if_errors([warning, Problem("a", 2, 1, message="e")])
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "boolean true"),
        (7, "integer 7"),
        (1.5, "number 1.5"),
        ("x", "string 'x'"),
        ([], "empty list"),
        ([1, 2], "list with 2 items"),
        ({"a": 1}, "mapping with 1 key"),
    ],
)
def test_values_are_described_with_the_types_of_yaml(value: object, shown: str) -> None:
    assert describe(value) == shown


def test_long_text_is_cut_with_its_length() -> None:
    assert show("x" * 500) == f"'{'x' * 80}...' (500 characters)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a\x00b\x1b", "'a\\x00b\\x1b'", id="B08-control"),
        pytest.param("a\u202eb", "'a\\u202eb'", id="B08-bidi"),
        pytest.param("\U000e0001", "'\\U000e0001'", id="B08-astral"),
        pytest.param("a\nb", "'a\\nb'", id="newline"),
        pytest.param("http://user:pw@host/", "'http://(not shown)@host/'", id="B61-credentials"),
        pytest.param("DB_PASSWORD=hunter2", "'DB_PASSWORD=(not shown)'", id="B38-assignment"),
        pytest.param("-----BEGIN OPENSSH PRIVATE KEY-----", "'(not shown)'", id="private-key"),
    ],
)
def test_echoed_text_shows_nothing_that_hurts(text: str, shown: str) -> None:
    assert show(text) == shown


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWORD", "hf_token", "token", "apiKey", "api-key", "client.secret", "AUTH", "ssh_passphrase"],
)
def test_secret_keys_are_recognised_and_their_values_hidden(name: str) -> None:
    assert is_secret_key(name)
    assert describe("hunter2", ("nodes", name)) == "string (not shown)"
    assert describe(1234, (name,)) == "integer (not shown)"


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens",
        "prompt_tokens",
        "key_file",
        "token_count",
        "author",
        "secret_file",
        "passed",
        "monkey",
        "auth_timeout",
    ],
)
def test_keys_that_only_look_secret_are_not_hidden(name: str) -> None:
    assert not is_secret_key(name)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a", "b", 0, "c"), "a.b[0].c"),
        (("a", "x.y"), "a['x.y']"),
        (("a b",), "['a b']"),
        (("a\x1b c",), "['a\\x1b c']"),
    ],
)
def test_key_paths_are_written_as_people_write_them(path: tuple[str | int, ...], text: str) -> None:
    assert format_path(path) == text


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("time_out", "timeout"),
        ("TimeOut", "timeout"),
        ("timout", "timeout"),
        ("xyz", ""),
        ("", ""),
        ("result-paths", "result_paths"),
    ],
)
def test_the_nearest_name_is_suggested_only_when_near(name: str, meant: str) -> None:
    assert nearest(name, ["timeout", "result_paths", "node"]) == meant


def test_long_lists_are_cut_with_their_count() -> None:
    assert listing(["a", "b"]) == "a, b"
    assert listing(range(100), most=2) == "0, 1, ... (100 in all)"


def test_escape_leaves_printable_text_of_any_language_alone() -> None:
    assert escape("基线性能测试 é") == "基线性能测试 é"
