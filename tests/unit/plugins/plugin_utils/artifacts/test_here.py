# SPDX-License-Identifier: MIT
"""What an earlier transfer has left is taken for what the node has only where it still is."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import here
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.frames import Entry


def entry(path, content, algorithm="sha256"):
    return Entry(path, len(content), 0o644, 5, 6, hashlib.new(algorithm, content).hexdigest())


@pytest.fixture
def listed(tmp_path):
    """What is said of two files, one of them empty, that are there."""
    (tmp_path / "full").write_bytes(b"1")
    (tmp_path / "empty").touch()
    return [here.listed(entry("full", b"1"), "sha256"), here.listed(entry("empty", b""), "sha256")]


def test_files_that_are_as_they_were_are_taken(tmp_path, listed):
    taken = {"full": entry("full", b"1"), "empty": entry("empty", b"")}
    assert here.proved(tmp_path, listed, ["sha256", "blake2b"]) == ("sha256", taken)


@pytest.mark.parametrize("algorithms", [[], ["blake2b"]])
def test_files_of_an_algorithm_that_proves_nothing_now_are_not_taken(tmp_path, listed, algorithms):
    assert here.proved(tmp_path, listed, algorithms) == ("", {})


def test_only_files_of_one_algorithm_are_taken(tmp_path, listed):
    (tmp_path / "other").write_bytes(b"2")
    listed.append(here.listed(entry("other", b"2", "blake2b"), "blake2b"))
    assert set(here.proved(tmp_path, listed, ["sha256", "blake2b"])[1]) == {"full", "empty"}
    assert here.proved(tmp_path, listed[2:], ["sha256", "blake2b"])[0] == "blake2b"


@pytest.mark.parametrize("path", ["a", 'b"\\', "\u4e2d/\udcff\n"])
@pytest.mark.parametrize("mtime_ns", [0, -1, 5, 1_795_376_251_404_990_001, (1 << 63) - 1])
@pytest.mark.parametrize("digest", ["", "00ff"])
def test_a_line_says_what_is_listed(path, mtime_ns, digest):
    one = Entry(path, 7, 0o644, mtime_ns, 6, digest)
    line = here.line(one, "sha256")
    assert json.loads(line) == here.listed(one, "sha256") and "\n" not in line


def _in_place_of(name, make):
    def change(folder):
        (folder / name).unlink()
        make(folder / name)

    return change


CHANGES = {
    "B87-content": lambda folder: (folder / "empty").write_bytes(b"2"),
    "B87-gone": lambda folder: (folder / "empty").unlink(),
    "B81-link": _in_place_of("empty", lambda path: path.symlink_to("/dev/null")),
    "B82-fifo": _in_place_of("empty", os.mkfifo),
    "B82-folder": _in_place_of("empty", lambda path: path.mkdir()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_is_no_more_what_it_was_is_not_taken(tmp_path, listed, change):
    change(tmp_path)
    assert set(here.proved(tmp_path, listed, ["sha256"])[1]) == {"full"}


WRONG = {
    "no-list": {"path": "full"},
    "no-entries": ["full", None, {}],
    "B80-path": [{"path": "../here/full"}],
    "B87-no-digest-of-no-file": [{"path": "absent", "digest": "sha256:"}],
    "B87-no-digest": [{"digest": "sha256:"}],
    "B87-half-a-digest": [{"digest": f"blake2b:{hashlib.blake2b(b'1', digest_size=1).hexdigest()}"}],
    "B87-size-is-text": [{"size": "1"}],
}


@pytest.mark.parametrize("rows", WRONG.values(), ids=WRONG)
def test_b87_what_is_no_list_of_files_gives_none(tmp_path, listed, rows):
    if isinstance(rows, list):
        rows = [{**listed[0], **row} if isinstance(row, dict) and row else row for row in rows]
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "full").write_bytes(b"1")
    assert here.proved(folder, rows, ["sha256", "blake2b"]) == ("", {})
