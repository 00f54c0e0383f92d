# SPDX-License-Identifier: MIT
"""Two controllers that start at the same moment on one node, many times: JSON lines with how often both believed to hold it.

starts.py [COUNT] [SEED]: COUNT starts, and a tenth of it take-overs of a lease that is renewed as it runs out.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package

COUNT = 10_000
LIMIT_S = 30.0
LONG_S = 60.0
# The shortest lease there is; how far from its end, before or after, the two come.
SHORT_S, AROUND_S = 0.1, 0.003
NAMES = ("anna", "bert")
PROCESSES = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Start:
    """What one controller was told. held: it believes that the node is its own; alone: nobody else believed it then."""

    held: bool
    alone: bool
    epoch: int
    sent: float


class Node:
    """The node's program as a controller's link runs it, over a pipe."""

    def __init__(self, program: Path, root: Path, owner: str) -> None:
        words = [sys.executable, "-I", "-S", "-E", str(program), "serve"]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._root, self.owner = root, owner
        self._count = 0

    def lease(self, action: str, run: str, epoch: int | None = None, **args: Any) -> dict[str, Any] | None:
        """Return the answer, None when somebody else holds the node; RuntimeError for anything else."""
        assert self._process.stdin and self._process.stdout
        self._count += 1
        request = {"op": "lease", "root": str(self._root), "run": {"id": run, "epoch": epoch}, "owner": self.owner}
        line = {**request, "args": {"action": action, **args}, "id": str(self._count)}
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline().partition(b" ")[2])
        if "error" in answer and answer["error"]["kind"] != "lock_held":
            raise RuntimeError(answer["error"]["message"])
        found: dict[str, Any] | None = answer.get("result")
        return found

    def close(self) -> None:
        """End the program."""
        self._process.communicate(timeout=LIMIT_S)


@dataclass(frozen=True)
class Pair:
    """What two controllers share: a barrier, the moment when the lease runs out, and a file that only one can make."""

    barrier: Any
    expiry: Any
    witness: Path

    def meet(self) -> None:
        """Wait for the other one."""
        self.barrier.wait(LIMIT_S)

    def testify(self) -> bool:
        """Make the witness; return whether nobody had made it."""
        try:
            os.close(os.open(self.witness, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True


def start(node: Node, pair: Pair, index: int, _chance: random.Random) -> Start:
    """Try to take a free node at the same moment as the other; who gets it keeps it until both have their answers."""
    run = f"run-{index}-{node.owner}"
    pair.meet()
    sent = time.monotonic()
    return _held(node, pair, run, node.lease("acquire", run, ttl_s=LONG_S), sent)


def take_over(node: Node, pair: Pair, index: int, chance: random.Random) -> Start:
    """Renew a lease as it runs out, or take it over, whichever of the two this controller is for."""
    run = f"run-{index}-{node.owner}"
    first = node.owner == NAMES[0]
    epoch = None
    if first:
        taken = node.lease("acquire", run, ttl_s=SHORT_S)
        if taken is None:
            raise RuntimeError("a node that was given back is held")
        epoch = int(taken["epoch"])
        pair.expiry.value = time.clock_gettime(time.CLOCK_BOOTTIME) + taken["expires_in_s"]
    off_s = chance.uniform(-AROUND_S, AROUND_S)
    pair.meet()
    time.sleep(max(0.0, pair.expiry.value + off_s - time.clock_gettime(time.CLOCK_BOOTTIME)))
    sent = time.monotonic()
    return _held(node, pair, run, node.lease("renew" if first else "acquire", run, epoch, ttl_s=LONG_S), sent)


def _held(node: Node, pair: Pair, run: str, answer: dict[str, Any] | None, sent: float) -> Start:
    """Hold what was got until the other has its answer, too, then prove it and give it back."""
    alone = answer is None or pair.testify()
    pair.meet()
    if answer is None:
        pair.meet()
        return Start(False, alone, 0, sent)
    epoch = int(answer["epoch"])
    still = node.lease("renew", run, epoch)
    pair.witness.unlink(missing_ok=True)
    node.lease("release", run, epoch)
    pair.meet()
    return Start(True, alone and still is not None, epoch, sent)


Round = Callable[[Node, Pair, int, random.Random], Start]


def race(rounds: int, seed: int, one: Round) -> tuple[list[tuple[Start, Start]], float]:
    """Return what the two controllers were told in each round, and the seconds that all took."""
    with tempfile.TemporaryDirectory(prefix="testcell-starts-") as folder:
        place = Path(folder)
        program = place / "cellnode.pyz"
        program.write_bytes(package.build("cellnode").content)
        pair = Pair(PROCESSES.Barrier(len(NAMES)), PROCESSES.Value("d", 0.0), place / "witness")
        ends = [PROCESSES.Pipe(duplex=False) for _ in NAMES]
        began = time.monotonic()
        children = [
            PROCESSES.Process(target=_controller, args=(name, rounds, seed, one, pair, place, end[1]))
            for name, end in zip(NAMES, ends, strict=True)
        ]
        for child, end in zip(children, ends, strict=True):
            child.start()
            end[1].close()
        told = [end[0].recv() for end in ends]
        for child in children:
            child.join(LIMIT_S)
    return list(zip(*told, strict=True)), time.monotonic() - began


def _controller(name: str, rounds: int, seed: int, one: Round, pair: Pair, place: Path, end: Connection) -> None:
    node = Node(place / "cellnode.pyz", place / "root", name)
    chance = random.Random(seed)  # both draw the same
    try:
        end.send([one(node, pair, index, chance) for index in range(rounds)])
    except BaseException:
        pair.barrier.abort()  # the other must not wait for this one
        raise
    finally:
        node.close()


def figure(name: str, told: Sequence[tuple[Start, Start]], seconds: float, seed: int) -> dict[str, object]:
    """Return the line of one race: overlaps may not be, nor rounds in which nobody held the node, nor epochs that do not rise."""
    overlaps = sum(all(one.held for one in both) or not all(one.alone for one in both) for both in told)
    nobody = sum(not any(one.held for one in both) for both in told)
    epochs = [max(one.epoch for one in both) for both in told if any(one.held for one in both)]
    rising = all(before < after for before, after in zip(epochs, epochs[1:], strict=False))
    apart = statistics.median(abs(both[0].sent - both[1].sent) for both in told)
    line = rig.line(name, overlaps, "overlaps", "the target", 0, target=0, holds=not overlaps and not nobody and rising)
    won = {owner: sum(both[place].held for both in told) for place, owner in enumerate(NAMES)}
    rest = {"rounds": len(told), "held_by": won, "by_nobody": nobody, "epochs_rise": rising}
    return {**line, **rest, "sent_apart_us": round(apart * 1e6), "seconds": round(seconds, 1), "seed": seed}


def main() -> int:
    """Print a line for the starts and one for the take-overs; return 1 unless both hold."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    held = True
    races: tuple[tuple[str, int, Round], ...] = (
        ("C3-starts", count, start),
        ("C3-take-overs", max(1, count // 10), take_over),
    )
    for name, rounds, one in races:
        line = figure(name, *race(rounds, seed, one), seed)
        print(json.dumps(line), flush=True)
        held = held and bool(line["holds"])
    return int(not held)


if __name__ == "__main__":
    raise SystemExit(main())
