# SPDX-License-Identifier: MIT
"""Kills the controller at random moments of a run and lets the run go on: JSON lines with what was left, touched or run twice.

crash_sweep.py [COUNT] [SEED]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import rig
from rig import BIN, IMAGE, ROOT, Project, Ran, Scenario, Service

COUNT = 30
CASES = ("first", "second")
DECOYS = ("testcell-decoy", "first-sleeper-1")
LIMIT_S = 120.0
SETTLE_S = 3.0
# A line for each time that a test was run to its end.
SCRIPT = 'echo "$TESTCELL_RUN_ID" >> {ledger}'


class Sleeper(Service):
    """A service that does nothing and is ready as soon as it runs."""

    def compose(self, _interval_s: float) -> dict[str, object]:
        """Return the service for a compose file."""
        return {"image": IMAGE, "entrypoint": ["sleep", "600"], "init": True}

    def metadata(self, _interval_s: float) -> dict[str, object]:
        """Return the service for a scenario's metadata."""
        return {"name": self.name, "node": self.node}


@dataclass
class Tally:
    """What the kills have shown, each with the seconds after which it was killed."""

    kills: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=lambda: {"leaked": [], "foreign": [], "twice": [], "torn": []})
    recovery_s: list[float] = field(default_factory=list)

    def note(self, kind: str, what: str) -> None:
        """Note something that may not be."""
        self.wrong[kind].append(what)


@dataclass(frozen=True)
class Cell:
    """One node that is this machine, with a folder of its own, and what runs there."""

    project: Project
    inventory: Path
    root: Path

    def start(self) -> subprocess.Popen[bytes]:
        """Start a run as a user does, in a session of its own."""
        given = {
            "testcell_project_dir": self.project.folder,
            "scenario": ",".join(CASES),
            "results_dir": self.project.folder / "results",
        }
        words = [BIN / "ansible-playbook", "-i", self.inventory, ROOT / "site.yml"]
        command = [*map(str, words), "-e", json.dumps({name: str(value) for name, value in given.items()})]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return subprocess.Popen(
            command,
            cwd=self.project.folder,
            env={**kept, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run our command line to its end."""
        command = [str(BIN / "testcell"), "-C", str(self.project.folder), *words, "-i", str(self.inventory)]
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    def ledger(self, case: str) -> list[str]:
        """Return the run of each time that a case's test was run to its end."""
        path = self.project.folder / f"{case}.ledger"
        return path.read_text().split() if path.exists() else []

    def left(self) -> list[str]:
        """Return what of ours is on the node, when what ends by itself has had a moment for that."""
        deadline = time.monotonic() + SETTLE_S
        while (found := self._seen()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _seen(self) -> list[str]:
        """Return objects by label, folders of runs, marked processes, and programs that wait for requests."""
        found = []
        for kind in ("container ls -aq", "network ls -q", "volume ls -q"):
            found += docker(*kind.split(), "--filter", "label=testcell.run")
        runs = self.root / "runs"
        found += [str(path) for path in runs.iterdir()] if runs.is_dir() else []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                marked = b"TESTCELL_UNIT=" in (path / "environ").read_bytes()
                if marked or str(self.root).encode() in (path / "cmdline").read_bytes():
                    found.append(f"process {path.name}")
        return found


def docker(*words: str) -> list[str]:
    """Return the words that docker prints; CalledProcessError when it fails."""
    return subprocess.run(
        ["docker", *words], check=True, capture_output=True, text=True, timeout=LIMIT_S
    ).stdout.split()


@contextmanager
def cell() -> Iterator[Cell]:
    """Make a project of two scenarios and an inventory of one node, which is this machine."""
    with rig.project() as project:
        shutil.copy(ROOT / "site.yml", project.folder)
        root = project.folder / "node"
        inventory = project.folder / "hosts"
        inventory.write_text(f"here ansible_connection=local testcell_node_root={root}\n")
        for name in CASES:
            script = SCRIPT.format(ledger=project.folder / f"{name}.ledger")
            project.write(Scenario(name, (Sleeper("sleeper", node="here"),), script=script, test_node="here"))
        here = Cell(project, inventory, root)
        try:
            yield here
        finally:
            here.command("cleanup", "--all")


@contextmanager
def decoys() -> Iterator[dict[str, str]]:
    """Have containers of a stranger with names like ours, and return name -> id and start."""
    for name in DECOYS:
        docker(
            "run",
            "-d",
            "--name",
            name,
            "--label",
            "com.docker.compose.project=first",
            "--entrypoint",
            "sleep",
            IMAGE,
            "3600",
        )
    try:
        yield seen_decoys()
    finally:
        for name in DECOYS:
            subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)


def seen_decoys() -> dict[str, str]:
    """Return name -> id and start of the stranger's containers that run."""
    found = {}
    for name in DECOYS:
        words = ["docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", name]
        found[name] = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return found


def kill_once(here: Cell, after_s: float, foreign: dict[str, str], tally: Tally) -> None:
    """Start a run, kill its controller after a while, let the run go on, and look at what is there then."""
    known = set(here.project.runs)
    process = here.start()
    with suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(LIMIT_S)
    label = f"after {after_s:.3f} s"
    began = time.monotonic()
    new = [run for run in here.project.runs if run not in known]
    plan = bool(new) and (new[0] / "plan.json").exists()
    step = _recover(here, new[0], label, tally) if plan else _nothing_begun(here, label, tally)
    tally.recovery_s.append(time.monotonic() - began)
    tally.kills[step] = tally.kills.get(step, 0) + 1
    left = here.left()
    if left:
        tally.note("leaked", f"{label} in {step}: {' '.join(left)}")
        here.command("cleanup", "--all")
    if seen_decoys() != foreign:
        tally.note("foreign", f"{label} in {step}")


def _nothing_begun(here: Cell, label: str, tally: Tally) -> str:
    done = here.command("cleanup", "--all")
    if done.returncode:
        tally.note("torn", f"{label} before a plan: cleanup ended with {done.returncode}: {done.stderr[-500:]}")
    return "before a plan"


def _recover(here: Cell, run: Path, label: str, tally: Tally) -> str:
    """Let a run go on, hold what it says against what was run, and return the step in which it was killed."""
    journal = Ran(0.0, run).journal()
    step = str(journal[-1]["step"]) if journal else "opening"
    finished = {name for place, name in enumerate(CASES) if any(run.glob(f".board/*/run/case-record.{place}.json"))}
    if (run / "summary.json").exists():
        step = "after the summary"
    else:
        done = here.command("resume", run.name)
        # The last worker of a killed controller may have ended the run meanwhile.
        if done.returncode and not (run / "summary.json").exists():
            tally.note(
                "torn",
                f"{label} in {step}: resume ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-1500:]}",
            )
            return step
    summary = json.loads((run / "summary.json").read_text())
    verdicts = [(case["scenario"], case["verdict"]) for case in summary["cases"]]
    if verdicts != [(name, "pass") for name in CASES]:
        tally.note("torn", f"{label} in {step}: {verdicts}")
    for name in CASES:
        count = here.ledger(name).count(run.name)
        if count < 1 or count > (1 if name in finished else 2):
            tally.note("twice", f"{label} in {step}: the test of {name} was run {count} times")
    return step


def main() -> int:
    """Print one line a figure; return 1 when anything was leaked, touched, run twice or torn."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    chance, tally = random.Random(seed), Tally()
    with cell() as here, decoys() as foreign:
        began = time.monotonic()
        here.start().wait(LIMIT_S)
        whole_s = time.monotonic() - began
        for _ in range(count):
            kill_once(here, chance.uniform(0.0, whole_s * 1.05), foreign, tally)
    for kind, found in tally.wrong.items():
        line = rig.line(f"C1-{kind}", len(found), "of the kills", "the target", 0, target=0, holds=not found)
        print(json.dumps({**line, "kills": count, "seed": seed, "found": found[:20]}), flush=True)
    recovery = sorted(tally.recovery_s)[len(tally.recovery_s) // 2]
    print(
        json.dumps(
            {
                "figure": "C1-kills",
                "value": count,
                "unit": "kills",
                "by_step": tally.kills,
                "recovery_s": round(recovery, 2),
            }
        )
    )
    return int(any(tally.wrong.values()))


if __name__ == "__main__":
    raise SystemExit(main())
