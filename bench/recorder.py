# SPDX-License-Identifier: MIT
"""What recording a run costs, beside ARA: JSON lines.

The same playbook, a task that opens a run and then 100 tasks on five hosts, is recorded by ours, by ARA and by nobody, in
turn, by one Ansible in an environment of its own. The share of a run's time is that of a real run, the shortest of the
embedded scenarios on this machine; of the playbook, whose tasks do nothing, it is shown beside it. `--full` takes more rounds.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import recording
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.places import NAME
from rig import ROOT, line

EVENTS_PER_S, MICROSECONDS, SHARE, TIMES_CHEAPER = 50_000, 30.0, 0.01, 100.0
BURST = 200_000
TASKS, HOSTS = 100, 5
ARA = "ara[server]==1.8.0"
ARA_FOLDER = ROOT / ".cache" / "bench-ara"
PLUGINS = ROOT / "bench" / "peers" / "recorder"
TIMED = {
    "ANSIBLE_CALLBACKS_ENABLED": "timed_recorder",
    "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback_plugins"),
}
PARTS = ("import_s", "cpu_s", "end_s", "thread_s")
PATH_OF_ARA = "import ara.setup; print(ara.setup.callback_plugins)"


def burst_s(folder: Path) -> float:
    """Return how long the writer takes for many events that all wait for it, from the first to the last one committed."""
    run_dir = _run_dir(folder)
    queue: recording.Queue = SimpleQueue()
    for number in range(BURST):
        fields = {
            "host": "node1",
            "task": "enginelab.testcell.prep_node : Check the node",
            "status": "ok",
            "seconds": 0.512,
        }
        queue.put((float(number), "result", fields))
    found = recording.of_run(run_dir, "", queue)
    began = time.perf_counter()
    found.start()
    wrong = found.end(within_s=120.0)
    taken = time.perf_counter() - began
    if wrong or _count(folder / NAME) != BURST:
        raise RuntimeError(f"not all was written: {wrong}")
    return taken


def bare_s(folder: Path) -> float:
    """Return how long the same rows take in one call of SQLite's driver, in batches of a thousand."""
    rows = [
        (1, float(n), "result", "node1", "enginelab.testcell.prep_node : Check the node", "ok", 0.512, "")
        for n in range(BURST)
    ]
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        columns = ("run_id", *recording.NAMES)
        connection.execute(f"CREATE TABLE events (id INTEGER PRIMARY KEY, {', '.join(columns)})")
        connection.execute("CREATE INDEX events_by_run ON events (run_id)")
        began = time.perf_counter()
        for start in range(0, BURST, 1_000):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(recording.INSERT, rows[start : start + 1_000])
            connection.execute("COMMIT")
        return time.perf_counter() - began


def _run_dir(folder: Path, run_id: str = "20260101_000000") -> Path:
    run_dir = folder / run_id
    run_dir.mkdir(parents=True)
    (run_dir / "plan.json").write_text(json.dumps({"run_id": run_id, "started_at": 0.0}))
    return run_dir


def _count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        found: int = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        return found


def environment() -> Path:
    """Return the folder of programs with ARA and an Ansible of our version, which is installed once, apart from all else."""
    programs = ARA_FOLDER / "bin"
    if not (programs / "ara-manage").is_file():
        subprocess.run([sys.executable, "-m", "venv", ARA_FOLDER], check=True)
        wanted = [ARA, f"ansible-core=={metadata.version('ansible-core')}"]
        subprocess.run([programs / "python", "-m", "pip", "install", "-q", *wanted], check=True, capture_output=True)
    return programs


class Playbook:
    """The playbook, called with one recorder or another."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.took = folder / "took.json"
        self._programs = programs
        self._count = 0
        (folder / "hosts").write_text("".join(f"h{number} ansible_connection=local\n" for number in range(HOSTS)))
        (folder / "ansible.cfg").write_text(
            "[defaults]\nstdout_callback = ansible.builtin.minimal\nforks = 20\ngathering = explicit\n"
        )
        found = subprocess.run([programs / "python", "-c", PATH_OF_ARA], check=True, capture_output=True, text=True)
        self._ara = found.stdout.strip()

    def run(self, **variables: str) -> float:
        """Return the seconds of a call in this environment; its run has a folder of its own."""
        self._count += 1
        run_dir = _run_dir(self.folder / "results", f"20260101_{self._count:06d}")
        path = self.folder / "playbook.json"
        opened = {"name": "Open the run", "resolve_run": {"run_dir": str(run_dir)}, "run_once": True}
        tasks = [
            {"name": f"Say {number}", "ansible.builtin.debug": {"msg": f"task {number}"}} for number in range(TASKS)
        ]
        path.write_text(
            json.dumps([{"name": "Bench", "hosts": "all", "gather_facts": False, "tasks": [opened, *tasks]}])
        )
        environ = {
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_ACTION_PLUGINS": str(PLUGINS / "action_plugins"),
            "BENCH_TOOK": str(self.took),
            **variables,
        }
        command = [str(self._programs / "ansible-playbook"), "-i", str(self.folder / "hosts"), str(path)]
        began = time.perf_counter()
        subprocess.run(command, check=True, env=environ, capture_output=True, stdin=subprocess.DEVNULL)
        return time.perf_counter() - began

    def variants(self) -> dict[str, Callable[[], float]]:
        """Return the call with each recorder. timed: ours with a clock in it, which writes `took`."""
        ara = {"ANSIBLE_CALLBACK_PLUGINS": self._ara, "ARA_BASE_DIR": str(self.folder / "ara")}
        return {
            "none": self.run,
            "ours": lambda: self.run(ANSIBLE_CALLBACKS_ENABLED="enginelab.testcell.recorder"),
            "timed": lambda: self.run(**TIMED),
            "ara": lambda: self.run(**ara),
        }


def measured(folder: Path, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median seconds of each variant, each called once a round, and the medians of what ours took itself."""
    playbook = Playbook(folder, environment())
    variants = playbook.variants()
    for call in variants.values():  # the first call of ARA makes its database
        call()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, call in variants.items():
            seconds[name].append(call())
        for name, value in json.loads(playbook.took.read_text()).items():
            took.setdefault(name, []).append(value)
    return ({name: statistics.median(found) for name, found in group.items()} for group in (seconds, took))  # type: ignore[return-value]


def real_run(folder: Path) -> tuple[float, dict[str, float]]:
    """Return the seconds of a run of the embedded baseline, and what ours took of it."""
    folder.mkdir()
    took = folder / "took.json"
    command = [str(rig.BIN / "ansible-playbook"), str(ROOT / "site.yml"), "-i", str(ROOT / "inventories" / "local")]
    command += ["-e", "scenario=001_baseline", "-e", f"results_dir={folder / 'results'}"]
    environ = {**os.environ, **TIMED, "BENCH_TOOK": str(took)}
    began = time.perf_counter()
    streams: dict[str, Any] = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
    done = subprocess.run(command, cwd=ROOT, env=environ, check=False, **streams)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"the run ended with {done.returncode}: {done.stdout}{done.stderr}")
    return seconds, json.loads(took.read_text())


def of_real_runs(folder: Path, rounds: int) -> dict[str, object]:
    """Return the share of a run's time."""
    found = [real_run(folder / f"run_{number}") for number in range(rounds)]
    seconds = statistics.median(one for one, _ in found)
    parts = {part: round(statistics.median(took[part] for _, took in found), 4) for part in PARTS}
    share = sum(parts.values()) / seconds
    facts: dict[str, object] = {"run_s": round(seconds, 3), "rounds": rounds, **parts, **rig.at_most(share, SHARE)}
    return line("E2-share", share, "of the run's time", "the shortest embedded run", 1.0, **facts)


def figures(folder: Path, rounds: int) -> Iterator[dict[str, object]]:
    """Yield all figures."""
    ours = statistics.median(burst_s(folder / f"burst_{number}") for number in range(rounds))
    bare = statistics.median(bare_s(_made(folder / f"bare_{number}")) for number in range(rounds))
    rate = BURST / ours
    held: dict[str, object] = {"target": EVENTS_PER_S, "holds": rate >= EVENTS_PER_S, "events": BURST, "rounds": rounds}
    yield line("E2-events", rate, "events/s into SQLite", "SQLite's driver alone", BURST / bare, **held)
    seconds, took = measured(_made(folder / "playbook"), rounds)
    per_event, wall = (1e6 * took[name] / (TASKS * HOSTS) for name in ("cpu_s", "calls_s"))
    facts: dict[str, object] = {"events": TASKS * HOSTS, "rounds": rounds}
    ara_s = (seconds["ara"] - seconds["none"]) / (TASKS * HOSTS)
    yield line("E2-us", per_event, "us of CPU of Ansible's main thread an event", "ARA, a host-task", 1e6 * ara_s,
               **rig.at_most(per_event, MICROSECONDS), by_the_clock_us=round(wall, 1), **facts)  # fmt: skip
    parts = {part: round(took[part], 4) for part in PARTS}
    total = sum(took[part] for part in PARTS)
    walls = {f"wall_{name}_s": round(value, 3) for name, value in seconds.items()}
    yield of_real_runs(_made(folder / "real"), rounds)
    bare_share = total / seconds["none"]
    told: dict[str, object] = {"target": None, "holds": None, **parts, **walls, **facts}
    yield line(
        "E2-share-empty", bare_share, "of an empty playbook's time", "the playbook without a recorder", 1.0, **told
    )
    times = (seconds["ara"] - seconds["none"]) / total
    held = {
        "target": TIMES_CHEAPER,
        "holds": times >= TIMES_CHEAPER,
        "times_cheaper": round(times, 1),
        "rounds": rounds,
    }
    yield line("E2-ara", 1e3 * total / (TASKS * HOSTS), "ms a host-task", ARA, 1e3 * ara_s, **held)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    with tempfile.TemporaryDirectory(prefix="testcell-bench-") as folder:
        return rig.show(figures(Path(folder), 5 if "--full" in sys.argv[1:] else 3))


if __name__ == "__main__":
    raise SystemExit(main())
