# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import beneath
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


@pytest.mark.parametrize("path", ["a", "a/b", "...", "a..b", "-rf", "%", "a b", "a\nb", "\udcff", "C:x", "x" * 255])
def test_safe_path_is_taken_as_it_is(path):
    assert "/".join(beneath.parts(path)) == path


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "..", "../x", "/abs", "a/../../b", "a//b", "a/", "./a", "a/.", "C:\\x", "a\\b", "a\0b", "x" * 256,
        "\u20ac" * 86, "a/" * 2100 + "b", None, 5, ["a"],
    ],
)  # fmt: skip
def test_unsafe_path_is_refused_B80(path):
    with pytest.raises(CellError) as caught:
        beneath.parts(path)
    assert caught.value.kind == "artifact_unsafe_path"


@pytest.mark.parametrize(("path", "pieces"), [("", ()), (".", ()), ("./", ()), ("a/", ("a",)), ("a/b", ("a", "b"))])
def test_folder_may_be_the_base_or_end_in_a_slash(path, pieces):
    assert beneath.base_parts(path) == pieces


def _link_above(base):
    (base / "real" / "in").mkdir(parents=True)
    (base / "a").symlink_to("real")


def _link_itself(base):
    (base / "a").mkdir()
    (base / "a" / "in").symlink_to("/tmp")


def _loop(base):
    (base / "a").symlink_to("a")


def _file_in_the_way(base):
    (base / "a").write_text("")


@pytest.mark.parametrize("make", [_link_above, _link_itself, _loop, _file_in_the_way])
@pytest.mark.parametrize("create", [False, True])
def test_no_link_is_followed_on_the_way_to_a_folder_B81(tmp_path, make, create):
    make(tmp_path)
    with pytest.raises(CellError) as caught:
        beneath.open_folder(tmp_path, ("a", "in"), create)
    assert caught.value.kind == "artifact_unsafe_path"


def test_absent_folder_is_made_only_when_wanted(tmp_path):
    with pytest.raises(CellError) as caught:
        beneath.open_folder(tmp_path, ("a", "b"))
    assert (caught.value.kind, caught.value.detail["path"]) == ("artifact_missing", "a")
    with beneath.folder(tmp_path, ("a", "b"), create=True) as fd:
        assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "a" / "b"))


def _fifo(path):
    os.mkfifo(path)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "symbolic link"),
        (_fifo, "fifo"),
        (_socket, "socket"),
        (lambda path: path.mkdir(), "folder"),
    ],
    ids=["link", "fifo", "socket", "folder"],
)
def test_only_regular_files_are_opened_and_nothing_is_waited_for_B81_B82(tmp_path, folder_fd, make, word, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "folder" / "x")
    with pytest.raises(CellError) as caught:
        beneath.open_regular(folder_fd, "x", "d/x")
    assert caught.value.kind == "artifact_unsafe_path"
    assert word in caught.value.message


def test_descriptors_are_closed(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    with beneath.folder(tmp_path, ("a", "b", "c"), create=True):
        pass
    with pytest.raises(CellError), beneath.folder(tmp_path, ("a", "x")):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
