# SPDX-License-Identifier: MIT
"""Kills the controller in each step and at random moments, and lets the run go on: JSON lines with what was left, touched
or run twice.

crash_sweep.py [COUNT] [SEED]: every third kill is on the lab's nodes where the lab is up, every third one comes
again while the run is put right.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crash_cells
import rig
from crash_cells import CASES, LIMIT_S, Cell
from rig import INVENTORY, Ran

from testcell import signals

COUNT = 30
SAY_EVERY = 25
# Each step of a run, and the fault of the catalogue that a kill in it is.
FAULTS = {
    "opening": "F01",
    "open": "F01",
    "lease": "F01",
    "prep": "F01",
    "upload": "F02",
    "deploy": "F02",
    "ready": "F03",
    "test": "F04",
    "collect": "F05",
    "stop": "F06",
    "clean": "F06",
    "verify": "F06",
    "report": "F06",
}
OVER = "after the summary"
LOOK_S = 0.002
# A step is so short that a kill comes while it lasts or just after it.
BRIEF_S = 0.02
# The share of kills after which what puts the run right is killed, too.
AGAIN = 1 / 3


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass
class Tally:
    """What the kills have shown. kills and again: by step; recovery_s: of each."""

    kills: dict[str, int] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    cells: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=lambda: {"leaked": [], "foreign": [], "twice": [], "torn": []})
    recovery_s: list[float] = field(default_factory=list)

    def note(self, kind: str, what: str) -> None:
        """Note something that may not be, and say so at once: a long sweep may not come to its end."""
        self.wrong[kind].append(what)
        _say(f"{kind}: {what}")

    def wanted(self, place: int) -> str:
        """Return the step that was hit least so far; now and then "" for any moment. place: of the kill, from 0."""
        if place % (len(FAULTS) + 1) == len(FAULTS):
            return ""
        return min(FAULTS, key=lambda step: self.kills.get(step, 0))

    def count(self, counts: dict[str, int], name: str) -> None:
        """Count one more of a name."""
        counts[name] = counts.get(name, 0) + 1


@dataclass(frozen=True)
class Moment:
    """When a run is killed: so long after its start, or after a step of a case has begun."""

    seconds: float
    step: str = ""
    case: str = ""

    def __str__(self) -> str:
        return f"{self.seconds:.3f} s after the {f'begin of {self.step} of {self.case}' if self.step else 'start'}"

    def wait(self, cell: Cell, process: subprocess.Popen[bytes], known: set[Path]) -> None:
        """Wait for the moment, or for the end of the run."""
        deadline = time.monotonic() + LIMIT_S
        while self.step and process.poll() is None and time.monotonic() < deadline and not self._come(cell, known):
            time.sleep(LOOK_S)
        with suppress(subprocess.TimeoutExpired):
            process.wait(self.seconds)

    def _come(self, cell: Cell, known: set[Path]) -> bool:
        entries = [entry for run in cell.project.runs if run not in known for entry in Ran(0.0, run).journal()]
        mine = [(entry["step"], entry["phase"]) for entry in entries if entry.get("scenario") == self.case]
        if self.step == "report":
            return mine.count(("verify", "end")) == len(cell.nodes)
        return (self.step, "event" if self.step == "open" else "begin") in mine


@dataclass(frozen=True)
class Pace:
    """How long a run of a cell takes that nobody kills, and its steps."""

    whole_s: float
    step_s: dict[str, float]

    def moment(self, step: str, chance: random.Random) -> Moment:
        """Return a moment in a step; "" for any moment of the run."""
        if not step:
            return Moment(chance.uniform(0.0, self.whole_s * 1.05))
        if step == "opening":
            return Moment(chance.uniform(0.0, self.step_s["opening"]))
        return Moment(chance.uniform(0.0, self.step_s.get(step, BRIEF_S)), step, chance.choice(CASES))


def pace(cell: Cell) -> Pace:
    """Run the cases once to their end."""
    began, began_unix = time.monotonic(), time.time()
    if cell.start().wait(LIMIT_S):
        raise RuntimeError(f"a run that nobody kills did not pass on {cell.name}")
    whole_s = time.monotonic() - began
    entries = Ran(0.0, cell.project.runs[-1]).journal()
    steps = {step: _length_s(entries, step) for step in FAULTS if step not in ("opening", "open", "report")}
    return Pace(whole_s, {"opening": entries[0]["t"] - began_unix, **steps})


def _length_s(entries: list[dict[str, Any]], step: str) -> float:
    mine = [entry for entry in entries if (entry["step"], entry.get("scenario")) == (step, CASES[-1])]
    return float(mine[-1]["t"] - mine[0]["t"])


@dataclass
class Killed:
    """A run that is killed and put right. allowed: how often the test of each case may have been run."""

    cell: Cell
    label: str
    run: Path | None = None
    step: str = "opening"
    allowed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CASES, 1))

    @property
    def over(self) -> bool:
        """Return whether the run has its summary."""
        return self.run is not None and (self.run / "summary.json").exists()

    @property
    def planned(self) -> bool:
        """Return whether the run has a plan, so that it can go on."""
        return self.run is not None and (self.run / "plan.json").exists()

    def look(self) -> str:
        """Return the step in which the controller was killed just now; cases without a result may be run once more."""
        if self.run is None or not self.planned:
            return "opening"
        for place, name in enumerate(CASES):
            ended = self.over or any(self.run.glob(f".board/*/run/case-record.{place}.json"))
            self.allowed[name] += not ended
        return OVER if self.over else step_of(Ran(0.0, self.run).journal(), len(self.cell.nodes))


def step_of(journal: list[dict[str, Any]], nodes: int) -> str:
    """Return the step to which the last entry belongs; when all nodes of a case are verified, its report follows."""
    if not journal:
        return "opening"
    last = journal[-1]
    if (last["step"], last["phase"]) != ("verify", "end"):
        return "opening" if last["step"] == "resume" else str(last["step"])
    same = [entry for entry in journal if entry.get("scenario") == last["scenario"]]
    ended = 0
    for entry in reversed(same):
        if (entry["step"], entry["phase"]) == ("open", "event"):
            break
        ended += (entry["step"], entry["phase"]) == ("verify", "end")
    return "report" if ended == nodes else "verify"


def kill_once(cell: Cell, moment: Moment, again_s: float, foreign: dict[str, str], tally: Tally) -> None:
    """Start a run, kill its controller, put it right, and look at what is there then.

    again_s: after so many seconds what puts it right is killed, too, and begun anew; 0 for not.
    """
    known = set(cell.project.runs)
    process = cell.start()
    moment.wait(cell, process, known)
    end(process)
    killed = Killed(cell, f"{cell.name}, {moment}", next((run for run in cell.project.runs if run not in known), None))
    killed.step = killed.look()
    if again_s:
        _kill_again(killed, again_s, tally)
    began = time.monotonic()
    _recover(killed, tally)
    tally.recovery_s.append(time.monotonic() - began)
    tally.count(tally.kills, killed.step)
    tally.count(tally.cells, cell.name)
    left = cell.left()
    if left:
        tally.note("leaked", f"{killed.label} in {killed.step}: {' '.join(left)}")
        cell.command("cleanup", "--all")
    if cell.strangers() != foreign:
        tally.note("foreign", f"{killed.label} in {killed.step}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a controller as a whole: its process group, and that of Ansible where our command line has started it."""
    if process.poll() is None:
        groups = {process.pid}
        for child in signals.children(process.pid):
            with suppress(ProcessLookupError):
                groups.add(os.getpgid(child))
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
    process.wait(LIMIT_S)


def _kill_again(killed: Killed, after_s: float, tally: Tally) -> None:
    """Begin to put the run right, and kill that, too: a cleaning after a kill in F06's steps and before a plan, else the resume."""
    cleaning = killed.over or not killed.planned or FAULTS.get(killed.step) == "F06"
    words = ["resume", str(killed.run.name)] if killed.run and not cleaning else ["cleanup", "--all"]
    process = killed.cell.begun(*words)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    end(process)
    what = f"resume in {killed.look()}" if not cleaning else f"cleanup after {killed.step}"
    tally.count(tally.again, what)
    killed.label += f"; {words[0]} killed after {after_s:.3f} s"


def _recover(killed: Killed, tally: Tally) -> None:
    """Let the run go on, or clean where there is nothing to go on with, and hold what it says against what was run."""
    cell, run, where = killed.cell, killed.run, f"{killed.label} in {killed.step}"
    if run is None or not killed.planned:
        done = cell.command("cleanup", "--all")
        if done.returncode:
            tally.note("torn", f"{where}: cleanup ended with {done.returncode}: {done.stderr[-500:]}")
        return
    if not killed.over:
        done = cell.command("resume", run.name)
        # The last worker of a killed controller may have ended the run meanwhile.
        if done.returncode and not killed.over:
            tally.note(
                "torn", f"{where}: resume ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-1500:]}"
            )
            return
    summary = json.loads((run / "summary.json").read_text())
    verdicts = [(case["scenario"], case["verdict"]) for case in summary["cases"]]
    if verdicts != [(name, "pass") for name in CASES]:
        tally.note("torn", f"{where}: {verdicts}")
    for name in CASES:
        count = cell.ledger(name).count(run.name)
        if not 1 <= count <= killed.allowed[name]:
            tally.note("twice", f"{where}: the test of {name} was run {count} times, allowed {killed.allowed[name]}")


def lines(tally: Tally, count: int, seed: int) -> list[dict[str, object]]:
    """Return the figures: what may never be, and where the kills came."""
    found: list[dict[str, object]] = []
    for kind, wrong in tally.wrong.items():
        line = rig.line(f"C1-{kind}", len(wrong), "of the kills", "the target", 0, target=0, holds=not wrong)
        found.append({**line, "kills": count, "seed": seed, "found": wrong[:20]})
    hit = sum(step in tally.kills for step in FAULTS)
    line = rig.line("C1-steps", hit, "steps in which a kill came", "all steps", len(FAULTS), target=None, holds=None)
    by_step = {f"{FAULTS.get(step, '-')} {step}": tally.kills[step] for step in (*FAULTS, OVER) if step in tally.kills}
    facts = {"kills": count, "on": tally.cells, "by_step": by_step, "again": dict(sorted(tally.again.items()))}
    missed = [f"{FAULTS[step]} {step}" for step in FAULTS if step not in tally.kills]
    return [*found, {**line, **facts, "missed": missed, "recovery_s": round(statistics.median(tally.recovery_s), 2)}]


def main() -> int:
    """Print one line a figure; return 1 when anything was leaked, touched, run twice or torn."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    chance, tally = random.Random(seed), Tally()
    with ExitStack() as stack:
        cells = [stack.enter_context(crash_cells.local())]
        cells += [stack.enter_context(crash_cells.lab())] if INVENTORY.exists() else []
        paces = {cell.name: pace(cell) for cell in cells}
        foreign = {cell.name: cell.strangers() for cell in cells}
        for place in range(count):
            cell = cells[-1] if place % 3 == 2 else cells[0]
            whole = paces[cell.name]
            again_s = chance.uniform(0.0, whole.whole_s) if chance.random() < AGAIN else 0.0
            moment = whole.moment(tally.wanted(place), chance)
            kill_once(cell, moment, again_s, foreign[cell.name], tally)
            if (place + 1) % SAY_EVERY == 0:
                _say(f"{place + 1} of {count} kills, {sum(map(len, tally.wrong.values()))} wrong")
    for line in lines(tally, count, seed):
        print(json.dumps(line), flush=True)
    return int(any(tally.wrong.values()))


if __name__ == "__main__":
    raise SystemExit(main())
