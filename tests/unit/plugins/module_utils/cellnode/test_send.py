# SPDX-License-Identifier: MIT
"""What a node sends: each file as it was when the walk saw it, or refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zlib

import odd
import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames, placing, send, sending
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from odd import put
from streams import frames_of, paths, refusals, sent, told

LARGE = frames.SMALL_BYTES + 1


def of(base, *patterns, **args):
    return told(sent(base, patterns=list(patterns) or ["results/"], **args))


def test_plan_comes_first_then_files_in_byte_order_then_the_end(base):
    put(base / "results" / "b", b"{}", 0o600)
    put(base / "results" / "a" / "z", b"1")
    put(base / "results" / "B", b"3" * LARGE)
    put(base / "other")
    found = of(base)
    assert list(found) == [b"P", b"F", b"D", b"E", b"B", b"Z"]
    assert found[b"P"] == [{"files": 3, "bytes": LARGE + 3, "algorithm": "sha256", "same": 0}]
    info = (base / "results" / "b").stat()
    row = ["results/b", 2, 0o600, info.st_mtime_ns, info.st_ctime_ns, hashlib.sha256(b"{}").hexdigest()]
    assert paths(found) == ["results/a/z", "results/b"]
    assert found[b"B"][0][1] == row
    assert (found[b"Z"][0]["files"], found[b"Z"][0]["bytes"], found[b"Z"][0]["more"]) == (3, LARGE + 3, False)
    assert found[b"Z"][0]["raw"] == LARGE + 3


def test_manifest_is_the_digest_of_all_lines(base):
    for name in "cab":
        put(base / "results" / name, name.encode())
    found = of(base)
    rows = found[b"B"][0]
    line = "".join("\0".join(map(str, row)) + "\n" for row in rows).encode()
    assert found[b"Z"][0]["manifest"] == hashlib.sha256(line).hexdigest()


def test_bundles_keep_their_limits(base):
    for number in range(30):
        put(base / "results" / f"{number:02}", bytes([number]) * 100_000)
    parts = [part for part in frames_of(sent(base)) if part[0] == frames.BUNDLE]
    assert [len(part[2]) < frames.BLOCK_BYTES + 10_000 for part in parts] == [True] * 3


def test_a_thousand_longest_names_keep_the_limits_of_a_frame_b82_b84(base):
    name = os.fsdecode(b"\xff" * 250)
    for number in range(1000):
        put(base / "results" / f"{number:04}{name}", b"")
    parts = frames_of(sent(base))
    assert max(len(part[2]) for part in parts) <= frames.MAX_PAYLOAD_BYTES
    assert parts[-1][0] == frames.END and json.loads(parts[-1][2])["files"] == 1000


def test_many_refusals_are_several_frames_b82(base, monkeypatch):
    monkeypatch.setattr(frames, "HEAD_BYTES", 1000)
    for number in range(100):
        (base / "results" / f"{number}").symlink_to("x" * 100)
    found = of(base)
    assert (len(found[b"R"]) > 9, len(refusals(found))) == (True, 100)


CHANGES = {
    **odd.CHANGES,
    "F22-folder-on-its-way-is-a-link": lambda path: (
        path.parent.rename(path.parents[1] / "moved"),
        path.parent.symlink_to("moved"),
    ),
}
SIZES = {"small": 9, "large": LARGE}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_behind_the_walk_is_refused(base, monkeypatch, change, size):
    path = put(base / "results" / "log", b"1" * SIZES[size])
    put(base / "still")
    real = sending.Sending.run

    def run(self, base_fd, seen, order):
        CHANGES[change](path)
        real(self, base_fd, seen, order)

    monkeypatch.setattr(sending.Sending, "run", run)
    found = of(base, "")
    assert paths(found) == ["still"]
    (refused,) = refusals(found)
    assert refused["path"] == "results/log"
    assert refused["kind"] == "artifact_changed"
    assert found[b"Z"][0]["files"] == 1


WHILE_READ = ["F22-B85-grows", "F22-B85-shrinks", "F22-touched", "F22-setuid", "F22-second-name"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", WHILE_READ)
def test_a_file_that_changes_while_it_is_read_is_refused(base, monkeypatch, change, size):
    path = put(base / "results" / "log", b"1" * SIZES[size])
    put(base / "still")
    real, done = os.fstat, []

    def fstat(fd):
        """The first look at a large file is before it is read, the next one behind; a small one is looked at once."""
        if os.readlink(f"/proc/self/fd/{fd}") == str(path):
            done.append(fd)
            if len(done) == (2 if size == "large" else 1):
                CHANGES[change](path)
        return real(fd)

    monkeypatch.setattr(os, "fstat", fstat)
    found = of(base, "")
    assert (paths(found), refusals(found)[0]["kind"]) == (["still"], "artifact_changed")
    assert (size == "large") == ("changed" in found.get(b"E", [{}])[0])


def test_a_file_that_is_written_meanwhile_comes_where_nothing_is_to_be_proved(base, monkeypatch):
    path = put(base / "results" / "log", b"1" * 9)
    real = sending.Sending.run
    monkeypatch.setattr(sending.Sending, "run", lambda self, *given: (odd.grow(path), real(self, *given)))
    assert paths(of(base, prove="off")) == ["results/log"]
    assert refusals(of(base, prove="size"))[0]["kind"] == "artifact_changed"


def test_unreadable_file_is_named_and_the_others_are_sent_b86(base, monkeypatch):
    put(base / "results" / "bad")
    put(base / "results" / "good")
    put(base / "results" / "hard", b"1" * LARGE)
    real_open, real_read = os.open, os.preadv

    def opened(path, *given, **more):
        if path == "bad":
            raise PermissionError(13, "Permission denied")
        return real_open(path, *given, **more)

    def read(fd, *given):
        if os.readlink(f"/proc/self/fd/{fd}").endswith("hard"):
            raise OSError(5, "Input/output error")
        return real_read(fd, *given)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "preadv", read)
    found = of(base)
    assert paths(found) == ["results/good"]
    assert [(one["path"], one["kind"]) for one in refusals(found)] == [
        ("results/bad", "privilege"),
        ("results/hard", "io_error"),
    ]


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ({"algorithms": {"md5": 1.0}}, "args.algorithms is ['md5']"),
        ({"algorithms": {}}, "args.algorithms is []"),
        ({"algorithms": {"sha256": "fast"}}, "args.sha256 is 'fast'"),
        ({"prove": "maybe"}, "args.prove is 'maybe'"),
        ({"compress": "much"}, "args.compress is 'much'"),
        ({"at_most": 0}, "args.at_most is 0"),
        ({"into": "here"}, "args.into is 'here'"),
        ({"base": "here"}, "args.base is 'here'"),
        ({"have": [["a", 1]]}, "args.have is [['a', 1]]"),
        ({"patterns": ["../x"]}, "'../x'"),
    ],
)
def test_arguments_are_checked(base, args, word):
    (error,) = told(sent(**{"base": base, **args}))[b"X"]
    assert word in error["message"]


def test_a_fault_of_ours_is_the_last_frame(base, monkeypatch):
    monkeypatch.setattr(sending.Sending, "run", lambda *given: 1 // 0)
    (error,) = of(base)[b"X"]
    assert (error["kind"], "ZeroDivisionError" in error["message"]) == ("internal_error", True)


@pytest.mark.parametrize("args", [{}, {"prove": "maybe"}], ids=["files", "error"])
@pytest.mark.parametrize("pieces", [0, 1], ids=["from-the-first-byte", "behind-the-magic"])
def test_a_reader_that_is_gone_ends_the_work(base, args, pieces):
    put(base / "results" / "a")
    taken = []

    def write(piece):
        if len(taken) == pieces:
            raise BrokenPipeError(32, "Broken pipe")
        taken.append(bytes(piece))

    wanted = {"base": str(base), "patterns": [""], "algorithms": {"sha256": 1.0}, **args}
    with pytest.raises(BrokenPipeError):
        send.stream(Context(base), wanted, write)


def test_contents_are_compressed_where_asked_for(base):
    put(base / "results" / "big", b"1" * LARGE)
    put(base / "results" / "small", b"2" * 1000)
    parts = {kind: (flags, data) for kind, flags, data in frames_of(sent(base, compress="always"))}
    assert zlib.decompress(parts[b"D"][1]) == b"1" * LARGE
    assert (parts[b"D"][0], parts[b"B"][0]) == (frames.ZLIB, frames.ZLIB)


def test_a_copy_on_the_same_machine_shares_blocks_where_it_can(base, tmp_path, monkeypatch):
    put(base / "results" / "a", b"1" * LARGE)
    into = tmp_path / "into"
    into.mkdir()

    def shared(source_fd, target_fd):
        os.sendfile(target_fd, source_fd, 0, LARGE)
        return True

    monkeypatch.setattr(sending, "shared", shared)
    found = of(base, into=str(into))
    assert found[b"B"][0][0][5] == hashlib.sha256(b"1" * LARGE).hexdigest()
    assert (into / "results" / "a").read_bytes() == b"1" * LARGE


def test_a_copy_of_a_file_that_grew_meanwhile_ends_where_the_file_did(base, tmp_path, monkeypatch):
    path = put(base / "results" / "a", b"1" * LARGE)
    into = tmp_path / "into"
    into.mkdir()

    def shared(source_fd, target_fd):
        """Share the blocks of all that the file has by now, as a file system does."""
        odd.grow(path)
        os.pwrite(target_fd, path.read_bytes(), 0)
        return True

    monkeypatch.setattr(sending, "shared", shared)
    assert paths(of(base, into=str(into), prove="off")) == ["results/a"]
    assert (into / "results" / "a").read_bytes() == b"1" * LARGE


def test_copies_are_told_of_before_all_of_them_are_made(base, tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "PLACED_BYTES", 10)
    for name in "abcde":
        put(base / "results" / name, b"1234")
    into = tmp_path / "into"
    into.mkdir()
    told_at_once = [[row[0][-1] for row in rows] for rows in of(base, into=str(into))[b"B"]]
    assert told_at_once == [["a", "b", "c"], ["d", "e"]]


def test_a_copy_without_its_folder_is_an_error_and_not_a_node_without_files(base, tmp_path):
    put(base / "results" / "a")
    found = of(base, into=str(tmp_path / "gone"))
    assert (list(found), found[b"X"][0]["kind"]) == ([b"X"], "artifact_missing")


@pytest.mark.parametrize("call", ["pwrite", "mkdir"])
def test_f28_a_copy_that_has_no_room_is_an_error_of_its_kind(base, tmp_path, monkeypatch, call):
    put(base / "results" / "a", b"1" * LARGE)
    into = tmp_path / "into"
    into.mkdir()

    def full(*given, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    (error,) = of(base, into=str(into))[b"X"]
    assert (error["kind"], "copy" in error["message"]) == ("disk_full", True)


def test_b83_names_that_are_one_in_the_copy_are_refused_by_name(base, tmp_path, monkeypatch):
    put(base / "results" / "a")
    put(base / "results" / "b")
    into = tmp_path / "into"
    into.mkdir()
    real = placing.Placing.create
    # As on a file system that folds case: the second name is that of the first file.
    monkeypatch.setattr(placing.Placing, "create", lambda self, found: real(self, found._replace(name="a")))
    found = of(base, into=str(into))
    assert (paths(found), refusals(found)[0]["path"]) == (["results/a"], "results/b")


def test_the_word_send_answers_one_line_with_a_stream_and_keeps_the_fence(cell):
    put(cell.case_dir / "work" / "results" / "a")
    cell.run["epoch"] = cell.call("lease", action="acquire")["epoch"]

    def word(**more):
        request = {"op": "send", "root": str(cell.root), "run": cell.run, "owner": "tester", **more}
        request["args"] = {"base_rel": "work", "patterns": ["results/"], "algorithms": {"sha256": 1.0}}
        argv = [sys.executable, "-I", "-S", "-E", str(cell.program), "send"]
        line = json.dumps(request).encode() + b"\n"
        return told(subprocess.run(argv, input=line, capture_output=True, check=True, timeout=60).stdout)

    assert paths(word()) == ["results/a"]
    assert word(run={**cell.run, "epoch": 99})[b"X"][0]["kind"] == "lock_held"
    assert word(root=7)[b"X"][0]["kind"] == "protocol_error"


def test_a_run_sends_from_its_case(tmp_path):
    ctx = Context(tmp_path / "root", RunRef("run", "scenario"))
    put(ctx.case_dir / "work" / "results" / "a")
    out = []
    send.stream(ctx, {"base_rel": "work", "patterns": ["*"], "prove": "size"}, lambda piece: out.append(bytes(piece)))
    assert paths(told(b"".join(out))) == ["results/a"]
