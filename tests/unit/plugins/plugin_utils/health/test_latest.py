# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import latest


def test_the_newest_answer_of_each_node_is_read(tmp_path):
    reader = latest.Reader(tmp_path)
    assert reader.read() == {}
    latest.put(tmp_path, 1, {"name": "n1", "ok": True})
    latest.put(tmp_path, 1, {"name": "n2", "ok": True})
    latest.put(tmp_path, 2, {"name": "n1", "ok": False})
    assert reader.read() == {"n1": (2, {"name": "n1", "ok": False}), "n2": (1, {"name": "n2", "ok": True})}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n1.json", "n2.json"], "one file a node, however long"


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path, monkeypatch):
    latest.put(tmp_path, 1, {"name": "n1"})
    reader = latest.Reader(tmp_path)
    first = reader.read()
    monkeypatch.setattr(latest.json, "loads", lambda _: pytest.fail("read again"))
    assert reader.read() == first


def test_a_folder_that_was_taken_away_says_so_to_the_writer(tmp_path):
    with pytest.raises(FileNotFoundError):
        latest.put(tmp_path / "gone", 1, {"name": "n1"})
