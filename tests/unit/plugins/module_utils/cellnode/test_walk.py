# SPDX-License-Identifier: MIT
"""What of a tree is sent, and what is refused and named."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess

import pytest
import streams
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames, send, walk
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


@pytest.fixture
def ctx(tmp_path):
    """A case whose work folder exists."""
    context = Context(tmp_path / "root", RunRef("run", "scenario"))
    (context.case_dir / "work").mkdir(parents=True)
    return context


@pytest.fixture
def work(ctx):
    """The case's work folder."""
    return ctx.case_dir / "work"


def _manifest(ctx, *patterns, base_rel="work", **args):
    """Return {files, missing, refused} of what is sent; raise what the node says that it failed with."""
    pieces, found = [], {b"B": [], b"R": [], b"M": []}
    asked = {"base_rel": base_rel, "patterns": list(patterns) or ["results/"], "algorithms": {"sha256": 1.0}, **args}
    send.stream(ctx, asked, lambda piece: pieces.append(bytes(piece)))
    for kind, _, payload in streams.frames_of(b"".join(pieces)):
        if kind == frames.ERROR:
            error = json.loads(payload)
            raise CellError(error["kind"], error["message"])
        begin, length = 0, len(payload)
        if kind == frames.BUNDLE:
            begin, (length,) = frames.HEAD_LENGTH.size, frames.HEAD_LENGTH.unpack_from(payload)
        assert kind not in (frames.BEGIN, frames.SAME), "the files of these tests are small"
        if kind in found:
            found[kind] += json.loads(payload[begin : begin + length])
    files = [dict(zip(frames.FIELDS, entry, strict=True)) for entry in found[b"B"]]
    return {"files": files, "missing": found[b"M"], "refused": found[b"R"]}


def _put(path, data=b"x", mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_files_are_listed_with_size_mode_time_and_digest_in_byte_order(ctx, work):
    _put(work / "results" / "b.json", b"{}", 0o600)
    _put(work / "results" / "a" / "z.csv", b"1,2\n", 0o755)
    _put(work / "other.txt")
    got = _manifest(ctx)
    info = (work / "results" / "b.json").stat()
    assert [entry["path"] for entry in got["files"]] == ["results/a/z.csv", "results/b.json"]
    assert got["files"][1] == {
        "path": "results/b.json", "size": 2, "mode": 0o600,
        "mtime_ns": info.st_mtime_ns, "ctime_ns": info.st_ctime_ns, "digest": hashlib.sha256(b"{}").hexdigest(),
    }  # fmt: skip
    assert (got["missing"], got["refused"]) == ([], [])


def test_pattern_without_a_file_is_missing_B88(ctx, work):
    (work / "empty").mkdir()
    _put(work / "results" / "x")
    got = _manifest(ctx, "results/", "empty/", "nothing.json", "*.csv")
    assert got["missing"] == ["empty/", "nothing.json", "*.csv"]


def test_absent_base_has_no_files(ctx):
    got = _manifest(ctx, "a", base_rel="nowhere")
    assert got == {"files": [], "missing": ["a"], "refused": []}


def test_base_that_is_a_link_is_refused_B81(ctx, tmp_path):
    (ctx.case_dir / "linked").symlink_to(tmp_path)
    with pytest.raises(CellError) as caught:
        _manifest(ctx, "*", base_rel="linked")
    assert caught.value.kind == "artifact_unsafe_path"


def test_file_of_two_patterns_is_listed_once(ctx, work):
    _put(work / "results" / "x.csv")
    assert len(_manifest(ctx, "results/", "**/*.csv", "results/x.csv")["files"]) == 1


def _socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def _hard_link(path):
    _put(path.parents[2] / "outside")
    os.link(path.parents[2] / "outside", path)


UNSAFE = {
    "B81-link-out": (lambda path: path.symlink_to("/etc/passwd"), "symbolic link to '/etc/passwd'"),
    "B81-link-chain": (lambda path: path.symlink_to("../y"), "symbolic link to '../y'"),
    "B81-link-to-a-folder": (lambda path: path.symlink_to("/etc"), "symbolic link to '/etc'"),
    "B81-loop": (lambda path: path.symlink_to("x"), "symbolic link to 'x'"),
    "B81-hard-link-out": (_hard_link, "1 of its 2 names are elsewhere"),
    "B82-fifo": (os.mkfifo, "a fifo"),
    "B82-socket": (_socket, "a socket"),
    "B82-setuid": (lambda path: _put(path, b"", 0o4755), "setuid"),
    "B82-setgid": (lambda path: _put(path, b"", 0o2755), "setgid"),
}


@pytest.mark.parametrize("row", UNSAFE)
def test_what_is_no_plain_file_is_refused_by_name_and_the_others_are_listed(ctx, work, row, monkeypatch):
    make, word = UNSAFE[row]
    _put(work / "results" / "good")
    monkeypatch.chdir(work)
    make(work / "results" / "x")
    got = _manifest(ctx)
    assert [entry["path"] for entry in got["files"]] == ["results/good"]
    (refused,) = got["refused"]
    assert (refused["path"], refused["kind"]) == ("results/x", "artifact_unsafe_path")
    assert word in refused["why"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_device_is_refused_B82(ctx, work):
    (work / "results").mkdir()
    try:
        os.mknod(work / "results" / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    assert "character device" in _manifest(ctx)["refused"][0]["why"]


def test_link_on_the_way_to_a_match_is_refused_B81(ctx, work):
    (work / "results").symlink_to("/etc")
    got = _manifest(ctx, "results/*.conf")
    assert (got["files"], got["missing"]) == ([], ["results/*.conf"])
    assert got["refused"][0]["path"] == "results"


def test_unrelated_links_are_not_told(ctx, work):
    (work / "other").symlink_to("/etc")
    _put(work / "a.json")
    assert _manifest(ctx, "**/*.json")["refused"] == []


def test_hard_links_that_are_all_artifacts_are_listed(ctx, work):
    _put(work / "results" / "a")
    os.link(work / "results" / "a", work / "results" / "b")
    got = _manifest(ctx)
    assert [entry["path"] for entry in got["files"]] == ["results/a", "results/b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted")
def test_mount_point_is_not_entered_B86(ctx, work):
    (work / "results" / "mounted").mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", work / "results" / "mounted"], check=False).returncode:
        pytest.skip("mounts are not allowed here")
    try:
        _put(work / "results" / "mounted" / "x")
        _put(work / "results" / "good")
        got = _manifest(ctx)
    finally:
        subprocess.run(["umount", work / "results" / "mounted"], check=True)
    assert [entry["path"] for entry in got["files"]] == ["results/good"]
    assert got["refused"][0]["why"] == "it is a mount point"


def test_limits_are_told_with_figures_and_what_fits_is_listed_B82(ctx, work):
    for name in "abcd":
        _put(work / "results" / name, b"12345")
    got = _manifest(ctx, max_files=3)
    assert len(got["files"]) == 3
    assert "limit of 3 files; 1 more" in got["refused"][0]["why"]
    got = _manifest(ctx, max_bytes=12)
    assert [entry["path"] for entry in got["files"]] == ["results/a", "results/b"]
    assert [one["path"] for one in got["refused"]] == ["results/c", "results/d"]
    assert "5 bytes with 10 before it are over the limit of 12 bytes" in got["refused"][0]["why"]
    assert {one["kind"] for one in got["refused"]} == {"artifact_too_large"}


def test_sparse_terabyte_is_refused_without_reading_it_B82(ctx, work):
    os.truncate(_put(work / "results" / "sparse"), 1 << 40)
    got = _manifest(ctx)
    assert str(1 << 40) in got["refused"][0]["why"]


def test_deep_tree_is_refused_and_not_a_crash_B82(ctx, work):
    deep = work / "results"
    for _ in range(walk.MAX_DEPTH + 3):
        deep = deep / "d"
    deep.mkdir(parents=True)
    _put(deep / "x")
    assert "64 folders deep" in _manifest(ctx)["refused"][0]["why"]


def test_folder_with_too_many_names_is_told_B82(ctx, work, monkeypatch):
    monkeypatch.setattr(walk, "MAX_NAMES", 3)
    for name in "abcde":
        _put(work / "results" / name)
    got = _manifest(ctx)
    assert len(got["files"]) == 3
    assert "over 3 names" in got["refused"][0]["why"]


NAMES = [
    b"new\nline",
    b"\x1b[31m",
    b"%s",
    b"x" * 255,
    b"\xff\xfe",
    b"-rf",
    b"=cmd()",
    "é".encode(),
    b"e\xcc\x81",
    b"A",
    b"a",
]


def test_odd_names_are_kept_byte_for_byte_and_apart_B83_B84(ctx, work):
    (work / "results").mkdir()
    for name in NAMES:
        _put(work / "results" / os.fsdecode(name), name)
    got = _manifest(ctx)
    assert sorted(os.fsencode(entry["path"]) for entry in got["files"]) == sorted(b"results/" + name for name in NAMES)
    for entry in got["files"]:
        assert entry["digest"] == hashlib.sha256(os.fsencode(entry["path"]).split(b"/")[1]).hexdigest()


def test_name_with_a_backslash_is_refused_B80(ctx, work):
    _put(work / "results" / "a\\b")
    assert _manifest(ctx)["refused"][0]["kind"] == "artifact_unsafe_path"
