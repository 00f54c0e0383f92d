# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import strict_json
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import Limits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BAD = [
    pytest.param('{"a": 1,}', ["t.json:1:9:", "a comma before '}' is not allowed"], id="B89-trailing-comma"),
    pytest.param("[1, 2,\n]", ["t.json:2:1:", "a comma before ']'"], id="trailing-comma-in-list"),
    pytest.param('{"a": [1, 2\n}', ["t.json:2:1:", "',' or ']' must stand here, [ of line 1 is open"], id="B04-bracket"),
    pytest.param('{\n "a": {"b": 1', ["t.json:2:7:", "bracket { opened at line 2 is never closed"], id="B89-truncated"),
    pytest.param('{"a": "x\n"}', ["t.json:1:7:", "quote opened at line 1 is not closed on its line"], id="B04-quote"),
    pytest.param("{'a': 1}", ["t.json:1:2:", "JSON wants double quotes"], id="single-quotes"),
    pytest.param('{"a": 1 // x\n}', ["JSON has no comments"], id="comment"),
    pytest.param('{"a" 1}', ["t.json:1:6:", "':' must follow the key 'a'"], id="no-colon"),
    pytest.param('{a: 1}', ["a key in double quotes must stand here; 'a' was found"], id="bare-key"),
    pytest.param('{"a": NaN}', ["t.json:1:7:", "NaN is not a JSON number"], id="B89-nan"),
    pytest.param('{"a": -Infinity}', ["-Infinity is not a JSON number"], id="infinity"),
    pytest.param('{"a": 1e999}', ["number is too large; got '1e999'"], id="beyond-floats"),
    pytest.param('{"a": ' + "9" * 30 + "}", ["number does not fit 64 bits; got 30 digits"], id="many-digits"),
    pytest.param('{"a": 01}', ["'01' is not a JSON number"], id="B13-leading-zero"),
    pytest.param('{"a": +1}', ["'+1' is not a JSON number"], id="B13-plus"),
    pytest.param('{"a": .5}', ["'.5' is not a JSON number"], id="B13-no-digit"),
    pytest.param('{"a": True}', ["'True' was found; did you mean true?"], id="B14-True"),
    pytest.param('{"a": None}', ["did you mean null?"], id="None"),
    pytest.param('{"a": "\\q"}', ["t.json:1:8:", "invalid \\escape"], id="escape"),
    pytest.param('{"a": "\\u0000"}', ["U+0000 is not allowed"], id="B08-escaped-nul"),
    pytest.param('{"a": "\\ud800"}', ["U+D800"], id="B08-surrogate"),
    pytest.param('{"a": "\\u202e"}', ["U+202E RIGHT-TO-LEFT OVERRIDE"], id="B08-bidi"),
    pytest.param('{"a": 1} {"b": 2}', ["t.json:1:10:", "only one value is allowed"], id="B06-two-values"),
    pytest.param("[" * 100_000, ["nested too deeply", "up to 32 levels"], id="B89-nested"),
    pytest.param('{"a": {"b": 1, "c": 2, "b": 3}}', ["t.json:1:24: a.b: duplicate key 'b'; first at line 1"], id="B89-duplicate"),
    pytest.param("[" + "1," * 20_000 + "1]", ["too many values"], id="many-values"),
    pytest.param('"' + "x" * 70_000 + '"', ["text is too long; got string of 70000 characters"], id="B18-long"),
    pytest.param("]", ["a value must stand here; ']' was found"], id="closing-first"),
    pytest.param('{"a": }', ["a value must stand here"], id="no-value"),
    pytest.param("{", ["bracket { opened at line 1 is never closed"], id="open-only"),
]  # fmt: skip


def said(text: str) -> str:
    """Return all problems of a text, one a line."""
    try:
        return "\n".join(problem.render() for problem in strict_json.parse(text, "t.json").problems)
    except InputError as exc:
        return str(exc)


@pytest.mark.parametrize(("text", "parts"), BAD)
def test_bad_json_is_named_with_its_place(text: str, parts: list[str]) -> None:
    found = said(text)
    for part in parts:
        assert part in found


def test_an_empty_file_has_no_root() -> None:
    assert strict_json.parse(" \n", "t.json").root is None
    assert strict_json.parse("", "t.json").empty


def test_every_value_has_its_place() -> None:
    document = strict_json.parse('{\n  "a": [1,\n    {"b": true}]\n}', "t.json")
    assert document.mark(("a", 1, "b")) == (3, 11)
    assert document.key_mark(("a", 1, "b")) == (3, 6)
    assert document.key_mark(("a",)) == (2, 3)


def test_limits_and_files_are_those_of_the_yaml_reader(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match="byte 0xff at byte offset 7"):
        strict_json.read(path)
    path.write_text("[1, 2, 3]")
    with pytest.raises(InputError, match="up to 5 bytes"):
        strict_json.read(path, Limits(max_bytes=5))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp", "Cn")), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc\"\\/é", max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(value=JSON, indent=st.sampled_from([None, 2]), ascii_only=st.booleans())
def test_whatever_json_writes_is_read_back(value: object, indent: int | None, ascii_only: bool) -> None:
    document = strict_json.parse(json.dumps(value, indent=indent, ensure_ascii=ascii_only), "t.json")
    assert document.data == value
    assert document.problems == ()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text("{}[]\",:\\ \n01.-eEtrufalsn/*'", max_size=60).map(str.encode))
def test_random_bytes_never_raise_anything_but_input_errors(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    try:
        document = strict_json.read(path)
    except InputError as exc:
        assert exc.problems
    else:
        if document.root is not None and not document.problems:
            assert json.loads(content) == document.data


@pytest.mark.parametrize(
    "text", ['"' * 200_000, "{" * 200_000, '{"a":' * 100_000, '"\\' * 100_000, "-" * 300_000, "1" * 900_000]
)
def test_hostile_text_is_refused_in_bounded_time(text: str) -> None:
    begun = time.process_time()
    assert said(text)
    assert time.process_time() - begun < 5
