# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import schema, strict_yaml
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.schema import (
    Bool,
    Choice,
    Float,
    Free,
    Int,
    Key,
    MapOf,
    Mapping,
    Name,
    OneOf,
    Seq,
    Str,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SERVICE = Mapping(
    {"name": Key(Name(), required=True), "depends_on": OneOf(Seq(Name()), MapOf(Free())), "port": Int(1, 65535)}
)
SPEC = Mapping(
    {
        "name": Key(Name(), required=True),
        "enabled": Key(Bool(), default=True),
        "tags": Key(Seq(Str(max=20), max=5, unique=True), default=()),
        "test_execution": Key(
            Mapping(
                {
                    "node": Key(Str(), default="local"),
                    "timeout": Key(Int(1, 604_800, unit="seconds"), default=2400),
                    "collection_mode": Choice("basic", "standard", "comprehensive"),
                }
            ),
            default={},
        ),
        "ratio": Float(0, 1),
        "deployment": Mapping({"services": Seq(SERVICE, min=1)}),
        "env": MapOf(Str(empty=True, lines=True), key=Str(pattern=r"[A-Z_]+", rule="A-Z _"), nullable=True),
        "description": Str(lines=True),
        "expected": Key(MapOf(Int(0, 9)), nullable=True),
        "wait": Key(Int(0, 60), deprecated=("delay", "pause")),
    },
    prefix="x-",
)
BASE = "name: base\n"


def checked(text: str, *, fill: bool = True) -> schema.Checked:
    """Return what the schema makes of a text."""
    return schema.check(strict_yaml.parse(text, "m.yml"), SPEC, fill=fill)


def said(text: str) -> str:
    """Return all problems of a text, one a line."""
    return "\n".join(problem.render() for problem in checked(text).problems)


BAD = [
    pytest.param("", ["m.yml: the file is empty; required keys: name"], id="B01-empty"),
    pytest.param("# only a comment\n", ["the file is empty; required keys: name"], id="B01-comments"),
    pytest.param("- a\n", ["m.yml:1:1: must be a mapping, the top level of the file; got list with 1 item"], id="B02-list"),
    pytest.param("text\n", ["must be a mapping, the top level", "got string 'text'"], id="B02-scalar"),
    pytest.param(BASE + "test_execution: {timeout: 1e3}\n", ["m.yml:2:27: test_execution.timeout: must be an integer in plain decimal digits", "'1e3'", "1..604800 seconds", "did you mean 1000?"], id="B13-exponent"),
    pytest.param(BASE + "test_execution: {timeout: .inf}\n", ["infinity", "allowed: 1..604800 seconds"], id="B13-inf"),
    pytest.param(BASE + "ratio: .nan\n", ["ratio: must be a number in plain decimal digits", "not-a-number"], id="B13-nan"),
    pytest.param(BASE + "test_execution: {timeout: 1_000}\n", ["did you mean 1000?"], id="B13-underscore"),
    pytest.param(BASE + "test_execution: {timeout: 0777}\n", ["octal number 511"], id="B13-octal"),
    pytest.param(BASE + "test_execution: {timeout: 1:30}\n", ["base 60 number 90"], id="B13-sexagesimal"),
    pytest.param(BASE + "test_execution: {timeout: 1.5e1}\n", ["did you mean 15?"], id="B13-exponent-whole"),
    pytest.param(BASE + "test_execution: {timeout: .5}\n", ["must be an integer in plain decimal digits; got '.5'"], id="B13-fraction"),
    pytest.param(BASE + 'enabled: "yes"\n', ["enabled: must be true or false, without quotes; got string 'yes'; allowed: true, false; did you mean true?"], id="B14-quoted"),
    pytest.param(BASE + "enabled: no\n", ["must be true or false", "'no' without quotes (YAML 1.1 reads it as false)", "did you mean false?"], id="B14-no"),
    pytest.param(BASE + "enabled: on\n", ["did you mean true?"], id="B14-on"),
    pytest.param(BASE + "enabled: 1\n", ["must be true or false, without quotes; got integer 1"], id="B14-one"),
    pytest.param(BASE + "enabled: True\n", ["did you mean true?"], id="B14-True"),
    pytest.param("name: 123\n", ["m.yml:1:7: name: must be a name, put it in quotes; got integer 123", 'did you mean "123"?'], id="B15-integer"),
    pytest.param("name: null\n", ["must be a name, put it in quotes; got null"], id="B15-null"),
    pytest.param("name:\n", ["m.yml:1:1: name: must be a name; got null (nothing is written there)"], id="B15-nothing"),
    pytest.param("name: 2026-01-01\n", ["put it in quotes", "as a date", 'did you mean "2026-01-01"?'], id="B15-date"),
    pytest.param("name: true\n", ["got boolean true", 'did you mean "true"?'], id="B15-boolean"),
    pytest.param(BASE + "description: yes\n", ["description: must be a string, put it in quotes", 'did you mean "yes"?'], id="B15-yes-as-text"),
    pytest.param(BASE + "description: [a]\n", ["must be a string; got list with 1 item"], id="B15-list"),
    pytest.param(BASE + "test_execution: {time_out: 5}\n", ["m.yml:2:18: test_execution.time_out: unknown key", "did you mean timeout?"], id="B16-near"),
    pytest.param(BASE + "xyz: 5\n", ["xyz: unknown key; allowed: deployment, description, enabled"], id="B16-far"),
    pytest.param(BASE + "timeout: 5\n", ["m.yml:2:1: timeout: key is at the wrong level, it belongs to test_execution; did you mean test_execution.timeout?"], id="B17-too-high"),
    pytest.param(BASE + "test_execution: {tags: [a]}\n", ["it belongs to the top level; did you mean tags?"], id="B17-too-low"),
    pytest.param(BASE + "depends_on: [a]\n", ["it belongs to deployment.services[]; did you mean deployment.services[].depends_on?"], id="B17-in-list"),
    pytest.param(BASE + "time_out: 5\n", ["unknown key", "did you mean test_execution.timeout?"], id="B17-misspelt-elsewhere"),
    pytest.param(f"name: {'x' * 60_000}\n", ["is too long for a name, 60000 characters", "..."], id="B18-name"),
    pytest.param(BASE + f"description: {'x' * 2000}\n", ["is too long, at most 1024 characters", "(2000 characters)"], id="B18-text"),
    pytest.param(BASE + '"tags ": [a]\n', ["key has spaces around it", "did you mean tags?"], id="B19-space-in-key"),
    pytest.param(BASE + "enabled: y\n", ["'y' without quotes", "did you mean true?"], id="B20-y"),
    pytest.param(BASE + "enabled: ~\n", ["must be true or false, without quotes; got null"], id="B20-tilde"),
    pytest.param("name: ''\n", ["must not be empty; got empty string"], id="B21-empty"),
    pytest.param("name: a/b\n", ["is not a name; got string 'a/b'", "1..64 of A-Z"], id="B21-slash"),
    pytest.param("name: ..\n", ["is not a name"], id="B21-dots"),
    pytest.param("name: a b\n", ["is not a name"], id="B21-space"),
    pytest.param('name: "a\\nb"\n', ["is not a name; got string 'a\\nb'"], id="B21-newline"),
    pytest.param("name: -rf\n", ["is not a name"], id="B21-dash"),
    pytest.param("name: CON\n", ["is a name that Windows reserves"], id="B21-windows"),
    pytest.param("name: 🚀\n", ["is not a name"], id="B21-emoji"),
    pytest.param("name: '{{ x }}'\n", ["a name is taken as it is written, templates are not filled in; got string '{{ x }}'"], id="B34-template"),
    pytest.param("name: $(id)\n", ["is not a name"], id="B35-shell"),
    pytest.param(BASE + "test_execution: {timeout: 0}\n", ["is out of range; got integer 0; allowed: 1..604800 seconds"], id="B25-zero"),
    pytest.param(BASE + "test_execution: {timeout: -1}\n", ["got integer -1"], id="B25-negative"),
    pytest.param(BASE + "test_execution: {timeout: 10m}\n", ["must be an integer; got string '10m'; allowed: 1..604800 seconds"], id="B25-unit"),
    pytest.param(BASE + 'test_execution: {timeout: "600"}\n', ["must be an integer without quotes", "did you mean 600?"], id="B25-quoted"),
    pytest.param(BASE + "test_execution: {timeout: 1000000000}\n", ["is out of range; got integer 1000000000"], id="B25-huge"),
    pytest.param(BASE + "test_execution: {collection_mode: full}\n", ["got string 'full'; allowed: basic, standard, comprehensive"], id="B26-mode"),
    pytest.param(BASE + "test_execution: {collection_mode: standrd}\n", ["did you mean standard?"], id="B26-near"),
    pytest.param(BASE + "test_execution: [a]\n", ["must be a mapping; got list with 1 item; allowed: node, timeout"], id="list-for-mapping"),
    pytest.param(BASE + "tags: a\n", ["tags: must be a list; got string 'a'"], id="text-for-list"),
    pytest.param(BASE + "tags: [a, b, a]\n", ["m.yml:2:14: tags[2]: is given twice; first at line 2"], id="twice-in-list"),
    pytest.param(BASE + "tags: [a, b, c, d, e, f]\n", ["too few or too many items", "allowed: 0..5 items"], id="too-many-items"),
    pytest.param(BASE + "deployment: {services: []}\n", ["allowed: 1..1000 items"], id="too-few-items"),
    pytest.param(BASE + "deployment: {services: [{}, {name: a, depends_on: 3}, x]}\n", ["deployment.services[0]: required key 'name' is missing", "services[1].depends_on: must be a list or a mapping; got integer 3", "services[2]: must be a mapping"], id="list-of-mappings"),
    pytest.param(BASE + "ratio: 1.5\n", ["is out of range; got number 1.5; allowed: 0..1"], id="ratio"),
    pytest.param(BASE + "ratio: '0.5'\n", ["must be a number without quotes", "did you mean 0.5?"], id="quoted-number"),
    pytest.param(BASE + "env: {A: 1, b: x}\n", ["m.yml:2:10: env.A: must be a string", "m.yml:2:13: env.b: key is not of the form that is allowed", "allowed: A-Z _"], id="free-keys"),
    pytest.param(BASE + "env: {API_TOKEN: 12345}\n", ["env.API_TOKEN", "got integer (not shown)"], id="B38-secret-value"),
    pytest.param(BASE + "wait: 1\ndelay: 2\n", ["delay: means the same as 'wait'; give one of them"], id="old-and-new-name"),
    pytest.param(BASE + "x-note: {a: yes}\n", ["x-note.a: ambiguous without quotes"], id="ambiguous-in-extension"),
    pytest.param("enabled: true\n", ["m.yml:1:1: required key 'name' is missing"], id="required"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), BAD)
def test_every_problem_is_named(text: str, parts: list[str]) -> None:
    found = said(text)
    for part in parts:
        assert part in found


def test_all_problems_of_a_file_come_at_once_with_those_of_the_reader() -> None:
    found = said("name: 1\nname: 2\nenabled: yes\ntimeout: 1\ntest_execution: {timeout: 0, nodee: x}\nb: !x 1\n")
    for part in (
        "duplicate key",
        "name: must be",
        "enabled: must be",
        "wrong level",
        "out of range",
        "did you mean node?",
        "tag '!x'",
    ):
        assert part in found


def test_secret_values_never_appear_in_any_message() -> None:
    found = said(BASE + "env: {DB_PASSWORD: 4711, API_TOKEN: yes, SECRET_KEY: 0815}\npassword: 4711\n")
    assert "4711" not in found
    assert "0815" not in found
    assert "env.DB_PASSWORD" in found


def test_a_good_file_comes_back_plain_with_its_defaults() -> None:
    found = checked("name: base\ntest_execution: {timeout: 5}\nratio: 1\nexpected: null\nx-any: {thing: [1]}\n")
    assert found.problems == ()
    assert found.data == {
        "name": "base",
        "enabled": True,
        "tags": [],
        "test_execution": {"node": "local", "timeout": 5},
        "ratio": 1.0,
        "expected": None,
        "x-any": {"thing": [1]},
    }
    assert found.given(("test_execution", "timeout"))
    assert not found.given(("test_execution", "node"))


def test_without_filling_only_what_is_written_comes_back() -> None:
    assert checked("name: a\ntest_execution: {}\n", fill=False).data == {"name": "a", "test_execution": {}}


def test_a_default_is_a_fresh_copy_each_time() -> None:
    first: dict[str, Any] = checked(BASE).data
    first["tags"].append("x")
    first["test_execution"]["node"] = "changed"
    assert checked(BASE).data["tags"] == []
    assert checked(BASE).data["test_execution"]["node"] == "local"


def test_a_wrong_value_leaves_its_default_for_later_checks() -> None:
    found = checked(BASE + "test_execution: {timeout: x}\nratio: x\n")
    assert found.data["test_execution"]["timeout"] == 2400
    assert "ratio" not in found.data
    assert len(found.errors) == 2


def test_an_older_name_is_taken_with_a_warning() -> None:
    found = checked(BASE + "delay: 7\n")
    assert found.data["wait"] == 7
    assert found.errors == ()
    assert found.problems[0].render() == "m.yml:2:1: warning: delay: is an older name, write 'wait'"


def test_jinja_and_shell_text_stays_text() -> None:
    text = "{{ lookup('pipe', 'id') }} $(id) `id`"
    assert checked(BASE + f'description: "{text}"\n').data["description"] == text


def test_one_value_may_stand_for_a_list_where_the_schema_says_so() -> None:
    spec = Mapping({"a": Seq(Str(), one=True)})
    assert schema.check(strict_yaml.parse("a: x\n", "m.yml"), spec).data == {"a": ["x"]}
    assert schema.check(strict_yaml.parse("a: [x]\n", "m.yml"), spec).data == {"a": ["x"]}
    assert schema.check(strict_yaml.parse("a: 1\n", "m.yml"), spec).errors


def test_unknown_keys_can_be_let_through_with_a_type() -> None:
    spec = Mapping({"a": Str()}, extra=Int())
    assert schema.check(strict_yaml.parse("a: x\nb: 1\n", "m.yml"), spec).data == {"a": "x", "b": 1}
    assert schema.check(strict_yaml.parse("b: x\n", "m.yml"), spec).errors


def test_own_rules_of_a_text_are_asked() -> None:
    spec = Mapping({"a": Str(test=lambda text: "is shouting" if text.isupper() else "", rule="quiet words")})
    found = schema.check(strict_yaml.parse("a: HEY\n", "m.yml"), spec)
    assert found.problems[0].render() == "m.yml:1:4: a: is shouting; got string 'HEY'; allowed: quiet words"


def test_load_raises_with_everything_and_keeps_warnings_of_good_files(tmp_path: Path) -> None:
    path = tmp_path / "m.yml"
    path.write_text("name: a\ndelay: 1\n")
    assert [p.severity for p in schema.load(path, SPEC).problems] == ["warning"]
    path.write_text("name: a\nenabled: yes\nratio: 7\n")
    with pytest.raises(InputError) as caught:
        schema.load(path, SPEC)
    assert len(caught.value.problems) == 2


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["yes", "1e3", "0777"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*SPEC.keys, "timeout", "x-a", "odd"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(tree=TREES)
def test_any_tree_is_checked_without_other_errors(tree: object) -> None:
    import yaml

    try:
        document = strict_yaml.parse(yaml.safe_dump(tree, allow_unicode=True), "m.yml")
    except InputError:
        return
    found = schema.check(document, SPEC)
    assert isinstance(found.data, dict)
    assert all(problem.render() for problem in found.problems)
