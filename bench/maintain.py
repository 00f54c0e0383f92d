# SPDX-License-Identifier: MIT
"""What maintenance takes to look at everything: status, incomplete and decisions over 1,000,000 attempts of 10,000 cases: JSON lines.

The database is a file, filled as recorders fill it: 100 nights of each case, most of which pass; noise, unsteady cases and a night
that went wrong. Once with the window of 30 days that is the default, once with all nights in it. The peer is sqlite3 reading
every attempt's verdict once, in the same process order. `--short` takes a hundredth of the attempts.
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import (
    analysis,
    decisions,
    queries,
    store,
    upkeep_config,
)

CASES, NIGHTS = 10_000, 100
SHORT_CASES = 100
NODES = tuple(f"node{n}" for n in range(1, 17))
DAY_S, END = 86_400.0, 1_700_000_000.0
TARGET_S, TARGET_MIB = 1.0, 200.0
ROUNDS = 3
NO_PEER: dict[str, Any] = {"peer": None, "peer_value": None, "ratio": None}
SEED = 20260131
PASS, NOISE, FAIL = (
    ("pass", "", "", None),
    ("error", "ssh_timeout", "network", True),
    ("fail", "engine_dead", "engine", True),
)
ATTEMPTS = (
    "INSERT INTO attempts (id, run_id, case_id, attempt, verdict, error_kind, owner, retriable, step, node, service, message, rule,"
    " started_at, ended_at, seconds, path) VALUES (?, ?, ?, 1, ?, ?, ?, ?, '', '', '', '', '', ?, ?, 120.0, '')"
)


def fill(path: Path, cases: int) -> None:
    """Make a database of NIGHTS nights with so many cases."""
    with store.open_store(f"sqlite:///{path}", results_dir=path.parent):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    labels = [
        json.dumps({"model": f"m{n % 40}", "task_type": f"t{n % 25}", "difficulty": f"d{n % 5}"}) for n in range(cases)
    ]
    connection.executemany(
        "INSERT INTO cases (id, scenario, name, labels) VALUES (?, ?, ?, ?)",
        [(n + 1, f"scenario{n % 100}", f"case{n}", labels[n]) for n in range(cases)],
    )
    connection.executemany("INSERT INTO expected VALUES (?, 1, 0)", [(n + 1,) for n in range(cases)])
    columns = "id, key, run_id, host, path, state, verdict, started_at, ended_at, seconds, digest"
    runs = [
        (night + 1, f"{night}@h", str(night), "h", "", "finished", "fail", 0.0, _began(night), 3e4, "")
        for night in range(NIGHTS)
    ]
    connection.executemany(f"INSERT INTO runs ({columns}) VALUES ({', '.join('?' * 11)})", runs)
    connection.executemany(ATTEMPTS, _attempts(cases))
    connection.execute("INSERT INTO attempt_nodes SELECT id, 'node' || (1 + case_id % 16) FROM attempts")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _began(night: int) -> float:
    return END - (NIGHTS - night) * DAY_S + 4 * 3600


def _attempts(cases: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(SEED)
    unsteady = set(chance.sample(range(cases), cases // 50))
    number = 0
    for night in range(NIGHTS):
        for case in range(cases):
            number += 1
            lost = 0.3 if night == NIGHTS - 1 else 0.02
            outcome = NOISE if chance.random() < lost else FAIL if case in unsteady and chance.random() < 0.2 else PASS
            at = _began(night) + case * 2.0
            yield number, night + 1, case + 1, *outcome, at - 120, at


def look(path: Path, days: float) -> dict[str, float]:
    """Return how long it takes to say all there is to say, and the memory of the process at its highest, in MiB."""
    config = upkeep_config.Config(analysis=upkeep_config.Analysis(window_days=days))
    with store.open_store(f"sqlite:///{path}", results_dir=path.parent) as opened:
        began = time.perf_counter()
        with opened.read() as connection:
            facts = queries.facts(connection, config, END - 12 * 3600, queries.Sources({}, NODES))
        found = decisions.diagnoses(facts)
        status = [group.as_dict(config) for group in analysis.groups(found, ("model",), facts.now)]
        incomplete = [case.title for case, what in found if what.state in ("missing", "no_answer")]
        made = decisions.decide(facts, config, found)
        seconds = time.perf_counter() - began
    assert status and incomplete and made
    return {
        "seconds": seconds,
        "mib": _highest_mib(),
        "decisions": len(made),
    }


def _highest_mib() -> float:
    """Return the memory of this program at its highest; getrusage tells that of whoever started it, too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def peer(path: Path) -> float:
    """Return how long sqlite3 takes to hand over every attempt's verdict once."""
    connection = sqlite3.connect(path)
    began = time.perf_counter()
    connection.execute("SELECT case_id, verdict, ended_at FROM attempts").fetchall()
    return time.perf_counter() - began


def measured(path: Path, days: float) -> dict[str, float]:
    """Return the best of several looks, each in a process of its own."""
    command = [sys.executable, __file__, "--look", str(path), str(days)]
    looks = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(ROUNDS)
    ]
    return {**min(looks, key=lambda one: one["seconds"]), "mib": max(one["mib"] for one in looks)}


def told(figure: str, value: float, unit: str, target: float, more: dict[str, Any]) -> bool:
    """Print one figure and return whether its target holds."""
    line = {
        "figure": figure,
        "value": round(value, 3),
        "unit": unit,
        **more,
        "target": target,
        "holds": value <= target,
    }
    print(json.dumps(line), flush=True)
    return value <= target


def main(arguments: list[str]) -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    if arguments[:1] == ["--look"]:
        print(json.dumps(look(Path(arguments[1]), float(arguments[2]))))
        return 0
    cases = SHORT_CASES if "--short" in arguments else CASES
    held = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "testcell.db"
        fill(path, cases)
        reading = min(peer(path) for _ in range(ROUNDS))
        for name, days in (("30-days", 30.0), ("all", 3650.0)):
            found = measured(path, days)
            facts = {"attempts": cases * NIGHTS, "cases": cases, "decisions": found["decisions"], "rounds": ROUNDS}
            beside = {
                "peer": "sqlite3 reads all attempts",
                "peer_value": round(reading, 3),
                "ratio": round(found["seconds"] / reading, 2),
            }
            held &= told(f"E1-seconds-{name}", found["seconds"], "s", TARGET_S, {**beside, **facts})
            held &= told(f"E1-memory-{name}", found["mib"], "MiB", TARGET_MIB, {**NO_PEER, **facts})
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
