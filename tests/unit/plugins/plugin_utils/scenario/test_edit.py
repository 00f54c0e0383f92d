# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.edit import set_enabled, with_enabled
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import parse
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("name: a\nenabled: true  # on\ntags: [x]\n", "name: a\nenabled: false  # on\ntags: [x]\n", id="comment"),
        pytest.param("name: 'a' # c\r\ntags: []\r\n", "name: 'a' # c\r\nenabled: false\r\ntags: []\r\n", id="crlf-absent"),
        pytest.param("name: a\r\nenabled: true\r\n", "name: a\r\nenabled: false\r\n", id="crlf"),
        pytest.param("{name: x, tags: []}", "{name: x, enabled: false, tags: []}", id="braces"),
        pytest.param("{name: x}\n", "{name: x, enabled: false}\n", id="braces-last"),
        pytest.param("name: 'a'", "name: 'a'\nenabled: false\n", id="no-last-line-end"),
        pytest.param("name: a\nenabled:\nx: 1\n", "name: a\nenabled: false\nx: 1\n", id="null"),
        pytest.param(
            "# top\n  name: >-\n    folded\n    text\n  tags: [a]\n",
            "# top\n  name: >-\n    folded\n    text\n  enabled: false\n  tags: [a]\n",
            id="indented-and-folded",
        ),
        pytest.param("t: &e true\nenabled: *e\nname: d\n", "t: &e true\nenabled: false\nname: d\n", id="alias"),
        pytest.param("name: a\nenabled: &e true\nx: *e\n", "name: a\nenabled: &e false\nx: *e\n", id="anchor"),
        pytest.param("name: x\nsoak: {enabled: true}\n", "name: x\nenabled: false\nsoak: {enabled: true}\n", id="other-level"),
        pytest.param("---\nname: é\n...\n", "---\nname: é\nenabled: false\n...\n", id="document-marks"),
        pytest.param("tags: [x]\n", "tags: [x]\nenabled: false\n", id="no-name"),
        pytest.param("? enabled\n: true\nname: a\n", "? enabled\n: false\nname: a\n", id="explicit-key"),
    ],
)  # fmt: skip
def test_only_the_one_word_changes(before, after):
    assert with_enabled(before, False) == after


@given(
    before=st.lists(
        st.sampled_from(["# note", "tags: [a, b]", "description: |\n  text\n\n  more", "", "x: {enabled: false}"]),
        unique=True,
    ),
    after=st.lists(st.sampled_from(["y: 'it''s'", "z: [1,\n  2]", "  # deep note", ""]), unique=True),
    word=st.sampled_from(["enabled: true", "enabled:   true   # why", "enabled: 'x'", None]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_data_around_the_key_is_never_touched(before, after, word, end):
    text = (
        end.join([*before, "name: n", *([word] if word else []), *after, ""]).replace("\r\n", "\n").replace("\n", end)
    )
    edited = with_enabled(text, False)
    assert parse(edited, "f").data == {**parse(text, "f").data, "enabled": False}
    assert len(edited.splitlines()) == len(text.splitlines()) + (word is None)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in edited.splitlines() if line.startswith("#")
    ]


def test_file_keeps_its_mode_and_says_whether_it_changed(tmp_path):
    path = tmp_path / "metadata.yml"
    path.write_text("name: a  # é\n")
    path.chmod(0o640)
    assert set_enabled(path, True) is False
    assert set_enabled(path, False) is True
    assert path.read_text() == "name: a  # é\nenabled: false\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert set_enabled(path, False) is False
    assert set_enabled(path, True) is True
    assert path.read_text() == "name: a  # é\nenabled: true\n"
    assert os.listdir(tmp_path) == ["metadata.yml"]


def test_file_that_cannot_be_read_is_left_alone(tmp_path):
    path = tmp_path / "metadata.yml"
    path.write_text("name: [\n")
    with pytest.raises(InputError):
        set_enabled(path, False)
    assert path.read_text() == "name: [\n"


def test_edit_that_would_change_another_key_is_refused(tmp_path):
    path = tmp_path / "metadata.yml"
    path.write_text("name: a\nenabled: &e true\nother: *e\n")
    with pytest.raises(InputError, match="set it to false by hand"):
        set_enabled(path, False)
    assert "true" in path.read_text()
