# SPDX-License-Identifier: MIT
"""What a node sends is what a receiver puts in place: every name, byte, mode and time, however the stream was cut up."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import staging as places
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.errors import ArtifactError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.receiver import Receiver
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.staging import Staging
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import content, frames_of, sent, stream_of, take

LARGE = frames.SMALL_BYTES + 1
SIZES = [0, 1, 4096, frames.SMALL_BYTES, LARGE, frames.BLOCK_BYTES, 2 * frames.BLOCK_BYTES + 7]
NAME = st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47, 92} & set(name) and name not in (b".", b".."))
TREES = st.dictionaries(
    st.lists(NAME, min_size=1, max_size=3).map(tuple),
    st.tuples(st.sampled_from(SIZES), st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o200, 0o007])),
    max_size=6,
)


def fill(folder, tree):
    """Make the files of a tree below a folder; names that stand in each other's way are left out."""
    dice = random.Random(1)
    for path, (size, mode) in tree.items():
        place = os.path.join(os.fsencode(folder), *path)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "xb") as stream:
                stream.write(dice.randbytes(size))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        os.chmod(place, mode)
        os.utime(place, ns=(1, dice.randrange(10**18)))


def put(folder, **files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def cut(node, staging):
    """Receive the first half of a stream."""
    stream = sent(node)
    with pytest.raises(ArtifactError):
        take(stream[: len(stream) // 2], staging)


@given(
    tree=TREES,
    compress=st.sampled_from(["auto", "always", "never"]),
    prove=st.sampled_from(["full", "size", "off"]),
    step=st.sampled_from([1, 7, 4096, 1 << 20]),
)
@settings(max_examples=40, deadline=None)
def test_every_tree_comes_home_byte_for_byte_b83_b84(tree, compress, prove, step):
    with tempfile.TemporaryDirectory() as folder:
        node, to = Path(folder, "node"), Path(folder, "to")
        node.mkdir()
        fill(node, tree)
        stream = sent(node, compress=compress, prove=prove)
        staging = Staging(Path(folder, ".to"))
        arrived = take(stream, staging, prove, step=max(step, len(stream) // 5000))
        staging.publish(to)
        assert content(to) == content(node)
        for one in arrived.files:
            there, here = os.lstat(node / one.path), os.lstat(to / one.path)
            assert (one.size, one.mtime_ns, one.ctime_ns) == (there.st_size, there.st_mtime_ns, there.st_ctime_ns)
            assert (here.st_mtime_ns, here.st_mode & 0o777) == (there.st_mtime_ns, (there.st_mode & 0o777) | 0o600)
            digest = hashlib.sha256((node / one.path).read_bytes()).hexdigest()
            assert one.digest == (digest if prove == "full" else "")
        assert [path.name for path in Path(folder).iterdir() if path.name.startswith(".")] == []


def test_what_is_here_already_is_not_sent_again(node, staging):
    put(node, a=b"1", b=b"2" * LARGE, c=b"3")
    first = take(sent(node), staging)
    put(node, c=b"4")
    again = sent(node, have=[list(one) for one in first.files])
    arrived = take(again, staging, have=first.files)
    assert [kind for kind, _, _ in frames_of(again)] == [b"P", b"S", b"B", b"Z"]
    assert (arrived.stats.same, arrived.stats.raw, [one.path for one in arrived.files]) == (2, 1, ["a", "b", "c"])
    assert content(staging.folder) == content(node)


def test_a_file_that_was_not_proved_is_sent_again_where_all_is_to_be_proved(node, staging):
    put(node, a=b"1")
    first = take(sent(node, prove="size"), staging, prove="size")
    assert take(sent(node, have=[list(one) for one in first.files]), staging, have=first.files).stats.raw == 1


def test_what_the_node_has_no_more_goes_from_the_staging_folder(node, staging):
    put(node, a=b"1", b=b"2")
    first = take(sent(node), staging)
    (node / "a").unlink()
    arrived = take(sent(node, have=[list(one) for one in first.files]), staging, have=first.files)
    assert ([one.path for one in arrived.files], content(staging.folder)) == (["b"], {b"b": b"2"})


@pytest.mark.parametrize("at_most", [1, 10, LARGE, 1 << 20])
def test_a_stream_of_bounded_length_is_gone_on_with_until_all_is_here(node, staging, at_most):
    put(node, a=b"1" * 9, b=random.Random(1).randbytes(2 * LARGE), c=b"3", d=b"")
    if at_most < 100:
        (node / "b").write_bytes(b"b" * 30)
    (node / "link").symlink_to("a")
    for _ in range(99):
        have = list(staging.proved.values())
        more = {
            "have": [list(one) for one in have],
            "partial": staging.partial,
            "at_most": at_most,
            "patterns": ["", "x"],
        }
        arrived = take(sent(node, **more), staging, have=have)
        assert arrived.stats.raw <= max(at_most, 30)
        if not arrived.more:
            break
    assert not arrived.more
    assert ([one["path"] for one in arrived.refused], arrived.missing) == (["link"], ("x",))
    (node / "link").unlink()
    assert content(staging.folder) == content(node)
    assert {one.path: one.digest for one in arrived.files} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in node.iterdir()
    }


@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_f20_a_stream_that_is_cut_goes_on_where_it_was(node, staging, part):
    put(node, a=b"1" * 99, b=random.Random(1).randbytes(5 * frames.BLOCK_BYTES + 11), c=b"3")
    stream = sent(node)
    cut = int(len(stream) * part)
    with pytest.raises(ArtifactError, match=f"broke off after {cut} bytes") as caught:
        take(stream[:cut], staging)
    assert caught.value.kind == "transfer_failed"
    have = list(staging.proved.values())
    held = (staging.partial or {"offset": 0})["offset"]
    again = sent(node, have=[list(one) for one in have], partial=staging.partial)
    arrived = take(again, staging, have=have)
    assert arrived.stats.raw == sum(path.stat().st_size for path in node.iterdir()) - sum(x.size for x in have) - held
    assert held % frames.BLOCK_BYTES == 0 and held >= cut - 2 * frames.BLOCK_BYTES
    assert content(staging.folder) == content(node)


def test_f20_a_file_that_is_written_past_the_page_cache_goes_on_and_is_proved(node, staging, monkeypatch):
    monkeypatch.setattr(places, "DIRECT_BYTES", 1)
    put(node, b=random.Random(1).randbytes(4 * frames.BLOCK_BYTES))
    cut(node, staging)
    arrived = take(sent(node, partial=staging.partial), staging)
    assert 0 < arrived.stats.raw < 4 * frames.BLOCK_BYTES
    assert content(staging.folder) == content(node)


def test_a_file_that_changed_since_it_was_cut_comes_whole(node, staging):
    put(node, b=b"1" * (3 * frames.BLOCK_BYTES))
    cut(node, staging)
    assert staging.partial
    put(node, b=b"2" * (3 * frames.BLOCK_BYTES))
    take(sent(node, partial=staging.partial), staging)
    assert content(staging.folder) == content(node)


def test_f21_what_was_held_of_a_cut_file_is_proved_with_the_rest(node, staging):
    put(node, b=b"1" * (3 * frames.BLOCK_BYTES))
    cut(node, staging)
    with open(staging.folder / "b", "r+b") as held:
        held.write(b"x")
    with pytest.raises(ArtifactError) as caught:
        take(sent(node, partial=staging.partial), staging)
    assert (caught.value.kind, caught.value.paths, staging.partial) == ("artifact_corrupt", ("b",), None)
    assert content(staging.folder) == {}


def test_what_an_earlier_process_has_left_is_taken_up_and_the_rest_removed(node, tmp_path):
    put(node, **{"d/a": b"1", "d/b": b"2", "e": b"3" * (3 * frames.BLOCK_BYTES)})
    first = Staging(tmp_path / ".s")
    cut(node, first)
    first.close()
    put(tmp_path / ".s", **{"x/y": b"foreign"})
    (tmp_path / ".s" / "link").symlink_to(node)
    (tmp_path / ".s" / "d" / "b").write_bytes(b"longer than it was")
    second = Staging(tmp_path / ".s", first.proved.values(), first.partial)
    assert (set(second.proved), second.partial) == ({"d/a"}, first.partial)
    assert set(content(tmp_path / ".s")) == {b"d/a", b"e"}
    have = list(second.proved.values())
    take(sent(node, have=[list(one) for one in have], partial=second.partial), second, have=have)
    second.publish(tmp_path / "to")
    assert content(tmp_path / "to") == content(node)


def test_on_the_same_machine_the_node_puts_files_in_place_itself(node, staging):
    put(node, **{"d/a": b"1", "d/b": random.Random(1).randbytes(2 * LARGE), "e": b""})
    (node / "d" / "a").chmod(0o755)
    (staging.folder / "d").mkdir()
    (staging.folder / "d" / "a").write_bytes(b"what a killed transfer has left")
    stream = sent(node, into=str(staging.folder))
    assert len(stream) < 2000
    arrived = take(stream, staging, placed=True)
    assert content(staging.folder) == content(node)
    here, there = (staging.folder / "d" / "a").stat(), (node / "d" / "a").stat()
    assert (here.st_mode, here.st_mtime_ns) == (there.st_mode, there.st_mtime_ns)
    assert here.st_ino != there.st_ino
    assert arrived.files[0].digest == hashlib.sha256(b"1").hexdigest()


def test_a_second_collection_adds_to_the_first(node, tmp_path):
    for name in "ab":
        put(node, **{f"d/{name}": name.encode()})
        staging = Staging(tmp_path / ".s")
        take(sent(node, patterns=[f"d/{name}"]), staging)
        staging.publish(tmp_path / "to")
    assert content(tmp_path / "to") == {b"d/a": b"a", b"d/b": b"b"}


def test_b81_a_link_in_the_destination_is_not_followed(node, tmp_path):
    put(node, **{"d/a": b"1"})
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "d").symlink_to(outside)
    staging = Staging(tmp_path / ".s")
    take(sent(node), staging)
    with pytest.raises(OSError):
        staging.publish(tmp_path / "to")
    assert list(outside.iterdir()) == []


def test_room_is_asked_for_before_any_contents_come(node, staging):
    put(node, a=b"1" * 1000, b=b"2")
    seen = []

    def room(size):
        seen.append(size)
        raise ArtifactError("disk_full", "no", [])

    receiver = Receiver(staging, "full", room, [])
    with pytest.raises(ArtifactError, match="no"):
        receiver.feed(sent(node))
    assert (seen, content(staging.folder)) == ([1001], {})


def test_a_stream_can_be_put_together_from_its_frames(node):
    put(node, a=b"1", b=b"2" * LARGE)
    stream = sent(node)
    assert stream_of(frames_of(stream)) == stream
