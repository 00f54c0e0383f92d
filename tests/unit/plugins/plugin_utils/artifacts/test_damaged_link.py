# SPDX-License-Identifier: MIT
"""What a real node program sends is damaged on its way, or its files change meanwhile: nothing wrong is ever taken."""

from __future__ import annotations

import base64
import os
import random
import zlib

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import receive
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from served import Served

PIECE = 4096
RUN = {"id": "20260102_030405", "scenario": "s", "case": "", "attempt": 1}
TRANSFERS = 1000
SECRET = b"nobody outside may read this"


class Way:
    """A client of the program. spoil(number, piece) makes of the piece of the numbered read what arrives.

    before: number of a read -> what happens before it, once.
    """

    def __init__(self, served):
        self.served = served
        self.reads = 0
        self.spoil = lambda number, piece: piece
        self.before = {}

    def many(self, *asked):
        return [self._one(op, args) for op, args in asked]

    def _one(self, op, args):
        self.before.pop(self.reads, lambda: None)()
        answer = self.served.answer(self.served.send(op, **args))
        if "error" in answer:
            raise NodeError(answer["error"]["kind"], answer["error"]["message"])
        self.reads += 1
        return self.spoil(self.reads - 1, answer["result"])


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node whose case has one artifact of three pieces: (program, folder of the results, content)."""
    root = tmp_path_factory.mktemp("node")
    root.chmod(0o700)
    program = root / "cellnode.pyz"
    program.write_bytes(package.build("cellnode").content)
    results = root / "runs" / RUN["id"] / "s" / "a1" / "work" / "results"
    results.mkdir(parents=True)
    served = Served(program, {"root": str(root), "run": RUN, "owner": "tester", "engine": False})
    yield served, results, random.Random(7).randbytes(2 * PIECE + 100)
    served.close()


@pytest.fixture
def way(node, monkeypatch):
    """The way to that node, on which nothing happens yet."""
    served, results, content = node
    monkeypatch.setattr(receive, "CHUNK_BYTES", PIECE)
    for left in results.iterdir():
        left.rmdir() if left.is_dir() and not left.is_symlink() else left.unlink()
    (results / "x").write_bytes(content)
    return Way(served)


def listed(way):
    wanted = {"base_rel": "work", "patterns": ["results/"], "max_files": 9, "max_bytes": 1 << 20}
    return way.served.call("manifest", **wanted)["files"]


def unpacked(piece):
    return zlib.decompress(base64.b64decode(piece["data"]))


def packed(piece, content):
    return {**piece, "data": base64.b64encode(zlib.compress(content)).decode()}


def flipped(data, dice):
    at, bit = dice.randrange(len(data)), 1 << dice.randrange(8)
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def flip_content(piece, earlier, dice):
    return packed(piece, flipped(unpacked(piece), dice))


def swap_blocks(piece, earlier, dice):
    content = unpacked(piece)
    middle = dice.randrange(1, len(content))
    return packed(piece, content[middle:] + content[:middle])


def cut_content(piece, earlier, dice):
    return packed(piece, unpacked(piece)[: dice.randrange(len(unpacked(piece)))])


def cut_and_call_it_the_end(piece, earlier, dice):
    return {**cut_content(piece, earlier, dice), "eof": True}


def cut_wire(piece, earlier, dice):
    return {**piece, "data": piece["data"][: 4 * dice.randrange(len(piece["data"]) // 4)]}


def repeat_range(piece, earlier, dice):
    return packed(piece, unpacked(piece) + unpacked(piece)[: dice.randrange(1, 50)])


def piece_before(piece, earlier, dice):
    return dict(earlier) if earlier else packed(piece, unpacked(piece)[::-1])


def no_base64(piece, earlier, dice):
    return {**piece, "data": "?" * dice.randrange(1, 50)}


def no_data(piece, earlier, dice):
    return {"eof": dice.random() < 0.5, **({"data": None} if dice.random() < 0.5 else {})}


DAMAGES = [
    *(flip_content, flip_content, swap_blocks, cut_content, cut_and_call_it_the_end),
    *(cut_wire, repeat_range, piece_before, no_base64, no_data),
]


def spoiler(number):
    """Return the damage of a transfer: in one of its three pieces, chosen by its number, once."""
    dice, victim, before = random.Random(number), number % 3, []

    def spoil(count, piece):
        if count == victim:
            return DAMAGES[number % len(DAMAGES)](piece, before[-1] if before else None, dice)
        before.append(piece)
        return piece

    return spoil


def test_f21_every_one_of_a_thousand_damaged_transfers_is_found_and_done_again(node, way, tmp_path):
    files, found = listed(way), 0
    for number in range(TRANSFERS):
        way.reads, way.spoil = 0, spoiler(number)
        receive.receive(way, "work", files, tmp_path / "to")
        assert (tmp_path / "to" / "results" / "x").read_bytes() == node[2], number
        found += way.reads > 3
        (tmp_path / "to" / "results" / "x").unlink()
    assert found == TRANSFERS


def test_f21_a_flip_in_the_packed_bytes_never_changes_what_arrives(node, way, tmp_path):
    files = listed(way)
    for number in range(100):
        dice = random.Random(number)

        def spoil(count, piece, dice=dice):
            wire = base64.b64decode(piece["data"])
            return {**piece, "data": base64.b64encode(flipped(wire, dice)).decode()} if count == 0 else piece

        way.reads, way.spoil = 0, spoil
        receive.receive(way, "work", files, tmp_path / "to")
        assert (tmp_path / "to" / "results" / "x").read_bytes() == node[2], number


@pytest.mark.parametrize("damage", dict.fromkeys(DAMAGES), ids=lambda damage: damage.__name__)
def test_f21_damage_that_stays_is_artifact_corrupt_and_leaves_nothing(way, tmp_path, damage):
    dice = random.Random(1)
    way.spoil = lambda count, piece: damage(piece, None, dice)
    with pytest.raises(receive.ArtifactError, match="results/x did not come home whole in 3 tries") as caught:
        receive.receive(way, "work", listed(way), tmp_path / "to")
    assert caught.value.kind == "artifact_corrupt"
    assert list(tmp_path.iterdir()) == []


def test_f21_a_piece_that_would_unpack_without_end_is_not_unpacked(way, tmp_path):
    bomb = base64.b64encode(zlib.compress(bytes(1 << 26), 9)).decode()
    way.spoil = lambda count, piece: {**piece, "data": bomb}
    with pytest.raises(receive.ArtifactError, match="more bytes came than it has"):
        receive.receive(way, "work", listed(way), tmp_path / "to")


def _outside(path):
    secret = path.parents[6] / "secret"
    secret.write_bytes(SECRET)
    return secret


def _append(path):
    with path.open("ab") as stream:
        stream.write(b"more")


def _in_disguise(path):
    info = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"x" * info.st_size)
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))
    other.rename(path)


def _link(path):
    path.unlink()
    path.symlink_to(_outside(path))


def _hard_link(path):
    path.unlink()
    os.link(_outside(path), path)


def _fifo(path):
    path.unlink()
    os.mkfifo(path)


def _folder(path):
    path.unlink()
    path.mkdir()


def _parent_is_a_link(path):
    away = path.parents[6] / f"away{os.urandom(4).hex()}"
    path.parent.rename(away)
    path.parent.symlink_to(away)


CHANGES = {
    "appended": _append,
    "cut": lambda path: os.truncate(path, 10),
    "renamed": lambda path: path.rename(path.with_name("other")),
    "removed": lambda path: path.unlink(),
    "another-file-of-the-same-size-and-time": _in_disguise,
    "link-to-outside": _link,
    "hard-link-to-outside": _hard_link,
    "fifo": _fifo,
    "folder": _folder,
    "folder-above-is-a-link": _parent_is_a_link,
}


@pytest.mark.parametrize("at", [0, 1, 2], ids=["before-the-first-piece", "after-one", "after-two"])
@pytest.mark.parametrize("change", CHANGES)
def test_f22_a_file_that_changes_while_it_is_fetched_is_refused(node, way, tmp_path, change, at):
    path, seen = node[1] / "x", []
    way.before[at] = lambda: CHANGES[change](path)
    way.spoil = lambda number, piece: seen.append(unpacked(piece)) or piece
    try:
        with pytest.raises(NodeError) as caught:
            receive.receive(way, "work", listed(way), tmp_path / "to")
    finally:
        if path.parent.is_symlink():
            away = path.parent.resolve()
            path.parent.unlink()
            away.rename(path.parent)
    assert caught.value.kind == "artifact_changed"
    assert "results/x" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert SECRET not in b"".join(seen)


def test_f22_a_changed_artifact_does_no_harm_to_the_evidence(node, way, tmp_path):
    files = listed(way)
    _append(node[1] / "x")
    begun = receive.beginnings(way, {"evidence": [], "work": files})
    assert begun == {"evidence": {}, "work": {}}
    with pytest.raises(NodeError, match="results/x"):
        receive.receive(way, "work", files, tmp_path / "to", begun=begun["work"])
