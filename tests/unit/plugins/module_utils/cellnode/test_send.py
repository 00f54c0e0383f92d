# SPDX-License-Identifier: MIT
"""What a node sends: each file as it was when the walk saw it, or refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import zlib

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames, placing, send, sending, walk
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from streams import frames_of, sent

LARGE = frames.SMALL_BYTES + 1


def put(path, data=b"x", mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.fixture
def base(tmp_path):
    """A folder with the artifacts of a test below `results`."""
    path = tmp_path / "base"
    (path / "results").mkdir(parents=True)
    return path


def told(stream):
    """Return {kind: values of its frames}: JSON is decoded, a bundle is its head."""
    found = {}
    for kind, _, payload in frames_of(stream):
        found.setdefault(kind, []).append(payload if kind == frames.DATA else json.loads(_json(kind, payload)))
    return found


def _json(kind, payload):
    """Return the part of a payload that is JSON."""
    length = frames.HEAD_LENGTH.unpack_from(payload)[0] if kind == frames.BUNDLE else 0
    return payload[4 : 4 + length] if kind == frames.BUNDLE else payload


def of(base, *patterns, **args):
    return told(sent(base, patterns=list(patterns) or ["results/"], **args))


def paths(found):
    """Return the paths of all files that came whole."""
    return [row[0] for head in found.get(frames.BUNDLE, []) for row in head]


def refusals(found):
    return [one for rows in found.get(frames.REFUSED, []) for one in rows]


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


def test_pattern_without_a_file_is_missing_b88(base):
    put(base / "results" / "x")
    assert of(base, "results/", "nothing.json", "*.csv")[b"M"] == [["nothing.json", "*.csv"]]


def test_absent_base_has_no_files(base):
    found = of(base / "nowhere")
    assert (found[b"P"][0]["files"], found[b"M"], found[b"Z"][0]["files"]) == (0, [["results/"]], 0)


def test_base_that_is_a_link_is_an_error_b81(base, tmp_path):
    (tmp_path / "linked").symlink_to(base)
    assert of(tmp_path / "linked")[b"X"][0]["kind"] == "artifact_unsafe_path"


def _socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def _hard_link(path):
    put(path.parents[2] / "outside")
    os.link(path.parents[2] / "outside", path)


UNSAFE = {
    "B80-backslash": (lambda path: put(path.with_name("x\\y")), "backslash"),
    "B81-link-out": (lambda path: path.symlink_to("/etc/passwd"), "symbolic link to '/etc/passwd'"),
    "B81-link-chain": (lambda path: path.symlink_to("../y"), "symbolic link to '../y'"),
    "B81-link-to-a-folder": (lambda path: path.symlink_to("/etc"), "symbolic link to '/etc'"),
    "B81-loop": (lambda path: path.symlink_to("x"), "symbolic link to 'x'"),
    "B81-hard-link-out": (_hard_link, "1 of its 2 names are elsewhere"),
    "B82-fifo": (os.mkfifo, "a fifo"),
    "B82-socket": (_socket, "a socket"),
    "B82-setuid": (lambda path: put(path, b"", 0o4755), "setuid"),
    "B82-setgid": (lambda path: put(path, b"", 0o2755), "setgid"),
}


@pytest.mark.parametrize("row", UNSAFE)
def test_what_is_no_plain_file_is_refused_by_name_and_the_others_are_sent(base, row, monkeypatch):
    make, word = UNSAFE[row]
    put(base / "results" / "good")
    monkeypatch.chdir(base)
    make(base / "results" / "x")
    found = of(base)
    (refused,) = refusals(found)
    assert paths(found) == ["results/good"]
    assert (refused["path"][:9], refused["kind"]) == ("results/x", "artifact_unsafe_path")
    assert word in refused["why"]


def test_hard_links_that_are_all_artifacts_are_sent(base):
    put(base / "results" / "a")
    os.link(base / "results" / "a", base / "results" / "b")
    assert paths(of(base)) == ["results/a", "results/b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted")
def test_mount_point_is_not_entered_b86(base):
    (base / "results" / "mounted").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", base / "results" / "mounted"], check=False).returncode:
        pytest.skip("mounts are not allowed here")
    try:
        put(base / "results" / "mounted" / "x")
        put(base / "results" / "good")
        found = of(base)
    finally:
        subprocess.run(["umount", base / "results" / "mounted"], check=True)
    assert (paths(found), refusals(found)[0]["why"]) == (["results/good"], "it is a mount point")


def test_limits_are_told_with_figures_and_what_fits_is_sent_b82(base):
    for name in "abcd":
        put(base / "results" / name, b"12345")
    found = of(base, max_files=3)
    assert (len(paths(found)), "limit of 3 files; 1 more" in refusals(found)[0]["why"]) == (3, True)
    found = of(base, max_bytes=12)
    assert paths(found) == ["results/a", "results/b"]
    assert "5 bytes with 10 before it are over the limit of 12 bytes" in refusals(found)[0]["why"]
    assert {one["kind"] for one in refusals(found)} == {"artifact_too_large"}


def test_sparse_terabyte_is_refused_without_reading_it_b82(base):
    os.truncate(put(base / "results" / "sparse"), 1 << 40)
    assert str(1 << 40) in refusals(of(base))[0]["why"]


def test_deep_tree_is_refused_and_not_a_crash_b82(base):
    deep = base.joinpath("results", *"d" * (walk.MAX_DEPTH + 3))
    put(deep / "x")
    assert "64 folders deep" in refusals(of(base))[0]["why"]


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


def grow(path):
    with path.open("ab") as stream:
        stream.write(b"more")


def replace(make):
    def change(path):
        path.unlink()
        make(path)

    return change


CHANGES = {
    "F22-B85-grows": grow,
    "F22-B85-shrinks": lambda path: os.truncate(path, 1),
    "F22-B85-vanishes": lambda path: path.unlink(),
    "F22-touched": lambda path: os.utime(path, (1, 1)),
    "F22-renamed": lambda path: path.rename(path.with_name("elsewhere")),
    "F22-another-file": replace(lambda path: path.write_bytes(b"y" * 9)),
    "F22-link": replace(lambda path: path.symlink_to("/etc/passwd")),
    "F22-folder": replace(lambda path: path.mkdir()),
    "F22-fifo": replace(os.mkfifo),
    "F22-setuid": lambda path: path.chmod(0o4755),
    "F22-hard-link": lambda path: os.link(path, path.parents[1] / "second-name"),
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


WHILE_READ = ["F22-B85-grows", "F22-B85-shrinks", "F22-touched", "F22-setuid", "F22-hard-link"]


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
    monkeypatch.setattr(sending.Sending, "run", lambda self, *given: (grow(path), real(self, *given)))
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


def test_a_reader_that_is_gone_ends_the_work(base):
    put(base / "results" / "a")

    def write(piece):
        if len(piece) > 5:
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        send.stream(Context(base), {"base": str(base), "patterns": [""], "algorithms": {"sha256": 1.0}}, write)


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
