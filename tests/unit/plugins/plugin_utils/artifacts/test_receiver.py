# SPDX-License-Identifier: MIT
"""What no node of ours sends: each is refused by name, and nothing of it is ever in place or outside."""

from __future__ import annotations

import hashlib
import json
import os
import zlib

import odd
import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import staging as places
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.errors import ArtifactError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.frames import Entry
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.receiver import Receiver
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.staging import Staging
from small_disk import small_disk
from streams import content, stream_of, take

MIB = 1 << 20


def row(path, data=b"x", mode=0o644):
    return [path, len(data), mode, 5, 6, hashlib.sha256(data).hexdigest()]


def value(kind, content, flags=0):
    return kind, flags, frames.packed(content)


def plan(files=9, size=9 * MIB, algorithm="sha256", **more):
    return value(frames.PLAN, {"files": files, "bytes": size, "algorithm": algorithm, "same": 0, **more})


def bundle(*rows, data=b"x", flags=0):
    head = frames.packed(list(rows))
    return frames.BUNDLE, flags, frames.HEAD_LENGTH.pack(len(head)) + head + data


def begin(path="big", size=2, offset=0):
    return value(frames.BEGIN, [path, size, 0o644, 5, 6, offset])


def data(content, flags=0):
    return frames.DATA, flags, content


def file_end(content):
    return value(frames.FILE_END, {"digest": hashlib.sha256(content).hexdigest()})


def end(*rows, **more):
    manifest = hashlib.sha256(frames.lines_of(rows)).hexdigest()
    sums = {"files": len(rows), "bytes": sum(one[1] for one in rows), "manifest": manifest}
    return value(frames.END, {**sums, "more": False, "sent": 1, "raw": sums["bytes"], "seconds": 0.1, **more})


def made(parts):
    """Return the stream of these frames, of which the last one vouches for what is told."""
    told, whole = hashlib.sha256(), []
    for kind, flags, payload in parts:
        if kind in (frames.PLAN, frames.REFUSED, frames.MISSING, frames.END):
            told.update(payload)
        vouched = {"check": told.hexdigest(), **json.loads(payload)} if kind == frames.END else {}
        check = vouched.pop("check", "")
        whole.append((kind, flags, frames.packed({**vouched, "check": check}) if vouched else payload))
    return stream_of(whole)


def refused(parts, staging, **given):
    """Return what a stream of these frames raises; nothing of it is staged but what was proved before."""
    with pytest.raises(ArtifactError) as caught:
        take(made(parts), staging, **given)
    return caught.value


def test_a_stream_made_by_hand_is_taken(staging):
    parts = [plan(), bundle(row("a")), begin(), data(b"12"), file_end(b"12"), end(row("a"), row("big", b"12"))]
    assert [one.path for one in take(made(parts), staging).files] == ["a", "big"]
    assert content(staging.folder) == {b"a": b"x", b"big": b"12"}


WHOLE = [plan(), bundle(row("a")), begin(), data(b"1"), data(b"2"), file_end(b"12")]


@pytest.mark.parametrize("count", range(len(WHOLE) + 1))
def test_f20_a_stream_that_is_cut_between_two_frames_is_no_whole_one(staging, count):
    exc = refused(WHOLE[:count], staging)
    assert (exc.kind, set(staging.proved)) == (
        "transfer_failed",
        {"a", "big"} if count > 5 else {"a"} if count > 1 else set(),
    )
    assert (staging.partial or {}).get("offset") == {3: 0, 4: 1, 5: 2}.get(count)


UNSAFE = (*odd.UNSAFE, *odd.UNMADE)


@pytest.mark.parametrize("path", UNSAFE, ids=[f"B80-{number}" for number in range(len(UNSAFE))])
@pytest.mark.parametrize("large", [False, True], ids=["bundle", "file"])
def test_b80_a_path_that_could_leave_the_folder_is_refused(staging, tmp_path, path, large):
    if large:
        parts = [plan(), begin(path), data(b"12"), value(frames.FILE_END, {"digest": ""})]
    else:
        packed = json.dumps([row("PATH")]).replace('"PATH"', json.dumps(path)).encode()
        parts = [plan(), (frames.BUNDLE, 0, frames.HEAD_LENGTH.pack(len(packed)) + packed + b"x")]
    exc = refused(parts, staging)
    assert (exc.kind, exc.paths) == ("artifact_unsafe_path", (path,))
    assert content(tmp_path) == {}
    assert [one.name for one in tmp_path.iterdir()] != [] and list(staging.folder.iterdir()) == []


@pytest.mark.parametrize("path", odd.NAMES.values(), ids=odd.NAMES)
def test_b84_odd_names_are_byte_exact(staging, path):
    head = [row(path)]
    raw = b"".join(f"{path}\0".encode("utf-8", "surrogateescape") for _ in "1")
    assert frames.lines_of(head).startswith(raw)
    take(made([plan(), bundle(*head), end(*head)]), staging)
    assert content(staging.folder) == {os.fsencode(path): b"x"}


def test_b81_a_file_through_a_link_or_another_file_is_refused(staging, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (staging.folder / "link").symlink_to(outside)
    (staging.folder / "name").symlink_to(outside / "made")
    assert refused([plan(), bundle(row("link/x"))], staging).kind == "artifact_unsafe_path"
    assert refused([plan(), bundle(row("a"), row("a/b"), data=b"xx")], staging).kind == "artifact_unsafe_path"
    got = take(made([plan(), bundle(row("name")), end(row("name"))]), staging)
    assert [(one["path"], one["kind"]) for one in got.refused] == [("name", "artifact_unsafe_path")]
    assert list(outside.iterdir()) == []


def test_b82_setuid_does_not_come_and_the_owner_can_always_read_and_write(staging):
    rows = [row("s", mode=0o4755), row("g", mode=0o2711), row("t", mode=0o1777), row("n", mode=0)]
    take(made([plan(), bundle(*rows, data=b"xxxx"), end(*rows)]), staging)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in staging.folder.iterdir()}
    assert modes == {"s": 0o755, "g": 0o711, "t": 0o777, "n": 0o600}


def test_b83_a_name_that_is_taken_is_refused_by_name(staging):
    """A file system that folds case answers as one on which the name is taken: with EEXIST."""
    for name in ("a", "b"):
        (staging.folder / name).write_bytes(b"of somebody else")
    rows = [row("a"), row("c"), row("b", b"12")]
    parts = [plan(), bundle(*rows[:2], data=b"xx"), begin("b"), data(b"12"), file_end(b"12"), end(*rows)]
    got = take(made(parts), staging)
    assert ([one["path"] for one in got.refused], [one.path for one in got.files]) == (["a", "b"], ["c"])
    assert content(staging.folder)[b"a"] == content(staging.folder)[b"b"] == b"of somebody else"


A = row("a")
BOMB = zlib.compress(bytes(64 * MIB), 9)
CORRUPT = {
    "B87-no-plan": [bundle(A), end(A)],
    "B87-two-plans": [plan(), plan(), end()],
    "B87-plan-is-no-object": [value(frames.PLAN, [1])],
    "B87-plan-without-figures": [value(frames.PLAN, {"algorithm": "sha256"})],
    "B82-plan-of-2-million-files": [plan(files=2_000_000)],
    "B87-plan-without-digests": [plan(algorithm="none")],
    "B87-unknown-digest": [plan(algorithm="md5")],
    "B87-more-files-than-planned": [plan(files=0), bundle(A), end(A)],
    "B82-more-bytes-than-planned": [plan(size=0), bundle(A), end(A)],
    "B82-more-bytes-than-planned-in-a-file": [plan(size=1), begin(), data(b"12")],
    "B87-wrong-digest": [plan(), bundle(A, data=b"y"), end(A)],
    "B87-digest-of-a-file-is-wrong": [plan(), begin(), data(b"12"), file_end(b"21")],
    "B87-no-digest": [plan(), bundle([*A[:5], ""]), end([*A[:5], ""])],
    "B87-wrong-size": [plan(), bundle(["a", 2, *A[2:]]), end(A)],
    "B87-negative-size": [plan(), bundle(["a", -1, *A[2:]]), end(A)],
    "B87-file-is-shorter": [plan(), begin(size=3), data(b"12"), file_end(b"12")],
    "B87-file-is-longer": [plan(), begin(size=1), data(b"12"), file_end(b"12")],
    "B87-extra-entry": [plan(), bundle(A), end(A, row("b"))],
    "B87-entry-is-left-out": [plan(), bundle(A, row("b"), data=b"xx"), end(A)],
    "B87-altered-manifest": [plan(), bundle(A), end(A, manifest="0" * 64)],
    "B87-altered-count": [plan(), bundle(A), end(A, files=2)],
    "B87-altered-bytes": [plan(), bundle(A), end(A, bytes=2)],
    "B87-altered-count-of-contents": [plan(), bundle(A), end(A, raw=2)],
    "B87-altered-plan": [plan(), bundle(A), (b"Z", 0, json.dumps({**json.loads(end(A)[2]), "check": "0"}).encode())],
    "B87-end-after-more-seconds-than-a-number-holds": [plan(), bundle(A), end(A, seconds=10**400)],
    "B87-end-after-no-number-of-seconds": [plan(), bundle(A), end(A, seconds=float("nan"))],
    "B87-end-without-figures": [plan(), value(frames.END, {})],
    "B87-same-path-twice": [plan(), bundle(A, A, data=b"xx"), end(A, A)],
    "B87-file-and-bundle-have-one-path": [plan(), bundle(row("big")), begin(), end()],
    "B87-file-within-a-file": [plan(), begin(), begin("other")],
    "B87-bundle-within-a-file": [plan(), begin(), bundle(A)],
    "B87-data-outside-of-a-file": [plan(), data(b"12")],
    "B87-end-of-no-file": [plan(), file_end(b"")],
    "B87-end-within-a-file": [plan(), begin(), data(b"1"), end()],
    "B87-frame-behind-the-end": [plan(), end(), end()],
    "B87-same-that-is-not-here": [plan(), value(frames.SAME, [A]), end(A)],
    "B87-goes-on-with-nothing": [plan(), begin(offset=1), data(b"2"), file_end(b"12")],
    "B87-empty-block": [plan(), begin(), data(b"")],
    "B87-placed-without-an-order": [plan(), bundle(A, data=b"", flags=frames.PLACED), end(A)],
    "B87-entry-is-no-list": [plan(), bundle({"path": "a"}), end()],
    "B87-entry-of-five": [plan(), bundle(A[:5]), end()],
    "B87-size-is-true": [plan(), bundle(["a", True, *A[2:]]), end()],
    "B87-digest-is-no-hex": [plan(), value(frames.SAME, [[*A[:5], "\ud800"]])],
    "B87-digest-of-a-bundle-is-no-hex": [plan(), bundle([*A[:5], "\ud800"])],
    "B87-path-is-a-number": [plan(), bundle([1, *A[1:]]), end()],
    "B87-begin-of-nothing": [plan(), value(frames.BEGIN, [])],
    "B87-head-is-longer-than-the-bundle": [plan(), (frames.BUNDLE, 0, frames.HEAD_LENGTH.pack(99) + b"[]")],
    "B87-bundle-without-a-head": [plan(), (frames.BUNDLE, 0, b"12")],
    "B87-not-JSON": [plan(), (frames.SAME, 0, b"[")],
    "B87-not-ASCII": [plan(), (frames.SAME, 0, b'["\xff"]')],
    "B87-refused-of-another-form": [plan(), value(frames.REFUSED, [{"path": 1}])],
    "B87-missing-of-another-form": [plan(), value(frames.MISSING, [1])],
    "B89-nested": [plan(), (frames.SAME, 0, b"[" * 200_000)],
    "B87-unknown-kind": [plan(), (b"Q", 0, b"")],
    "B87-unknown-flag": [plan(), bundle(A, flags=8)],
    "B87-flag-of-another-kind": [plan(), (frames.SAME, frames.ZLIB, b"[]")],
    "B92-bomb-in-a-block": [plan(), begin(size=64 * MIB), data(BOMB, frames.ZLIB)],
    "B92-bomb-in-a-bundle": [plan(), bundle(A, data=BOMB, flags=frames.ZLIB)],
    "B92-lying-size": [plan(), bundle(A, data=zlib.compress(b"xy"), flags=frames.ZLIB)],
    "B92-half-of-a-zlib-stream": [plan(), begin(), data(zlib.compress(b"12")[:-1], frames.ZLIB)],
    "B92-bytes-behind-a-zlib-stream": [plan(), begin(), data(zlib.compress(b"12") + b"0", frames.ZLIB)],
    "B92-no-zlib-stream": [plan(), begin(), data(b"12", frames.ZLIB)],
    "B92-block-over-its-limit": [plan(), begin(size=2 * MIB), data(bytes(MIB + 1))],
    "B92-bundle-over-its-limit": [plan(), bundle(row("a", bytes(MIB + 1)), data=bytes(MIB + 1))],
}  # fmt: skip


@pytest.mark.parametrize("case", CORRUPT)
def test_a_stream_that_no_node_sends_is_refused(staging, case):
    assert refused(CORRUPT[case], staging).kind == "artifact_corrupt"
    assert content(staging.folder).keys() <= {b"a", b"big", b"b"} - ({b"a"} if "digest" in case else set())
    assert all(hashlib.sha256(content(staging.folder)[os.fsencode(path)]).hexdigest() == one.digest
               for path, one in staging.proved.items())  # fmt: skip


def test_b92_a_frame_that_says_4_gib_is_refused_before_it_comes(staging):
    stream = stream_of([plan()]) + frames.HEADER.pack(frames.DATA, 0, (1 << 32) - 1)
    with pytest.raises(ArtifactError, match="over the limit of 2097152"):
        take(stream, staging)


@pytest.mark.parametrize("beginning", [b"TCS2\n", b"Last login: today\n"], ids=["other-version", "words-of-a-shell"])
def test_what_is_no_stream_is_refused(staging, beginning):
    with pytest.raises(ArtifactError, match="begins with"):
        take(beginning + b"1234567890", staging)


def test_bytes_behind_the_end_are_refused(staging):
    with pytest.raises(ArtifactError, match="behind the end"):
        take(made([plan(), end()]) + b"x", staging)


def test_what_the_node_says_that_failed_is_raised_as_its_kind(staging):
    error = {"kind": "disk_full", "message": "no room", "detail": {}}
    exc = refused([plan(), begin(), data(b"1"), value(frames.ERROR, error)], staging)
    assert (exc.kind, str(exc)) == ("disk_full", "the node says: no room")
    assert staging.partial == {"path": "big", "size": 2, "mtime_ns": 5, "ctime_ns": 6, "offset": 1}


def test_f22_a_file_that_changed_on_the_node_is_dropped_and_the_others_come(staging):
    changed = value(frames.FILE_END, {"changed": "it grew"})
    parts = [
        plan(),
        begin(),
        data(b"1"),
        changed,
        bundle(A),
        value(frames.REFUSED, [dict.fromkeys(("path", "kind", "why"), "big")]),
        end(A, raw=2),
    ]
    got = take(made(parts), staging)
    assert ([one.path for one in got.files], got.refused[0]["path"]) == (["a"], "big")
    assert content(staging.folder) == {b"a": b"x"}


def test_b87_a_placed_file_must_be_there_with_its_size(staging):
    (staging.folder / "a").write_bytes(b"xy")
    (staging.folder / "b").symlink_to("/etc/passwd")
    for path in ("a", "b"):
        placed = [plan(), bundle(row(path), data=b"", flags=frames.PLACED), end(row(path))]
        with pytest.raises(ArtifactError):
            take(made(placed), staging, placed=True)
    assert staging.proved == {}


def test_missing_patterns_and_refusals_are_handed_on(staging):
    said = [{"path": "l", "kind": "artifact_unsafe_path", "why": "a link", "more": 1}]
    got = take(made([plan(), value(frames.REFUSED, said), value(frames.MISSING, ["x"]), end()]), staging)
    assert (got.refused, got.missing) == (({"path": "l", "kind": "artifact_unsafe_path", "why": "a link"},), ("x",))


@pytest.mark.parametrize("large", [False, True], ids=["bundle", "file"])
def test_f28_a_full_disk_is_told_by_its_kind(tmp_path, large):
    with small_disk(tmp_path / "small", "64k") as place:
        staging = Staging(place / "s")
        content = os.urandom(128 << 10)
        block = [begin(size=len(content)), data(content), file_end(content)]
        parts = [plan(), *(block if large else [bundle(row("a", content), data=content)]), end()]
        exc = refused(parts, staging)
        staging.close()
        assert (exc.kind, str(staging.folder) in str(exc), staging.proved) == ("disk_full", True, {})


def test_a_file_system_that_writes_past_its_cache_only_now_and_then_is_written_to(tmp_path, monkeypatch):
    """Direct writes are refused by some file systems when the descriptor is set, by others when it is written."""
    real, refusals = os.pwrite, []

    def pwrite(fd, block, at):
        if os.O_DIRECT & places.fcntl.fcntl(fd, places.fcntl.F_GETFL):
            refusals.append(at)
            raise OSError(22, "Invalid argument")
        return real(fd, block, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(places, "DIRECT_BYTES", 1)
    staging, one = Staging(tmp_path / "s"), Entry("a", 4096, 0o644, 1, 1, "")
    large = staging.begin(one)
    large.write(memoryview(bytes(4096)))
    staging.end(large, one)
    staging.close()
    assert (content(tmp_path / "s"), refusals) == ({b"a": bytes(4096)}, [0])


def test_a_receiver_needs_no_more_than_its_stream(staging):
    receiver = Receiver(staging, "full", lambda size: None, [])
    for byte in made([plan(), bundle(A), end(A)]):
        assert not receiver.ended
        receiver.feed(bytes([byte]))
    assert receiver.ended
