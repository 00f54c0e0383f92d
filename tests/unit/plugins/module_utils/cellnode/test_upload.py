# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import hashlib
import os
import zlib
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import upload
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

FILES = {"run_test.sh": b"#!/bin/sh\n", "files/deep/a.json": b"{}", "empty": b""}


@pytest.fixture
def ctx(tmp_path):
    """A case without any file."""
    (tmp_path / "root").mkdir()
    return Context(tmp_path / "root", RunRef("run", "scenario"))


@pytest.fixture
def dest(ctx):
    """The folder that is uploaded to."""
    return ctx.case_dir / "scenario"


def _entry(path, data, mode=0o644):
    return {"path": path, "size": len(data), "mode": mode, "sha256": hashlib.sha256(data).hexdigest()}


def _packed(data):
    return base64.b64encode(zlib.compress(data)).decode()


def _upload(ctx, wanted, data=None, modes=None, **args):
    listed = [_entry(path, content, (modes or {}).get(path, 0o644)) for path, content in wanted.items()]
    request = {"dest_rel": "scenario", "files": listed, **args}
    if data is not None:
        request["data"] = {path: _packed(content) for path, content in data.items()}
    return upload.OPS["upload"](ctx, request)


def _tree(dest):
    return {str(path.relative_to(dest)): path.read_bytes() for path in dest.rglob("*") if path.is_file()}


def test_files_come_whole_with_their_modes(ctx, dest):
    modes = {"run_test.sh": 0o755}
    assert _upload(ctx, FILES, modes=modes)["need"] == list(FILES)
    answer = _upload(ctx, FILES, FILES, modes)
    assert (answer["written"], answer["digest_ok"], answer["need"]) == (list(FILES), True, [])
    assert _tree(dest) == FILES
    assert (dest / "run_test.sh").stat().st_mode & 0o777 == 0o755


def test_only_what_differs_is_needed(ctx, dest):
    _upload(ctx, FILES, FILES)
    assert _upload(ctx, FILES) == {"need": [], "written": [], "removed": [], "digest_ok": True}
    changed = {**FILES, "empty": b"no longer"}
    assert _upload(ctx, changed)["need"] == ["empty"]
    assert _upload(ctx, changed, {"empty": b"no longer"})["written"] == ["empty"]
    assert _tree(dest) == changed


def test_same_size_with_other_bytes_is_noticed(ctx, dest):
    _upload(ctx, FILES, FILES)
    (dest / "files/deep/a.json").write_bytes(b"[]")
    assert _upload(ctx, FILES)["need"] == ["files/deep/a.json"]


def test_mode_alone_is_set_without_sending_the_file(ctx, dest):
    _upload(ctx, FILES, FILES)
    assert _upload(ctx, FILES, modes={"run_test.sh": 0o755})["need"] == []
    assert (dest / "run_test.sh").stat().st_mode & 0o777 == 0o755


def test_what_is_not_listed_is_removed_and_links_are_not_followed(ctx, dest, tmp_path):
    _upload(ctx, FILES, FILES)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    (dest / "old").mkdir()
    (dest / "old" / "link").symlink_to(outside)
    (dest / "link").symlink_to(outside)
    (dest / "files" / "extra").write_text("")
    assert sorted(_upload(ctx, FILES)["removed"]) == ["files/extra", "link", "old"]
    assert _tree(dest) == FILES
    assert (outside / "kept").exists()


@pytest.mark.parametrize("intruder", ["link-for-a-folder", "file-for-a-folder", "folder-for-a-file", "link-for-a-file"])
def test_intruder_in_a_files_place_is_replaced_B81(ctx, dest, tmp_path, intruder):
    dest.mkdir(parents=True)
    target = tmp_path / "target"
    target.mkdir()
    if intruder == "link-for-a-folder":
        (dest / "files").symlink_to(target)
    if intruder == "file-for-a-folder":
        (dest / "files").write_text("")
    if intruder == "folder-for-a-file":
        (dest / "empty" / "in").mkdir(parents=True)
    if intruder == "link-for-a-file":
        (dest / "empty").symlink_to(tmp_path / "made")
    _upload(ctx, FILES, FILES)
    assert _tree(dest) == FILES
    assert not (dest / "files").is_symlink()
    assert not (tmp_path / "made").exists()
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "/abs", "a/../../b", "a//b", ".", "", "C:\\x", "a\\b"])
def test_path_that_could_leave_the_folder_is_refused_B80(ctx, dest, path):
    for args in ({"files": [_entry(path, b"")]}, {"dest_rel": path, "files": []}):
        with pytest.raises(CellError) as caught:
            upload.OPS["upload"](ctx, {"dest_rel": "scenario", **args})
        assert caught.value.kind == "artifact_unsafe_path"
    assert not dest.exists()


def test_link_in_place_of_the_case_folder_is_not_followed_B81(ctx, tmp_path):
    (ctx.root / "runs").symlink_to(tmp_path)
    with pytest.raises(CellError) as caught:
        _upload(ctx, FILES)
    assert caught.value.kind == "artifact_unsafe_path"


BAD_DATA = {
    "F21-other-bytes": _packed(b"[]"),
    "F21-too-short": _packed(b"{"),
    "F21-too-long": _packed(b"{}{}"),
    "F21-cut": _packed(b"{}")[:-6] + "==",
    "F21-no-base64": "!!!",
    "F21-no-zlib": base64.b64encode(b"{}").decode(),
    "B92-bomb": _packed(b"\0" * 50_000_000),
}


@pytest.mark.parametrize("row", BAD_DATA)
def test_data_that_is_not_what_was_announced_writes_nothing(ctx, dest, row):
    request = {"dest_rel": "scenario", "files": [_entry("a", b"{}"), _entry("b", b"b")]}
    request["data"] = {"b": _packed(b"b"), "a": BAD_DATA[row]}
    with pytest.raises(CellError) as caught:
        upload.OPS["upload"](ctx, request)
    assert (caught.value.kind, caught.value.detail["path"]) == ("artifact_corrupt", "a")
    assert not dest.exists()


def test_file_that_was_not_sent_is_missed(ctx):
    with pytest.raises(CellError) as caught:
        _upload(ctx, FILES, {"empty": b""})
    assert caught.value.kind == "artifact_missing"
    assert sorted(caught.value.detail["need"]) == ["files/deep/a.json", "run_test.sh"]


@pytest.mark.parametrize(
    ("request_args", "word"),
    [
        ({"files": [_entry("a", b""), _entry("a", b"")]}, "each path once"),
        ({"files": [_entry("a", b""), _entry("a/b", b"")]}, "a file or a folder, not both"),
        ({"files": [_entry("a", b"", 0o4755)]}, "args.mode"),
        ({"files": [{**_entry("a", b""), "sha256": "x"}]}, "64 lower-case hexadecimal digits"),
        ({"files": [{**_entry("a", b""), "size": -1}]}, "args.size"),
        ({"files": [], "data": {"a": ""}}, "paths of args.files"),
        ({"files": "a"}, "a list"),
    ],
)
def test_request_that_contradicts_itself_is_refused(ctx, request_args, word):
    with pytest.raises(CellError) as caught:
        upload.OPS["upload"](ctx, {"dest_rel": "scenario", **request_args})
    assert word in caught.value.message


def test_too_much_is_refused_with_figures(ctx):
    with pytest.raises(CellError) as caught:
        upload.OPS["upload"](ctx, {"dest_rel": "scenario", "files": [{**_entry("a", b""), "size": 1 << 40}]})
    assert caught.value.kind == "artifact_too_large"
    assert str(1 << 40) in caught.value.message


def test_check_mode_says_what_is_needed_and_changes_nothing(ctx, dest):
    check = replace(ctx, check=True)
    assert _upload(check, FILES)["need"] == list(FILES)
    assert not dest.exists()
    _upload(ctx, FILES, FILES)
    (dest / "extra").write_text("")
    assert _upload(check, FILES) == {"need": [], "written": [], "removed": [], "digest_ok": True}
    assert (dest / "extra").exists()


def test_full_disk_is_named_and_leaves_no_half_file(ctx, dest, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upload, "replace_bytes", full)
    with pytest.raises(CellError) as caught:
        _upload(ctx, FILES, FILES)
    assert caught.value.kind == "disk_full"
    assert _tree(dest) == {}


def test_descriptors_are_closed(ctx):
    before = len(os.listdir("/proc/self/fd"))
    _upload(ctx, FILES, FILES)
    _upload(ctx, FILES)
    assert len(os.listdir("/proc/self/fd")) == before
