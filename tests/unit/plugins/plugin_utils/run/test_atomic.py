# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import atomic


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path):
    target = tmp_path / "deep" / "x.json"
    atomic.write_json(target, {"a": 1})
    atomic.write_json(target, {"a": 2})
    assert target.read_text() == '{\n  "a": 2\n}\n'
    assert [p.name for p in target.parent.iterdir()] == ["x.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_json_without_a_meaning_is_refused_and_the_old_file_stays(tmp_path, value):
    target = tmp_path / "x.json"
    atomic.write_json(target, 1)
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(target, value)
    assert target.read_text() == "1\n"


def test_a_failing_write_leaves_no_half_file(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        atomic.write_text(tmp_path / "x", "text")
    assert caught.value.filename == str(tmp_path / "x"), "not the temporary file's name"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "named"), [(OSError(5, "Input/output error"), "x"), (OSError("odd"), None)])
def test_what_has_a_number_is_given_a_name(given, named):
    with pytest.raises(OSError) as caught, atomic.naming(Path("x")):
        raise given
    assert (caught.value.errno, caught.value.filename) == (given.errno, named)


def test_text_that_is_no_utf8_is_written_as_escapes(tmp_path):
    atomic.write_text(tmp_path / "x", "a\udcffb")
    assert (tmp_path / "x").read_text() == "a\\udcffb"
