# SPDX-License-Identifier: MIT
"""Files of a real node program come home: proved, all or nothing, gone on with where they were cut, and never wrong."""

from __future__ import annotations

import hashlib
import json
import os
import random
import tempfile
from pathlib import Path

import odd
import pytest
import streams
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import bring as bringing
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import transfer as transfers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.bring import Bringing
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.policy import Pace, Policy
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.transfer import Transfer, Wanted
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from served import Served
from ways import Scripted, Way

RUN = {"id": "20260102_030405", "scenario": "s", "case": "", "attempt": 1}
TRANSFERS = 1000
SPEEDS = {"sha256": 100.0}
PACE = Pace(lambda _pause_s: None)
LARGE = 3_000_000


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node: (program, its case's folder)."""
    root = tmp_path_factory.mktemp("node")
    root.chmod(0o700)
    program = root / "cellnode.pyz"
    program.write_bytes(package.build("cellnode").content)
    case = root / "runs" / RUN["id"] / "s" / "a1"
    case.mkdir(parents=True)
    served = Served(program, {"root": str(root), "run": RUN, "owner": "tester", "engine": False})
    yield served, case
    served.close()


@pytest.fixture
def way(node):
    return Way(node[0])


@pytest.fixture
def put(node):
    """Return a function that makes the files of a folder of the case, and none besides."""

    def make(folder, content):
        base = node[1] / folder
        if base.exists():
            base.rename(base.with_name(f"old{os.urandom(4).hex()}"))
        base.mkdir()
        for path, data in content.items():
            target = os.path.join(os.fsencode(base), os.fsencode(path))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as stream:
                stream.write(data)
        return base

    return make


def wanted(destination, base="work", **changes):
    known = {"patterns": ("**",), "max_files": 2000, "max_bytes": 1 << 30}
    return Wanted(destination, {"base_rel": base}, **{**known, **changes})


def bring(way, *wishes, first=(), **policy):
    found = [Transfer(wish, Policy(**policy), SPEEDS) for wish in wishes]
    return Bringing(way, Policy(**policy), PACE).bring(found, first)


def failure(brought):
    (found,) = brought.failures
    return found


CONTENT = {"a": b"0123456789", "d/b": b"", "d/e/f": bytes(300_000), "g": bytes(range(256)) * 5000}


def test_files_arrive_whole_and_proved_with_mode_and_time(way, put, tmp_path):
    base = put("work", CONTENT)
    (base / "a").chmod(0o750)
    os.utime(base / "a", ns=(5, 1_234_567_890_123_456_789))
    brought = bring(way, wanted(tmp_path / "to"))
    assert brought.failures == []
    assert streams.content(tmp_path / "to") == {os.fsencode(path): data for path, data in CONTENT.items()}
    listed = {entry["path"]: entry for entry in brought.fetched[0].listed}
    assert {path: (entry["size"], entry["digest"]) for path, entry in listed.items()} == {
        path: (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}") for path, data in CONTENT.items()
    }
    here = (tmp_path / "to" / "a").stat()
    assert (listed["a"]["mode"], here.st_mode & 0o7777, here.st_mtime_ns) == (0o750, 0o750, 1_234_567_890_123_456_789)
    assert [path.name for path in tmp_path.iterdir()] == ["to"]


def test_b84_every_name_that_a_file_can_have_comes_byte_by_byte(way, put, tmp_path):
    put("work", {name: os.fsencode(name) for name in odd.NAMES.values()})
    assert bring(way, wanted(tmp_path / "to")).failures == []
    assert streams.content(tmp_path / "to") == {os.fsencode(name): os.fsencode(name) for name in odd.NAMES.values()}


def test_a_second_collection_adds_to_the_first(way, put, tmp_path):
    for content in ({"a": b"1", "d/x": b"1"}, {"b": b"2", "d/y": b"2"}):
        put("work", content)
        assert bring(way, wanted(tmp_path / "to")).failures == []
    assert streams.content(tmp_path / "to") == {b"a": b"1", b"d/x": b"1", b"b": b"2", b"d/y": b"2"}


def test_what_is_small_comes_in_one_exchange_with_what_else_is_asked(way, put, tmp_path):
    put("work", {"a": b"1"})
    put("evidence", {"services/b": b"2", "state.json": b"{}"})

    def place(path):
        return path if path.startswith("services/") else f"evidence/{path}"

    wishes = [wanted(tmp_path / "one", "evidence", place=place), wanted(tmp_path / "two")]
    brought = bring(way, *wishes, first=[("where", {})])
    assert brought.failures == [] and brought.answers[0]["case_dir"]
    assert [[op for op, _ in exchange] for exchange in way.asked] == [["where", "send", "send"]]
    assert streams.content(tmp_path / "one") == {b"services/b": b"2", b"evidence/state.json": b"{}"}
    assert [entry.path for entry in brought.fetched[0].files] == ["services/b", "evidence/state.json"]
    assert streams.content(tmp_path / "two") == {b"a": b"1"}
    assert (brought.report["files"], brought.report["carrier"], brought.report["retries"]) == (3, "link", 0)


def test_what_is_large_comes_in_pieces_where_only_whole_commands_can_be_run(way, put, tmp_path, monkeypatch):
    monkeypatch.setattr(bringing, "LINK_BYTES", 400_000)
    monkeypatch.setattr(bringing, "COMMAND_BYTES", 1_000_000)
    content = {"small": b"x", "z": random.Random(1).randbytes(LARGE)}
    (put("work", content) / "link").symlink_to("z")
    brought = bring(way, wanted(tmp_path / "to", patterns=("**", "absent")))
    assert brought.failures == []
    assert streams.content(tmp_path / "to") == {os.fsencode(path): data for path, data in content.items()}
    assert [one["path"] for one in brought.fetched[0].refused] == ["link"]
    assert brought.fetched[0].missing == ("absent",)
    assert len(way.asked) >= 4
    assert brought.report["sent_bytes"] < 1.1 * LARGE, "nothing is sent twice"


def test_b88_what_no_file_matches_is_named(way, put, tmp_path):
    put("work", {"a": b"1"})
    brought = bring(way, wanted(tmp_path / "to", patterns=("a", "absent/*.log")))
    assert brought.fetched[0].missing == ("absent/*.log",) and streams.content(tmp_path / "to") == {b"a": b"1"}


def test_b88_a_folder_that_is_absent_has_no_files(way, tmp_path):
    brought = bring(way, wanted(tmp_path / "to", "never", patterns=("a", "b")))
    assert (brought.failures, brought.fetched[0].missing, brought.fetched[0].files) == ([], ("a", "b"), ())


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_b86_a_file_that_cannot_be_read_is_named_and_the_others_come(way, put, tmp_path):
    base = put("work", {"a": b"1", "b": b"2"})
    (base / "a").chmod(0)
    brought = bring(way, wanted(tmp_path / "to"))
    assert [(one["path"], one["kind"]) for one in brought.fetched[0].refused] == [("a", "privilege")]
    assert streams.content(tmp_path / "to") == {b"b": b"2"}


@pytest.mark.parametrize("kind", odd.KINDS)
def test_what_is_no_artifact_is_refused_and_the_others_come(way, put, tmp_path, monkeypatch, kind):
    base = put("work", {"a": b"1"})
    monkeypatch.chdir(base)
    odd.KINDS[kind][0](base / "x")
    brought = bring(way, wanted(tmp_path / "to"))
    assert [(one["path"], one["kind"]) for one in brought.fetched[0].refused] == [("x", "artifact_unsafe_path")]
    assert streams.content(tmp_path / "to") == {b"a": b"1"}


def test_b82_files_over_the_limits_are_named_with_figures(way, put, tmp_path):
    put("work", {f"f{number}": bytes(10) for number in range(9)})
    brought = bring(way, wanted(tmp_path / "one", max_files=5))
    assert len(brought.fetched[0].files) == 5
    assert [one["why"] for one in brought.fetched[0].refused] == ["over the limit of 5 files; 4 more were left out"]
    brought = bring(way, wanted(tmp_path / "two", max_bytes=35))
    assert len(brought.fetched[0].files) == 3 and "over the limit of 35 bytes" in brought.fetched[0].refused[0]["why"]


# ---- streams that no node sends


def stream_of(*paths, content=b"x"):
    """Return a stream, right in all its figures, with files of these paths, whatever they are."""
    pieces, told = [], hashlib.sha256()
    out = frames.Outlet(lambda data: pieces.append(bytes(data)))
    entries = [[path, len(content), 0o644, 1, 2, hashlib.sha256(content).hexdigest()] for path in paths]
    total = len(content) * len(entries)
    plan = {"files": len(entries), "bytes": total, "algorithm": "sha256", "same": 0}
    out.value(frames.PLAN, plan)
    out.bundle(frames.packed(entries), [content] * len(entries))
    manifest = hashlib.sha256(frames.lines_of(entries)).hexdigest()
    figures = {"files": len(entries), "bytes": total, "manifest": manifest, "more": False}
    last = {**figures, "sent": 0, "raw": total, "seconds": 0.1}
    told.update(frames.packed(plan) + frames.packed(last))
    out.value(frames.END, {**last, "check": told.hexdigest()})
    return b"".join(pieces)


@pytest.mark.parametrize("path", ["../x", "/abs", "a\\b", "n" * 256], ids=["up", "absolute", "backslash", "long"])
def test_b80_a_path_that_could_leave_the_folder_is_refused_and_not_asked_for_again(tmp_path, path):
    (tmp_path / "home").mkdir()
    node = Scripted({"work": stream_of("a", path)})
    found = failure(bring(node, wanted(tmp_path / "home" / "to")))
    assert (found.kind, node.count) == ("artifact_unsafe_path", 1)
    kept = streams.content(tmp_path / "home")
    assert kept == {} and [one.name for one in tmp_path.iterdir()] == ["home"]


def test_b80_a_refused_path_in_one_folder_does_no_harm_to_another(tmp_path):
    node = Scripted({"evidence": stream_of("a"), "work": stream_of("../x")})
    brought = bring(node, wanted(tmp_path / "one", "evidence"), wanted(tmp_path / "two"))
    assert failure(brought).kind == "artifact_unsafe_path"
    assert [one.partial for one in brought.fetched] == [False, True]
    assert streams.content(tmp_path) == {b"one/a": b"x"}


# ---- F21: damage


def flipped(data, dice, least=0, most=None):
    at, bit = dice.randrange(least, most or len(data)), 1 << dice.randrange(8)
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def flip(data, dice, content):
    begin = data.index(content[:16])
    return flipped(data, dice, begin, begin + len(content))


def swap_blocks(data, dice, content):
    begin = data.index(content[:16])
    middle, end = begin + dice.randrange(1, len(content)), begin + len(content)
    return data[:begin] + data[middle:end] + data[begin:middle] + data[end:]


def cut(data, dice, content):
    return data[: dice.randrange(len(data))]


def cut_out(data, dice, content):
    begin = dice.randrange(len(data) - 50)
    return data[:begin] + data[begin + dice.randrange(1, 50) :]


def repeat(data, dice, content):
    begin = dice.randrange(len(data) - 50)
    end = begin + dice.randrange(1, 50)
    return data[:end] + data[begin:end] + data[end:]


def flip_the_head(data, dice, content):
    at = data.index(b'[["x"')
    return flipped(data, dice, at, data.index(content[:16]))


def twice(data, dice, content):
    return data + data


def nothing_at_all(data, dice, content):
    return b""


DAMAGES = [flip, flip, swap_blocks, cut, cut_out, repeat, flip_the_head, twice, flip, nothing_at_all]


@pytest.fixture
def memory(tmp_path):
    """A folder in memory where there is one: syncing a thousand transfers takes a disk half a minute."""
    place = "/dev/shm"
    if not os.access(place, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def test_f21_every_one_of_a_thousand_damaged_transfers_is_found_and_done_again(way, put, memory):
    content = random.Random(7).randbytes(8292)
    put("work", {"x": content})
    found = 0
    for number in range(TRANSFERS):
        damage, dice = DAMAGES[number % len(DAMAGES)], random.Random(number)
        way.streams = 0
        way.spoil = lambda count, data, damage=damage, dice=dice: data if count else damage(data, dice, content)
        brought = bring(way, wanted(memory / "to"))
        assert brought.failures == [], number
        assert (memory / "to" / "x").read_bytes() == content, number
        found += brought.report["retries"]
        (memory / "to" / "x").unlink()
    assert found == TRANSFERS


@pytest.mark.parametrize("damage", dict.fromkeys(DAMAGES), ids=lambda damage: damage.__name__)
def test_f21_damage_that_stays_fails_and_leaves_nothing(way, put, tmp_path, damage):
    content = random.Random(7).randbytes(8292)
    put("work", {"x": content})
    dice = random.Random(1)
    way.spoil = lambda count, data: damage(data, dice, content)
    found = failure(bring(way, wanted(tmp_path / "to")))
    assert found.kind in ("artifact_corrupt", "transfer_failed") and "tried 4 times" in str(found)
    assert way.streams == 4
    assert list(tmp_path.iterdir()) == []


def test_f21_flipped_bytes_of_a_file_are_artifact_corrupt_and_name_it(way, put, tmp_path):
    content = random.Random(7).randbytes(8292)
    put("work", {"x": content})
    dice = random.Random(1)
    way.spoil = lambda count, data: flip(data, dice, content)
    found = failure(bring(way, wanted(tmp_path / "to"), retries=1))
    assert (found.kind, found.paths) == ("artifact_corrupt", ("x",)) and "tried 2 times" in str(found)


def test_f21_what_a_damaged_stream_had_proved_before_is_fetched_again(way, put, tmp_path):
    """Its head may be what is wrong, and only the end of a stream proves that."""
    put("work", {"a": b"first", "x": random.Random(7).randbytes(8292)})
    way.spoil = lambda count, data: data if count else data[:-3] + b"}}}"
    brought = bring(way, wanted(tmp_path / "to"))
    assert brought.failures == [] and way.asked[1][0][1]["have"] == []


# ---- F20: cuts


def test_f20_a_transfer_that_is_cut_anywhere_goes_on_from_there(way, put, tmp_path):
    content = {f"f{number:03}": random.Random(number).randbytes(9000) for number in range(40)} | {
        "z": random.Random(99).randbytes(LARGE)
    }
    put("work", content)
    sizes, dice = [], random.Random(20)
    for number in range(25):
        way.streams = 0

        def spoil(count, data):
            sizes.append(len(data))
            return data if count else data[: dice.randrange(len(data))]

        way.spoil = spoil
        brought = bring(way, wanted(tmp_path / f"to{number}"))
        assert brought.failures == [] and brought.report["retries"] == 1
        assert streams.content(tmp_path / f"to{number}") == {os.fsencode(path): data for path, data in content.items()}
    whole = sizes[0::2]
    assert sum(sizes[1::2]) < 0.75 * sum(whole), "what was proved before the cut is not sent again"


def test_f20_a_transfer_that_is_cut_again_and_again_keeps_what_is_proved_apart(way, put, tmp_path):
    content = {"a": b"first", "b": random.Random(2).randbytes(LARGE // 2)}
    put("work", content)
    way.spoil = lambda count, data: data[:200_000]
    brought = bring(way, wanted(tmp_path / "to"))
    assert failure(brought).kind == "transfer_failed"
    assert [entry.path for entry in brought.fetched[0].files] == ["a"] and brought.fetched[0].partial
    assert streams.content(tmp_path / "to.partial") == {b"a": b"first"} and not (tmp_path / "to").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["to.partial", "to.partial.json"]
    listed = json.loads((tmp_path / "to.partial.json").read_text())
    assert listed["partial"] is True and [entry["path"] for entry in listed["files"]] == ["a"]


def kept(way, put, tmp_path):
    put("work", {"a": b"first", "b": random.Random(2).randbytes(LARGE // 2)})
    way.spoil = lambda count, data: data[:200_000]
    bring(way, wanted(tmp_path / "to"), retries=0)
    way.spoil, way.asked = None, []


def test_f20_a_later_transfer_takes_up_what_was_kept(way, put, tmp_path):
    kept(way, put, tmp_path)
    brought = bring(way, wanted(tmp_path / "to"))
    assert brought.failures == [] and brought.report["resumed_files"] == 1
    assert [entry[0] for entry in way.asked[0][0][1]["have"]] == ["a"]
    assert set(streams.content(tmp_path / "to")) == {b"a", b"b"} and [path.name for path in tmp_path.iterdir()] == [
        "to"
    ]


SPOILED = {
    "content": lambda folder: (folder / "to.partial" / "a").write_bytes(b"FIRST"),
    "gone": lambda folder: (folder / "to.partial" / "a").unlink(),
    "link": lambda folder: (
        (folder / "to.partial" / "a").unlink(),
        (folder / "to.partial" / "a").symlink_to("/etc/passwd"),
    ),
    "list": lambda folder: (folder / "to.partial.json").write_text("{"),
    "path": lambda folder: (folder / "to.partial.json").write_text(
        (folder / "to.partial.json").read_text().replace('"a"', '"../a"')
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_b87_what_was_kept_and_altered_since_is_not_taken(way, put, tmp_path, spoil):
    kept(way, put, tmp_path)
    spoil(tmp_path)
    brought = bring(way, wanted(tmp_path / "to"))
    assert brought.failures == [] and way.asked[0][0][1]["have"] == []
    assert streams.content(tmp_path / "to")[b"a"] == b"first" and not (tmp_path / "to.partial").exists()


def test_a_file_that_the_node_has_no_more_does_not_come_home_by_an_earlier_try(way, put, tmp_path):
    kept(way, put, tmp_path)
    put("work", {"b": b"2"})
    assert bring(way, wanted(tmp_path / "to")).failures == []
    assert streams.content(tmp_path / "to") == {b"b": b"2"}


def test_f20_a_connection_that_is_lost_is_made_again_and_the_ops_asked_again(way, put, tmp_path):
    put("work", {"a": b"1"})
    way.fails = [NodeError("ssh_dropped", "Connection reset by peer")] * 2
    brought = bring(way, wanted(tmp_path / "to"), first=[("where", {})])
    assert (brought.failures, way.reconnected, len(way.asked)) == ([], 2, 3)
    assert brought.answers[0]["case_dir"] and streams.content(tmp_path / "to") == {b"a": b"1"}


def test_an_op_that_fails_is_told_first_and_files_come_all_the_same(way, put, tmp_path):
    put("work", {"a": b"1"})
    brought = bring(way, wanted(tmp_path / "to"), first=[("supervise", {"action": "poll", "name": "absent"})])
    assert failure(brought).kind == "artifact_missing" and brought.answers == [None]
    assert streams.content(tmp_path / "to") == {b"a": b"1"}


def test_what_the_node_refuses_is_not_asked_for_again(way, tmp_path):
    found = failure(bring(way, wanted(tmp_path / "to", patterns=("../x",))))
    assert found.kind == "artifact_unsafe_path" and len(way.asked) == 1 and list(tmp_path.iterdir()) == []


def test_f28_files_without_room_are_not_taken_and_the_bytes_are_named(way, put, tmp_path, monkeypatch):
    put("work", {"a": bytes(5000)})
    monkeypatch.setattr(transfers.reserve, "free_bytes", lambda folder: 2_101_000)
    found = failure(bring(way, wanted(tmp_path / "to")))
    assert (found.kind, len(way.asked)) == ("disk_full", 1)
    assert f"{5000 + transfers.reserve.TO_FINISH_BYTES} bytes are needed there, 2101000 are free" in str(found)
    assert "stay on the node" not in str(found)  # a run cleans it
    assert list(tmp_path.iterdir()) == []


# ---- integrity


@pytest.mark.parametrize("integrity", ["size", "off"])
def test_what_is_not_proved_has_no_digest_and_the_report_says_so(way, put, tmp_path, integrity):
    put("work", CONTENT)
    brought = bring(way, wanted(tmp_path / "to"), integrity=integrity)
    assert brought.failures == [] and streams.content(tmp_path / "to") == {
        os.fsencode(path): data for path, data in CONTENT.items()
    }
    assert {entry["digest"] for entry in brought.fetched[0].listed} == {""}
    assert (brought.report["integrity"], brought.report["algorithm"]) == (integrity, "none")


def test_what_compresses_is_compressed_and_the_ratio_told(way, put, tmp_path):
    put("work", {"log": b"the same line again and again\n" * 40_000})
    report = bring(way, wanted(tmp_path / "to"), compress="always").report
    assert report["sent_bytes"] < 100_000 and report["ratio"] > 10
    assert bring(way, wanted(tmp_path / "two"), compress="never").report["ratio"] <= 1


# ---- F22: files that change


@pytest.mark.parametrize("change", odd.CHANGES.values(), ids=odd.CHANGES)
def test_f22_b85_a_file_that_changes_while_it_is_fetched_is_refused_and_the_others_come(way, put, tmp_path, change):
    """The node's program is held up by its pipe, in the middle of the file, while the file changes."""
    base = put("work", {"a": b"1", "x": random.Random(5).randbytes(LARGE)})
    way.before[3] = lambda: change(base / "x")
    brought = bring(way, wanted(tmp_path / "to"))
    assert brought.failures == []
    assert [(one["path"], one["kind"]) for one in brought.fetched[0].refused] == [("x", "artifact_changed")]
    assert streams.content(tmp_path / "to") == {b"a": b"1"}
