# SPDX-License-Identifier: MIT
"""Streams of files that were damaged on their way, and streams that no node would send: JSON lines with what was taken of them.

damage.py [TRANSFERS] [STREAMS] [SEED]: TRANSFERS real streams, each damaged once; STREAMS made up, most with paths that lead elsewhere.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames, send
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.errors import ArtifactError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.receiver import Arrived, Receiver
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.staging import Staging

TRANSFERS, STREAMS = 10_000, 1_000_000
PIECE_BYTES = 1 << 16
MEMORY = "/dev/shm"  # a million folders are made and removed
LOOK_EVERY = 1000
CANARY = b"nobody writes here"
Spoil = Callable[[bytes, random.Random], bytes]


def stream_of(base: Path, **args: Any) -> bytes:
    """Return what a node sends of a folder."""
    pieces: list[bytes] = []
    wanted = {"base": str(base), "patterns": ["", "absent"], "algorithms": {"sha256": 1.0}, **args}
    send.stream(Context(base), wanted, lambda piece: pieces.append(bytes(piece)))
    return b"".join(pieces)


def taken(stream: bytes, staging: Staging) -> Arrived | ArtifactError:
    """Return what a receiver makes of a stream, or why it refuses it."""
    receiver = Receiver(staging, "full", lambda size: None, [])
    try:
        for at in range(0, len(stream), PIECE_BYTES):
            receiver.feed(stream[at : at + PIECE_BYTES])
        return receiver.result()
    except ArtifactError as exc:
        receiver.close()
        return exc


def frames_in(stream: bytes) -> list[bytes]:
    """Return the frames of a whole stream."""
    at, found = len(frames.MAGIC), []
    while at < len(stream):
        end = at + frames.HEADER.size + frames.HEADER.unpack_from(stream, at)[2]
        found.append(stream[at:end])
        at = end
    return found


def _span(length: int, dice: random.Random) -> tuple[int, int]:
    """Return begin and end of a part of so many bytes, which is not empty."""
    begin = dice.randrange(length)
    return begin, min(length, begin + 1 + int(dice.random() ** 4 * length))


def flip(stream: bytes, dice: random.Random) -> bytes:
    """Return the stream with one bit turned over."""
    at = dice.randrange(len(stream))
    return stream[:at] + bytes([stream[at] ^ 1 << dice.randrange(8)]) + stream[at + 1 :]


def cut(stream: bytes, dice: random.Random) -> bytes:
    """Return the beginning of the stream."""
    return stream[: dice.randrange(len(stream))]


def leave_out(stream: bytes, dice: random.Random) -> bytes:
    """Return the stream without some of its bytes."""
    begin, end = _span(len(stream), dice)
    return stream[:begin] + stream[end:]


def repeat(stream: bytes, dice: random.Random) -> bytes:
    """Return the stream with some of its bytes twice."""
    begin, end = _span(len(stream), dice)
    return stream[:end] + stream[begin:]


def swap(stream: bytes, dice: random.Random) -> bytes:
    """Return the stream with two parts that follow each other in the other order."""
    begin, end = _span(len(stream) - 1, dice)
    middle = dice.randrange(begin, end)
    return stream[:begin] + stream[middle + 1 : end + 1] + stream[begin : middle + 1] + stream[end + 1 :]


def scribble(stream: bytes, dice: random.Random) -> bytes:
    """Return the stream with noise in place of some of its bytes."""
    at = dice.randrange(len(stream))
    noise = dice.randbytes(dice.randrange(1, 64))
    return (stream[:at] + noise + stream[at + len(noise) :])[: len(stream)]


def of_frames(change: Callable[[list[bytes], random.Random], None]) -> Spoil:
    """Return what changes the order of whole frames."""

    def spoil(stream: bytes, dice: random.Random) -> bytes:
        parts = frames_in(stream)
        change(parts, dice)
        return frames.MAGIC + b"".join(parts)

    return spoil


def _swap_frames(parts: list[bytes], dice: random.Random) -> None:
    first, second = dice.randrange(len(parts)), dice.randrange(len(parts))
    parts[first], parts[second] = parts[second], parts[first]


def _repeat_frame(parts: list[bytes], dice: random.Random) -> None:
    parts.insert(dice.randrange(len(parts)), dice.choice(parts))


SPOILS: dict[str, Spoil] = {
    "flip": flip,
    "cut": cut,
    "leave-out": leave_out,
    "repeat": repeat,
    "swap": swap,
    "scribble": scribble,
    "swap-frames": of_frames(_swap_frames),
    "repeat-frame": of_frames(_repeat_frame),
    "drop-frame": of_frames(lambda parts, dice: parts.remove(dice.choice(parts))),
}


@dataclass(frozen=True)
class Bench:
    """A folder in which nobody writes but into the staging folder. All that is beside that folder is looked at."""

    folder: Path

    @property
    def staging(self) -> Path:
        """Return the folder that is written to."""
        return self.folder / "deep" / "down" / "staging"

    def make(self, dice: random.Random) -> Path:
        """Return the node's folder, made with all that is beside the staging folder."""
        self.staging.parent.mkdir(parents=True)
        for place in (self.folder, self.folder / "deep", self.staging.parent, self.folder / "outside"):
            place.mkdir(exist_ok=True)
            (place / "canary").write_bytes(CANARY)
        node = self.folder / "node"
        for name, size in {"a": 1, "b/c": 3000, "b/d": 0, "b/e\udcff": 70_000, "large": 300_000, "z": 50}.items():
            (node / name).parent.mkdir(parents=True, exist_ok=True)
            (node / name).write_bytes(dice.randbytes(size // 2) + bytes(size - size // 2))
        (node / "link").symlink_to("/etc/passwd")
        return node

    def beside(self) -> dict[str, tuple[int, int, int, int]]:
        """Return path -> kind, size and times of all that is beside the staging folder."""
        found = {}
        for place, folders, names in os.walk(self.folder):
            if Path(place) == self.staging.parent:
                folders[:] = [name for name in folders if name != self.staging.name]
            for name in (*folders, *names):
                path = os.path.join(place, name)
                info = os.lstat(path)
                times = (0, 0) if path == str(self.staging.parent) else (info.st_mtime_ns, info.st_ctime_ns)
                found[path] = (info.st_mode, info.st_size, *times)
        return found


def damages(bench: Bench, node: Path, count: int, dice: random.Random) -> Counter[str]:
    """Return how many of count damaged streams were refused, meant the same, or were taken for something else."""
    streams = [stream_of(node, compress=mode) for mode in ("never", "always")]
    whole, outcomes = held(node), Counter({"refused": 0, "same": 0, "wrong": 0})
    staging = Staging(bench.staging)
    expected = taken(streams[0], staging)
    staging.close()
    for number in range(count):
        stream, spoil = dice.choice(streams), list(SPOILS.values())[number % len(SPOILS)]
        damaged = stream
        while damaged == stream:
            damaged = spoil(stream, dice)
        staging = Staging(bench.staging)
        outcomes[judged(taken(damaged, staging), expected, staging, whole)] += 1
        staging.close()
    return outcomes


def held(folder: Path) -> dict[str, bytes]:
    """Return path -> contents of the plain files below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def judged(
    got: Arrived | ArtifactError, expected: Arrived | ArtifactError, staging: Staging, whole: dict[str, bytes]
) -> str:
    """Return `refused`, `same`, or `wrong`: other files, other words, or a file that is held for proved and is not."""
    there = held(staging.folder)
    if any(there.get(path) != whole.get(path) for path in staging.proved):
        return "wrong"
    if isinstance(got, ArtifactError) or isinstance(expected, ArtifactError):
        return "refused"
    told, right = ((one.files, one.refused, one.missing, one.more) for one in (got, expected))
    return "same" if told == right and there == whole else "wrong"


class Forger:
    """Makes streams that no node would send. outside: where their paths lead to."""

    def __init__(self, outside: Path, dice: random.Random) -> None:
        self._dice = dice
        climbing = [
            "../canary",
            "../x",
            "../../x",
            "a/../../canary",
            "./../x",
            "b/../../x",
            "..",
            ".",
            "",
            "a//x",
            "a/",
        ]
        through = ["link/x", "link/canary", "link", "file", "file/x", "link/../canary", "gone", "gone/x"]
        absolute = [str(outside / "canary"), str(outside / "x"), "/" + str(outside / "x"), "C:\\x", "a\\..\\x", "a\0b"]
        plain = ["a", "a/b", "b", "b/c/d", "\udcff", "\ud800", "x" * 300, "d/e/f"]
        self._paths = [*climbing, *through, *absolute, *plain]

    def stream(self) -> bytes:
        """Return a stream; some are whole but for their paths, some are damaged as well."""
        dice = self._dice
        plan = frames.packed({"files": 9, "bytes": 1 << 20, "algorithm": "sha256", "same": 0})
        parts, rows = [_frame(frames.PLAN, plan)], []
        for _ in range(dice.randrange(1, 5)):
            path, content = dice.choice(self._paths), dice.randbytes(dice.randrange(20))
            row = [path, len(content), 0o644, dice.randrange(1 << 62), 6, sha256(content).hexdigest()]
            parts += dice.choice((_bundle, _file))(row, content)
            rows.append(row)
        parts.append(_end(plan, rows))
        if dice.random() < 0.2:
            dice.shuffle(parts)
        stream = frames.MAGIC + b"".join(parts)
        return dice.choice(list(SPOILS.values()))(stream, dice) if dice.random() < 0.3 else stream


def _frame(kind: bytes, payload: bytes, flags: int = 0) -> bytes:
    return frames.HEADER.pack(kind, flags, len(payload)) + payload


def _bundle(row: list[Any], content: bytes) -> list[bytes]:
    head = frames.packed([row])
    return [_frame(frames.BUNDLE, frames.HEAD_LENGTH.pack(len(head)) + head + content)]


def _file(row: list[Any], content: bytes) -> list[bytes]:
    begin, end = frames.packed([*row[:5], 0]), frames.packed({"digest": row[5]})
    return [_frame(frames.BEGIN, begin), _frame(frames.DATA, content), _frame(frames.FILE_END, end)]


def _end(plan: bytes, rows: Sequence[list[Any]]) -> bytes:
    try:
        lines = frames.lines_of(rows)
    except UnicodeEncodeError:  # half a letter, which no file system can hold
        lines = b""
    size = sum(row[1] for row in rows)
    sums = {"files": len(rows), "bytes": size, "manifest": sha256(lines).hexdigest(), "more": False}
    last = {**sums, "sent": 0, "raw": size, "seconds": 0.0}
    return _frame(frames.END, frames.packed({**last, "check": sha256(plan + frames.packed(last)).hexdigest()}))


def forgeries(bench: Bench, count: int, dice: random.Random) -> Counter[str]:
    """Return how many of count streams were taken or refused, and how often something beside the staging folder changed."""
    outcomes = Counter({"taken": 0, "refused": 0, "outside": 0})
    forger, before = Forger(bench.folder / "outside", dice), bench.beside()
    for number in range(count):
        staging = Staging(bench.staging)
        if number % 2:
            for name, target in (("link", "outside"), ("file", "outside/canary"), ("gone", "outside/new")):
                (bench.staging / name).symlink_to(bench.folder / target)
        outcomes["refused" if isinstance(taken(forger.stream(), staging), ArtifactError) else "taken"] += 1
        staging.close()
        if number % LOOK_EVERY == 0 or number == count - 1:
            outcomes["outside"] += bench.beside() != before
    return outcomes


def lines(transfers: int, streams: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield the figures."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as folder:
        bench = Bench(Path(folder))
        node = bench.make(dice)
        found = damages(bench, node, transfers, dice)
        yield _line("D4-found", found["refused"] + found["same"], transfers, seed, found)
        made = forgeries(bench, streams, dice)
        yield _line("D4-outside", made["outside"], 0, seed, made)


def _line(figure: str, value: int, target: int, seed: int, outcomes: Counter[str]) -> dict[str, object]:
    held_there = {"target": target, "holds": value == target}
    return {"figure": figure, "value": value, "unit": "streams", **held_there, "seed": seed, **outcomes}


def main(words: Sequence[str]) -> int:
    """Return 0 when every figure holds."""
    given = [int(word) for word in words]
    transfers, streams, seed = [*given, *(TRANSFERS, STREAMS, random.SystemRandom().randrange(1 << 32))[len(given) :]]
    holds = True
    for line in lines(transfers, streams, seed):
        print(json.dumps(line), flush=True)
        holds = holds and bool(line["holds"])
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
