# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import receive


class Files:
    """A node that serves files in chunks of three bytes; flips decides how often a read is wrong."""

    def __init__(self, content, flips=0):
        self.content = content
        self.flips = flips
        self.asked = 0

    def many(self, *asked):
        self.asked += 1
        return [self.read(**args) for op, args in asked if op == "read"]

    def read(self, base_rel, path, offset, max_bytes, expect):
        assert expect == {"size": len(self.content[path]), "mtime_ns": 1, "ctime_ns": 2}
        data = self.content[path][offset : offset + 3]
        if self.flips and data:
            self.flips -= 1
            data = bytes([data[0] ^ 1]) + data[1:]
        done = offset + len(data) >= len(self.content[path])
        return {"data": base64.b64encode(zlib.compress(data)).decode(), "eof": done, "offset": offset + len(data)}


def manifest(content):
    times = {"mtime_ns": 1, "ctime_ns": 2}
    return [{"path": p, "size": len(c), "sha256": hashlib.sha256(c).hexdigest(), **times} for p, c in content.items()]


def test_files_arrive_whole_and_proved(tmp_path):
    content = {"a": b"0123456789", "d/b": b"", "d/c\xff".encode().decode(): b"\0\xff" * 5}
    got = receive.receive(Files(content), "work", manifest(content), tmp_path / "to")
    assert {
        p.relative_to(tmp_path / "to").as_posix(): p.read_bytes() for p in (tmp_path / "to").rglob("*") if p.is_file()
    } == content
    assert got.total_bytes == 20
    assert [p.name for p in tmp_path.iterdir()] == ["to"]


def test_f21_a_flipped_bit_is_found_and_fetched_again(tmp_path):
    receive.receive(Files({"a": b"0123"}, flips=1), "work", manifest({"a": b"0123"}), tmp_path / "to")
    assert (tmp_path / "to" / "a").read_bytes() == b"0123"


def test_f21_bytes_that_stay_wrong_leave_nothing_in_place(tmp_path):
    with pytest.raises(receive.ArtifactError, match="in 3 tries") as caught:
        receive.receive(Files({"a": b"0123"}, flips=99), "work", manifest({"a": b"0123"}), tmp_path / "to")
    assert caught.value.kind == "artifact_corrupt"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "/abs", "a/../../b", "a//b", ".", "", "C:\\x", "a\\b", "a/", "./a"])
def test_b80_a_path_that_could_leave_the_folder_is_refused(tmp_path, path):
    with pytest.raises(receive.ArtifactError) as caught:
        receive.receive(Files({path: b"x"}), "work", manifest({path: b"x"}), tmp_path / "to")
    assert caught.value.kind == "artifact_unsafe_path"
    assert list(tmp_path.iterdir()) == []


def test_a_second_collection_adds_to_the_first(tmp_path):
    for content in ({"a": b"1"}, {"b": b"2"}):
        receive.receive(Files(content), "work", manifest(content), tmp_path / "to")
    assert sorted(p.name for p in (tmp_path / "to").iterdir()) == ["a", "b"]


def test_the_beginnings_of_several_lists_are_asked_for_once(tmp_path):
    files = Files({"a": b"1", "b": b"2"})
    begun = receive.beginnings(files, {"evidence": manifest({"a": b"1"}), "work": manifest({"b": b"2"})})
    asked = files.asked
    receive.receive(files, "evidence", manifest({"a": b"1"}), tmp_path / "one", begun=begun["evidence"])
    receive.receive(files, "work", manifest({"b": b"2"}), tmp_path / "two", begun=begun["work"])
    assert files.asked == asked == 1
    assert ((tmp_path / "one" / "a").read_bytes(), (tmp_path / "two" / "b").read_bytes()) == (b"1", b"2")


def test_b80_a_refused_path_in_one_list_does_not_harm_another(tmp_path):
    files = Files({"a": b"1", "../x": b"2"})
    begun = receive.beginnings(files, {"evidence": manifest({"a": b"1"}), "work": manifest({"../x": b"2"})})
    assert (set(begun["evidence"]), begun["work"]) == ({"a"}, {})
    receive.receive(files, "evidence", manifest({"a": b"1"}), tmp_path / "one", begun=begun["evidence"])
    with pytest.raises(receive.ArtifactError):
        receive.receive(files, "work", manifest({"../x": b"2"}), tmp_path / "two", begun=begun["work"])
