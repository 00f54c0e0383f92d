# SPDX-License-Identifier: MIT
"""How fast logs are classified, beside `grep -E` with the same patterns: JSON lines, medians of interleaved rounds.

classify.py [--full]: the short form reads a tenth, and says what 100 MiB would take. What the first MiB costs, in which
most rules are tried, is not counted again for each of the others.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import rules

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]
MESSAGES = ROOT / "tests/unit/plugins/plugin_utils/classify/data/messages.jsonl"
SEED = 1
ROUNDS = 3
MEBIBYTE = 1 << 20
WHOLE_MIB = 100
# grep is slow with so many patterns: it reads this much.
PEER_BYTES = 16 << 10
TARGET_S, TARGET_LINES_PER_S, TARGET_MIB = 10.0, 10_000, 100.0
# What grep's extended expressions do not have.
GREP_LACKS = ("(?!", "(?<", "(?P<")
PEER = "grep -iE"
GREP = ("grep", "-ciE", "-f")

Lines = Callable[[random.Random], str]


def quiet(chance: random.Random) -> str:
    """Return a line as an engine writes it while all is well."""
    rate, running = chance.random() * 1e4, chance.randrange(200)
    name = f"chatcmpl-{chance.getrandbits(128):032x}"
    told = f"Avg prompt throughput: {rate:.1f} tokens/s, Running: {running} reqs, {name}"
    return f"(EngineCore_0 pid=123) INFO 01-02 03:04:05 [loggers.py:118] Engine 000: {told}"


def repeating(chance: random.Random) -> str:
    """Return a line of one failure that no rule knows, with numbers of its own."""
    return f"ERROR: the frobnicator {chance.randrange(10**6, 10**7)} has failed with an exception in {chance.random():.6f} s"


def failing() -> Lines:
    """Return what makes lines of the failures of many projects, each with a number of its own."""
    entries = [json.loads(line) for line in MESSAGES.read_text().splitlines()]
    known = [line for entry in entries for line in entry["text"].splitlines() if line.strip()]
    return lambda chance: (
        f"2026-01-02 03:04:05.{chance.randrange(1000):03d} {chance.choice(known)} #{chance.getrandbits(32)}"
    )


def write(path: Path, line: Lines, size: int) -> int:
    """Write so many bytes of lines, and return how many lines these are."""
    chance, written, lines = random.Random(SEED), 0, 0
    with path.open("w", encoding="utf-8") as log:
        while written < size:
            written += log.write(line(chance) + "\n")
            lines += 1
    return lines


def patterns() -> str:
    """Return our patterns for grep, one a line, without those that need what it lacks."""
    found = [unit.pattern for unit in rules.own().units if not any(part in unit.pattern for part in GREP_LACKS)]
    return "\n".join(pattern.replace("(?:", "(").replace(r"\d", "[0-9]") for pattern in found) + "\n"


@dataclass(frozen=True)
class Took:
    """What a command took: wall seconds, and the most memory that it had at once."""

    seconds: float
    mebibytes: float


def run(command: list[str]) -> Took:
    """Return what a command took; grep says by 1 that it has found nothing."""
    began = time.perf_counter()
    plain = {**os.environ, "LC_ALL": "C"}  # grep is many times slower in other languages
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=plain) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1):
        raise RuntimeError(f"{command[0]} ended with {child.returncode}")
    return Took(time.perf_counter() - began, used.ru_maxrss / 1024)


def ours(log: Path) -> list[str]:
    """Return the command that classifies a log."""
    return [str(BIN / "testcell"), "classify", str(log), "--input", "log", "--format", "json"]


def median(rounds: list[Took]) -> float:
    """Return the median of the seconds."""
    return statistics.median(one.seconds for one in rounds)


def figures(folder: Path, mebibytes: int) -> Iterator[dict[str, object]]:
    """Yield all figures; mebibytes: how long the logs are."""
    expressions, empty = folder / "patterns", folder / "empty"
    expressions.write_text(patterns())
    empty.write_bytes(b"")
    seen: list[Took] = []
    for name, line in (("quiet", quiet), ("failing", failing()), ("repeating", repeating)):
        log, first, small = folder / f"{name}.log", folder / f"{name}.first", folder / f"{name}.part"
        lines, part = write(log, line, mebibytes * MEBIBYTE), write(small, line, PEER_BYTES)
        write(first, line, MEBIBYTE)
        times: dict[str, list[Took]] = {"first": [], "ours": [], "peer_start": [], "peer": []}
        for _ in range(ROUNDS):
            times["first"].append(run(ours(first)))
            times["ours"].append(run(ours(log)))
            times["peer_start"].append(run([*GREP, str(expressions), str(empty)]))
            times["peer"].append(run([*GREP, str(expressions), str(small)]))
        begun, mine = median(times["first"]), median(times["ours"])
        # what grep needs for its patterns before it reads is not held against it
        peer = max(median(times["peer"]) - median(times["peer_start"]), 0.001)
        seen += times["ours"]
        rate = lines / mine
        yield told(f"E3-{name}-lines", rate, "lines/s", part / peer, TARGET_LINES_PER_S, lines=lines)
        whole = begun + (mine - begun) * (WHOLE_MIB - 1) / (mebibytes - 1)
        theirs = peer * WHOLE_MIB * MEBIBYTE / PEER_BYTES
        of_whole = {"mebibytes": mebibytes, "first_mebibyte_s": round(begun, 3)}
        yield told(f"E3-{name}-{WHOLE_MIB}-MiB", whole, "s", theirs, TARGET_S, **of_whole)
    yield told("E3-peak-memory", max(one.mebibytes for one in seen), "MiB", None, TARGET_MIB, mebibytes=mebibytes)


def told(figure: str, value: float, unit: str, peer: float | None, target: float, **more: object) -> dict[str, object]:
    """Return the line of a figure: of lines/s more is better, of all others less."""
    holds = value >= target if unit == "lines/s" else value <= target
    ratio = None if peer is None else round(value / peer, 4)
    beside = {"peer": PEER if peer else None, "peer_value": peer and round(peer, 3), "ratio": ratio}
    facts = {"target": target, "holds": holds, "seed": SEED, "rounds": ROUNDS}
    return {"figure": figure, "value": round(value, 3), "unit": unit, **beside, **facts, **more}


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for figure in figures(Path(folder), WHOLE_MIB if "--full" in sys.argv[1:] else WHOLE_MIB // 10):
            print(json.dumps(figure), flush=True)
            missed |= figure["holds"] is False
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
