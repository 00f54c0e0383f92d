# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import _nodes, strict_yaml
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import Document, Limits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PARSERS = sorted({_nodes.default_parser, _nodes.PythonParser}, key=repr)
Parser = Callable[[str], Any]
DEFAULT = Limits()


@pytest.fixture(params=PARSERS, ids=[getattr(parser, "__name__", "parser") for parser in PARSERS])
def parser(request: pytest.FixtureRequest) -> Parser:
    return request.param  # type: ignore[no-any-return]


def faults(text: str, parser: Parser, limits: Limits = DEFAULT) -> str:
    """Return everything that is wrong with a text, one problem a line."""
    try:
        return "\n".join(problem.render() for problem in strict_yaml.parse(text, "f.yml", limits, parser).faults())
    except InputError as exc:
        return str(exc)


def write(folder: Path, content: bytes | str) -> Path:
    path = folder / "f.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
DEEP_ALIASES = "a: &a [[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]\nb: [[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]\n"
TEXTS = [
    pytest.param("", ["f.yml: file is empty"], id="B01-empty"),
    pytest.param("# nothing\n\n  # more\n", ["f.yml: file is empty"], id="B01-comments"),
    pytest.param("---\n", ["f.yml: file is empty"], id="B01-document-start-only"),
    pytest.param("- a\n- b\n", ["f.yml:1:1:", "must be a mapping", "list with 2 items"], id="B02-list"),
    pytest.param("just text\n", ["f.yml:1:1:", "must be a mapping", "string 'just text'"], id="B02-scalar"),
    pytest.param("a:\n\tb: 1\n", ["f.yml:2:1:", "tab"], id="B03-tab"),
    pytest.param("a: 1\n\tb: 2\n\tc: 3\n", ["f.yml:2:1:", "tab", "also at lines 3"], id="B03-tab-after-value"),
    pytest.param("x: 1\na: [1, 2\nb: 3\n", ["f.yml:2:4:", "bracket [ opened at line 2"], id="B04-sequence"),
    pytest.param("a: {b: 1\nc: 2\n", ["f.yml:1:4:", "bracket { opened at line 1"], id="B04-mapping"),
    pytest.param("a: [\n", ["f.yml:1:4:", "opened at line 1", "end of the line"], id="B04-at-the-end"),
    pytest.param('a: 1\nb: "x\nc: 1\n', ["f.yml:2:4:", 'quote " opened at line 2'], id="B04-double-quote"),
    pytest.param("a: 'x\nc: 1\n", ["f.yml:1:4:", "quote ' opened at line 1"], id="B04-single-quote"),
    pytest.param(
        'a: "x\nb: "y"\n', ["f.yml:2:5:", "quoted text of line 1 ends only at line 2"], id="B04-quote-closed-later"
    ),
    pytest.param(
        "a: 1\nb: 2\na: 3\n", ["f.yml:3:1: a: duplicate key 'a'; first at line 1, again at line 3"], id="B05-top"
    ),
    pytest.param("x:\n  - {b: 1, b: 2}\n", ["f.yml:2:12: x[0].b: duplicate key 'b'; first at line 2"], id="B05-nested"),
    pytest.param(
        "b: &b {k: 1}\na:\n  <<: *b\n  q: 1\n  q: 2\n",
        ["a.q: duplicate key 'q'; first at line 4, again at line 5"],
        id="B05-after-merge",
    ),
    pytest.param(
        "b: &b {k: 1}\na:\n  <<: *b\n  <<: *b\n",
        ["duplicate key '<<'; first at line 3, again at line 4"],
        id="B05-merge-twice",
    ),
    pytest.param('a: 1\n"a": 2\n', ["duplicate key 'a'"], id="B05-quoted-twin"),
    pytest.param("a: 1\n---\nb: 2\n", ["f.yml:2:1: a second document starts at line 2"], id="B06-two-documents"),
    pytest.param('a: "\\0"\n', ["f.yml:1:4:", "U+0000"], id="B08-escaped-nul"),
    pytest.param('name: "\\u202Ex"\n', ["f.yml:1:7:", "U+202E RIGHT-TO-LEFT OVERRIDE"], id="B08-escaped-bidi"),
    pytest.param(BOMB, ["aliases expand to too many values", "got at least", "up to 20000"], id="B09-bomb"),
    pytest.param("a: &a x\nb: [" + "*a, " * 101 + "]\n", ["too many aliases", "up to 100"], id="B09-many-aliases"),
    pytest.param("a: &a\n  b: *a\n", ["f.yml:2:6:", "inside its own anchor of line 1"], id="B09-recursive"),
    pytest.param("a: *nope\n", ["f.yml:1:4:", "alias 'nope' has no anchor"], id="B09-no-anchor"),
    pytest.param("a: &x 1\nb: &x 2\n", ["anchor 'x' is set twice; first at line 1"], id="B09-anchor-twice"),
    pytest.param("[" * 3000 + "]" * 3000, ["nested too deeply", "depth 33", "up to 32"], id="B10-flow"),
    pytest.param("- " * 3000 + "x", ["nested too deeply"], id="B10-block"),
    pytest.param("".join(" " * n + "a:\n" for n in range(300)), ["f.yml:33:"], id="B10-block-mapping"),
    pytest.param(DEEP_ALIASES, ["nested too deeply through aliases"], id="B10-through-aliases"),
    pytest.param("a: [" + "1, " * 20_001 + "]", ["too many values", "up to 20000"], id="B11-many-values"),
    pytest.param(
        "a: !!python/object:os.system x\n", ["f.yml:1:4:", "!!python/object:os.system", "not allowed"], id="B12-python"
    ),
    pytest.param("a: !vault |\n  $ANSIBLE_VAULT\n", ["tag '!vault' is not allowed"], id="B12-vault"),
    pytest.param("a: !unsafe x\nb: !!int 3\n", ["tag '!unsafe'", "tag '!!int'"], id="B12-both-at-once"),
    pytest.param("a: 1e3\n", ["'1e3' without quotes", "the number 1000", "did you mean 1000?"], id="B13-exponent"),
    pytest.param("a: .inf\n", ["infinity"], id="B13-infinity"),
    pytest.param("a: -.INF\n", ["infinity"], id="B13-minus-infinity"),
    pytest.param("a: .nan\n", ["not-a-number"], id="B13-nan"),
    pytest.param("a: 1_000\n", ["reads it as 1000", "did you mean 1000?"], id="B13-underscore"),
    pytest.param("a: 0777\n", ["octal number 511"], id="B13-octal"),
    pytest.param("a: 0o17\n", ["octal number 15"], id="B13-octal-1.2"),
    pytest.param("a: 0x1F\n", ["hexadecimal number 31"], id="B13-hexadecimal"),
    pytest.param("a: 0b11\n", ["binary number 3"], id="B13-binary"),
    pytest.param("a: 1:30\n", ["base 60 number 90"], id="B13-sexagesimal"),
    pytest.param("a: 190:20:30\n", ["base 60 number 685230"], id="B13-sexagesimal-long"),
    pytest.param("a: +5\n", ["did you mean 5?"], id="B13-plus"),
    pytest.param("a: .5\n", ["did you mean 0.5?"], id="B13-no-digit-before"),
    pytest.param("a: 089\n", ["did you mean 89?"], id="B13-leading-zero"),
    pytest.param("a: " + "9" * 5000 + "\n", ["a number of 5000 digits"], id="B13-endless-digits"),
    pytest.param("a: 1e999\n", ["a number, inf"], id="B13-beyond-floats"),
    pytest.param("a: yes\n", ["'yes' without quotes (YAML 1.1 reads it as true)", "true or false"], id="B14-yes"),
    pytest.param("a: no\nb: On\nc: OFF\n", ["f.yml:1:4: a:", "f.yml:2:4: b:", "f.yml:3:4: c:"], id="B14-no-on-off"),
    pytest.param("a: True\n", ["did you mean true?"], id="B14-True"),
    pytest.param("a: 2026-01-01\n", ["reads it as a date", "put it in quotes"], id="B15-date"),
    pytest.param("a: 2026-01-01T10:00:00Z\n", ["reads it as a date"], id="B15-timestamp"),
    pytest.param("a: NULL\n", ["reads it as null", "did you mean null?"], id="B15-NULL"),
    pytest.param("1: a\n", ["f.yml:1:1: 1: key must be a string, quote it; got integer 1"], id="B15-integer-key"),
    pytest.param("? [a, b]\n: c\n", ["f.yml:1:3:", "a sequence cannot be a key"], id="B15-list-key"),
    pytest.param(
        "a: '" + "x" * 70_000 + "'\n", ["text is too long", "string of 70000 characters", "up to 65536"], id="B18-long"
    ),
    pytest.param('"a ": 1\n', ["f.yml:1:1:", "key has spaces around it", "'a '"], id="B19-trailing-space"),
    pytest.param("a\u00a0: 1\n", ["key has spaces around it", "\\xa0"], id="B19-no-break-space"),
    pytest.param("'': 1\n", ["key is empty"], id="B19-empty-key"),
    pytest.param("a: y\nb: N\n", ["'y' without quotes", "'N' without quotes"], id="B20-y-n"),
    pytest.param("a: =\n", ["sign a meaning of its own"], id="B20-value-sign"),
    pytest.param("on: 1\n", ["key is ambiguous, quote it; got 'on'"], id="B20-on-key"),
    pytest.param("a: {{ x }}\n", ["template text", "put it in quotes"], id="B34-unquoted-template"),
    pytest.param("a: b: c\n", ["f.yml:1:5: unexpected ':'"], id="colon-in-text"),
    pytest.param("a: @x\n", ["f.yml:1:4:", "cannot start with '@'"], id="reserved-sign"),
    pytest.param("a: - b\n", ["f.yml:1:4:", "'- ' cannot start here"], id="item-on-key-line"),
    pytest.param(
        "- a\nb: 1\n", ["f.yml:2:1:", "does not fit into the list that starts at line 1"], id="list-then-mapping"
    ),
    pytest.param("name\uff1a基线\nb: 1\n", ["'\uff1a' near here is not the ASCII sign"], id="full-width-colon"),
    pytest.param("a: 1\n<<: [1]\n", ["'<<' merges mappings only"], id="merge-of-a-number"),
    pytest.param("a: *x y\n", ["f.yml:1:7:"], id="text-after-alias"),
]


@pytest.mark.parametrize(("text", "parts"), TEXTS)
def test_bad_text_is_named_with_its_place(text: str, parts: list[str], parser: Parser) -> None:
    said = faults(text, parser)
    for part in parts:
        assert part in said


def test_several_problems_come_at_once(parser: Parser) -> None:
    said = faults("a: yes\na: 1\nb: !x 2\n'c ': 1e3\n---\nd: 1\n", parser)
    assert len(said.splitlines()) == 6


FINE = [
    pytest.param("a: 1\nb: 1.5\nc: -0.25\nd: true\ne: null\nf: ~\ng:\n", {"a": 1, "b": 1.5, "c": -0.25, "d": True, "e": None, "f": None, "g": None}, id="plain"),
    pytest.param("a: 'yes'\nb: \"1e3\"\nc: |\n  0777\n", {"a": "yes", "b": "1e3", "c": "0777\n"}, id="B14-quoted"),
    pytest.param("a: 1\r\nb: [x, z]\r\n", {"a": 1, "b": ["x", "z"]}, id="B19-windows-line-ends"),
    pytest.param("a : 1\n", {"a": 1}, id="B19-space-before-colon"),
    pytest.param("a: '{{ lookup(\"pipe\", \"id\") }}'\n", {"a": '{{ lookup("pipe", "id") }}'}, id="B34-template-stays-text"),
    pytest.param("a: $(id) `id`; rm -rf /\n", {"a": "$(id) `id`; rm -rf /"}, id="B35-shell-stays-text"),
    pytest.param("b: &b {k: 1, l: 2}\na:\n  <<: *b\n  k: 3\n", {"b": {"k": 1, "l": 2}, "a": {"k": 3, "l": 2}}, id="merge"),
    pytest.param("a: &a {x: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b]}\n", {"a": {"x": 1}, "b": {"x": 2, "z": 2}, "c": {"x": 1, "z": 2}}, id="merge-list"),
    pytest.param("a: redis:7\nb: 8000:80\nc: 10.0.0.1\nd: 1.2.3\ne: v1.0\nf: 3s\n", {"a": "redis:7", "b": "8000:80", "c": "10.0.0.1", "d": "1.2.3", "e": "v1.0", "f": "3s"}, id="text-with-digits"),
    pytest.param("a: 你好\nb: é\n", {"a": "你好", "b": "é"}, id="any-language"),
    pytest.param("# c\n---\na: 1\n...\n", {"a": 1}, id="document-marks"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "data"), FINE)
def test_good_text_loads_as_plain_data(text: str, data: object, parser: Parser) -> None:
    document = strict_yaml.parse(text, "f.yml", parser=parser)
    assert document.faults() == []
    assert document.data == data


def test_aliases_are_copies_that_do_not_share_changes(parser: Parser) -> None:
    data = strict_yaml.parse("a: &a [1]\nb: *a\n", "f.yml", parser=parser).data
    data["a"].append(2)
    assert data["b"] == [1]


MARKED = "a: 1\nb:\n  - x\n  - k: 'v'\n    empty:\nc: &c\n  d: 2\ne: *c\n"


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("a",), (1, 4), (1, 1)),
        (("b",), (3, 3), (2, 1)),
        (("b", 0), (3, 5), (3, 5)),
        (("b", 1, "k"), (4, 8), (4, 5)),
        (("b", 1, "empty"), (5, 5), (5, 5)),
        (("c", "d"), (7, 6), (7, 3)),
        (("e",), (8, 4), (8, 1)),
        (("e", "d"), (7, 6), (7, 3)),
        (("b", 1, "absent", "deeper"), (4, 5), (4, 5)),
        (("nope",), (1, 1), (1, 1)),
    ],
)
def test_every_value_and_key_has_its_place(
    path: tuple[str | int, ...], value: tuple[int, int], key: tuple[int, int], parser: Parser
) -> None:
    document = strict_yaml.parse(MARKED, "f.yml", parser=parser)
    assert document.mark(path) == value
    assert document.key_mark(path) == key


def test_a_document_places_problems_of_others() -> None:
    document = strict_yaml.parse("t:\n  node: node9\n", "m.yml")
    problem = document.problem(("t", "node"), "no such node", got="string 'node9'", allowed="local")
    assert problem.render() == "m.yml:2:9: t.node: no such node; got string 'node9'; allowed: local"
    assert document.has(("t",))
    assert not document.has(("t", 0))


def test_values_below_secret_keys_are_not_shown_even_when_ambiguous() -> None:
    said = faults("password: 1_2_3\n", _nodes.default_parser)
    assert "123" not in said
    assert "1_2_3" not in said


BYTES = [
    pytest.param("a: 1\n".encode("utf-16"), ["UTF-16 byte order mark at byte offset 0"], id="B07-utf16-bom"),
    pytest.param("a: 1\n".encode("utf-16-le"), ["byte offset 1 is 0x00", "UTF-16"], id="B07-utf16-without-bom"),
    pytest.param(b"\xef\xbb\xbfa: 1\n", ["UTF-8 byte order mark at byte offset 0"], id="B07-utf8-bom"),
    pytest.param(b"a: 1\nb: \xff\n", ["f.yml:2:4:", "byte 0xff at byte offset 8"], id="B07-invalid-byte"),
    pytest.param("é: \n".encode() + b"\xc3", ["byte offset 5"], id="B07-cut-character"),
    pytest.param(b"a: x\x00y\nb: z\x1b\n", ["f.yml:1:5:", "U+0000", "f.yml:2:5:", "U+001B"], id="B08-two-controls"),
    pytest.param(
        "name: a\u202eb\n".encode(),
        ["f.yml:1:8:", "bidirectional control U+202E RIGHT-TO-LEFT OVERRIDE"],
        id="B08-bidi",
    ),
    pytest.param("a: x\u2028b: 1\n".encode(), ["U+2028 LINE SEPARATOR"], id="B08-line-separator"),
    pytest.param(
        b"a: '" + b"x" * (1024 * 1024 + 1) + b"'", ["file is too large", "up to 1048576 bytes"], id="B11-too-large"
    ),
]


@pytest.mark.parametrize(("content", "parts"), BYTES)
def test_bytes_that_are_no_clean_text_are_named(content: bytes, parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        strict_yaml.load(write(tmp_path, content))
    for part in parts:
        assert part in str(caught.value)


def test_B11_a_sparse_file_of_200_mebibytes_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "big.yml"
    with path.open("wb") as stream:
        stream.truncate(200 * 1024 * 1024)
    with pytest.raises(InputError, match="file is too large; got 209715200 bytes"):
        strict_yaml.load(path)


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def _link(folder: Path, target: str) -> Path:
    (folder / "link.yml").symlink_to(target)
    return folder / "link.yml"


def _loop(folder: Path) -> Path:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return folder / "a"


STRANGE = [
    pytest.param(_fifo, "not a regular file; got FIFO", id="B11-fifo"),
    pytest.param(lambda folder: Path("/dev/zero"), "not a regular file; got character device", id="B11-dev-zero"),
    pytest.param(lambda folder: folder, "not a regular file; got directory", id="B11-directory"),
    pytest.param(lambda folder: _link(folder, "/etc/shadow"), "leads out of the folder", id="B11-link-to-shadow"),
    pytest.param(lambda folder: _link(folder, "../../x.yml"), "does not exist", id="B11-dangling-link"),
    pytest.param(_loop, "cannot be read", id="B11-link-loop"),
    pytest.param(lambda folder: folder / "none.yml", "file does not exist", id="B11-missing"),
    pytest.param(lambda folder: folder / "a\0b", "cannot be read", id="B11-nul-in-path"),
]


@pytest.mark.parametrize(("make", "part"), STRANGE)
def test_only_regular_files_of_the_folder_are_read(make: Callable[[Path], Path], part: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        strict_yaml.load(make(tmp_path))
    assert part in str(caught.value)


def test_a_link_inside_the_given_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "shared.yml").write_text("a: 1\n")
    scenario = tmp_path / "001"
    scenario.mkdir()
    link = _link(scenario, "../shared.yml")
    with pytest.raises(InputError, match="leads out"):
        strict_yaml.load(link)
    assert strict_yaml.load(link, root=tmp_path).data == {"a": 1}


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, "a: 1\n")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="file cannot be read: Permission denied"):
        strict_yaml.load(path)


def test_load_raises_for_what_read_leaves_to_the_schema(tmp_path: Path) -> None:
    path = write(tmp_path, "a: yes\nb: 1\nb: 2\n")
    assert isinstance(strict_yaml.read(path), Document)
    with pytest.raises(InputError) as caught:
        strict_yaml.load(path)
    assert len(caught.value.problems) == 2


def test_a_list_on_top_is_fine_where_it_is_asked_for(tmp_path: Path) -> None:
    assert strict_yaml.load(write(tmp_path, "- 1\n"), top="any").data == [1]


def test_limits_can_be_set(parser: Parser) -> None:
    assert "up to 2 levels" in faults("[[[1]]]", parser, Limits(max_depth=2))
    assert "up to 3" in faults("[1, 2, 3]", parser, Limits(max_values=3))


HOSTILE = ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "? " * 100_000, "&a " * 50_000, "!x " * 50_000, "a: &a [*a]\n" * 2000,
           "\"" + "\\x41" * 100_000, "'" * 99_999, "a:\n " * 30_000, "#" * 500_000, "%TAG ! x\n" * 1000, "---\n" * 50_000]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:6].strip() for text in HOSTILE])
def test_hostile_text_is_refused_in_bounded_time(text: str) -> None:
    begun = time.process_time()
    faults(text, _nodes.default_parser)
    assert time.process_time() - begun < 5


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_random_bytes_never_raise_anything_but_input_errors(content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    try:
        strict_yaml.load(path, top="any")
    except InputError as exc:
        assert exc.problems
        assert str(exc).isprintable() or "\n" in str(exc)


YAML_LIKE = st.lists(
    st.sampled_from(["a", "b", ": ", ":\n", "- ", "\n", "  ", "[", "]", "{", "}", ", ", "&x ", "*x", "<<", "!t ", "'", '"', "|", ">", "\t", "---\n", "1e3", "0777", "1:30", "yes", "~", "#", "%", "\\", "\\u202e", "? ", "\r\n", "é", "{{", "}}"]),
    max_size=60,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(text=YAML_LIKE)
def test_yaml_like_text_is_read_alike_by_both_parsers(text: str) -> None:
    seen = []
    for parser in PARSERS:
        try:
            document = strict_yaml.parse(text, "f.yml", parser=parser)
            seen.append(document.data if not document.faults(top="any") else "refused")
        except InputError:
            seen.append("refused")
    plain = [data for data in seen if data != "refused"]
    assert all(data == plain[0] for data in plain)


def test_importing_the_readers_pulls_in_nothing_heavy() -> None:
    package = "ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario"
    code = (
        f"import sys; from {package} import compose_file, nodes_file, schema, test_config; "
        "print(sorted({'ansible', 'asyncio', 'ssl', 'jinja2', 'pydantic', 'subprocess', 'http'} & set(sys.modules)))"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
