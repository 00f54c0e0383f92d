# SPDX-License-Identifier: MIT
"""A fault in each call by which a controller changes a run's folder: JSON lines with how many of them it stood.

syscall_sweep.py [COUNT] [SEED]: COUNT points drawn by chance, 0 for all of them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import rig
import run_writer
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan as run_plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import resuming
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import run_board
from run_checks import FOUND, Broken, Tree, check_no_secret, check_proof, check_readers, check_shapes, tree
from run_writer import SCENARIOS, SECRET, Answer, Place
from tracing import Call, Traced, traced

from testcell import closing
from testcell.exits import Exit

WORKS: dict[str, Callable[[Place], Answer]] = {
    "run": run_writer.write_run,
    "resume": run_writer.go_on,
    "close": run_writer.cut_short,
}
KILL, FULL = "KILL", "ENOSPC for good"
# What is injected -> the error kind that must be told; "" where Python tries again by itself.
ERRORS = {"ENOSPC": "disk_full", "EIO": "io_error", "EINTR": "", FULL: "disk_full"}
FILLING = ("write", "mkdir")
WORDS = {"disk_full": "No space left on device", "io_error": "Input/output error"}
# Folders that come into being as a whole.
WHOLE = ("test_artifacts", "nodes/n1", "nodes/n2")
# Where the second case is interrupted for the works that begin with a run cut short.
INTERRUPTED = ('"step":"deploy","phase":"begin","scenario":"second"', "journal.jsonl")
REMOVING = ("unlink", "unlinkat", "rmdir")


@dataclass(frozen=True)
class Point:
    """A fault at one call of one work."""

    work: str
    call: Call
    fault: str

    @property
    def inject(self) -> str:
        """Return strace's words for the fault."""
        what = "signal=KILL" if self.fault == KILL else f"error={self.fault.split()[0]}"
        return f"{self.call.name}:{what}:when={self.call.ordinal}{'+' if self.fault == FULL else ''}"

    def __str__(self) -> str:
        return f"{self.work}: {self.fault} at {self.call.name} {self.call.ordinal}: {self.call.shown[:160]}"


@dataclass(frozen=True)
class Work:
    """One work as it goes without a fault: what is there before it, what it calls, what is there then."""

    name: str
    before: Path
    calls: tuple[Call, ...]
    began_with: Tree
    ended_with: Tree


@dataclass
class Score:
    """How many points there were and held, by what was done to which call; and what did not hold."""

    held: dict[str, list[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def note(self, point: Point, wrong: str) -> None:
        """Note how a point ended; wrong: "" when it held."""
        counts = self.held.setdefault(f"{point.fault} {point.call.name}", [0, 0])
        counts[0] += not wrong
        counts[1] += 1
        if wrong:
            self.wrong.append(f"{point}: {wrong}")

    @property
    def total(self) -> int:
        """Return how many points there were."""
        return sum(counts[1] for counts in self.held.values())


@dataclass(frozen=True)
class Sweep:
    """The folder in which one run after the other is written, always at the same path, and the works as they should go."""

    place: Place
    works: dict[str, Work]

    def points(self) -> list[Point]:
        """Return a point for each call that changes the run's folder, and each fault."""
        found = []
        for work in self.works.values():
            for call in work.calls:
                if call.writes_below(self.place.results):
                    faults = [KILL, *(name for name in ERRORS if name != FULL or call.name in FILLING)]
                    found += [Point(work.name, call, fault) for fault in faults]
        return found

    def wrong(self, point: Point) -> str:
        """Return what is wrong after a fault, "" when everything is as it should be."""
        work = self.works[point.work]
        _restore(work.before, self.place)
        done = _done(point.work, self.place, point.inject)
        try:
            if not done.injected:
                raise Broken("the call did not come")
            check_readers(self.place.run)
            if point.fault == KILL:
                self._check_kill(work)
            else:
                self._check_error(work, point, done)
        except FOUND as exc:
            return f"{type(exc).__name__}: {exc}"
        return ""

    def _check_kill(self, work: Work) -> None:
        """Hold what a killed controller left against what is there without the kill; then the run goes on, or is closed."""
        place = self.place
        for name, content in tree(place.run).items():
            if content not in (work.began_with.get(name), work.ended_with.get(name)):
                raise Broken(f"{name} is neither what it was nor what it should be")
        _check_whole_folders(place, self.works["run"].ended_with)
        if (place.run / resuming.SUMMARY).exists():
            check_proof(place.run)
            check_no_secret(place.run, SECRET)
            return
        with _copied(place):
            self._check_close()
        self._check_resume(work)

    def _check_close(self) -> None:
        if not closing.began(self.place.run):
            return
        answer = run_writer.cut_short(self.place)
        if answer.code != Exit.INFRASTRUCTURE or "controller_died" not in answer.kinds:
            raise Broken(f"closed with {answer}")
        check_shapes(self.place.run)
        check_proof(self.place.run)
        check_no_secret(self.place.run, SECRET)

    def _check_resume(self, work: Work) -> None:
        """Let the run go on: it passes, finished cases are not run again, and what they left is whole."""
        place = self.place
        why = resuming.refusal(place.run)
        if why:
            # A run that was being closed does not go on; one without a plan never began.
            closed = work.name == "close" and "is not kept any more" in why
            if not closed and (closing.began(place.run) or "there is no plan" not in why):
                raise Broken(f"the run cannot go on: {why}")
            return
        boards = run_plan.load(place.run).boards
        finished = {SCENARIOS[int(index)] for index in run_board(boards).notes("case-record.")}
        answer = run_writer.go_on(place)
        if answer.code != Exit.PASS:
            raise Broken(f"the run went on and ended with {answer}")
        whole = self.works["run"].ended_with
        now = tree(place.run)
        for name in SCENARIOS:
            count = sum(
                (entry["step"], entry["phase"], entry.get("scenario")) == ("test", "end", name)
                and "exit_code" in (entry.get("detail") or {})
                for entry in journal.read(place.run)
            )
            if count != 1 and (name in finished or count > 2):
                raise Broken(f"the test of {name} was run {count} times")
            missing = [
                path for path in whole if path.startswith(f"{name}/test_artifacts") and now.get(path) != whole[path]
            ]
            if missing:
                raise Broken(f"{missing} are not whole after the run went on")
        check_shapes(place.run)
        check_proof(place.run)
        check_no_secret(place.run, SECRET)

    def _check_error(self, work: Work, point: Point, done: Traced) -> None:
        """Hold what a failed call led to: nothing that matters, or a failure that names file and kind, and exit code 5."""
        if done.broken or done.answer is None:
            raise Broken(f"the work broke: {done.broken or 'no answer'}")
        answer = Answer(**done.answer)
        now = tree(self.place.run)
        check_shapes(self.place.run)
        _check_whole_folders(self.place, self.works["run"].ended_with)
        if now == work.ended_with:
            return
        kind = ERRORS[point.fault]
        told = [text for text in answer.said if str(self.place.results) in text and WORDS.get(kind, "") in text]
        if not told or (kind and kind not in answer.kinds):
            raise Broken(f"the error is not told: {answer}")
        # A node of which the proof could not be kept is not proved clean.
        if answer.code not in (Exit.INFRASTRUCTURE, Exit.NOT_CLEAN):
            raise Broken(f"exit code {answer.code}: {answer}")
        hidden = [
            path.name for path in self.place.run.rglob(".*") if path.name != ".board" and ".board" not in path.parts
        ]
        if hidden and point.call.name not in REMOVING:
            raise Broken(f"left beside the files: {hidden}")
        if (self.place.run / resuming.SUMMARY).exists():
            check_proof(self.place.run)
        else:
            self._check_close()


def _check_whole_folders(place: Place, whole: Tree) -> None:
    """Hold the folders of artifacts against what the nodes have: all of it, or no folder."""
    now = tree(place.run)
    for scenario in SCENARIOS:
        for name in WHOLE:
            base = f"{scenario}/{name}"
            there = {path: now[path] for path in now if path.startswith(f"{base}/")}
            wanted = {path: whole[path] for path in whole if path.startswith(f"{base}/")}
            if (place.run / base).exists() and there != wanted:
                raise Broken(f"{base} has {len(there)} of {len(wanted)} files")


def _done(name: str, place: Place, inject: str = "") -> Traced:
    return traced(lambda: asdict(WORKS[name](place)), inject)


def _restore(before: Path, place: Place) -> None:
    """Put the results folder as it was before a work."""
    shutil.rmtree(place.results, ignore_errors=True)
    shutil.copytree(before, place.results, symlinks=True)


@contextmanager
def _copied(place: Place) -> Iterator[None]:
    """Have the results folder as it is now again afterwards."""
    with tempfile.TemporaryDirectory(dir=place.root) as folder:
        kept = Path(folder) / "kept"
        shutil.copytree(place.results, kept, symlinks=True)
        yield
        _restore(kept, place)


@contextmanager
def sweep() -> Iterator[Sweep]:
    """Let each work go without a fault, twice, and give what a fault is held against."""
    with tempfile.TemporaryDirectory(prefix="testcell-sweep-") as folder:
        place = Place(Path(folder))
        run_writer.furnish(place)
        nothing, half = place.root / "nothing", place.root / "half"
        nothing.mkdir()
        works = {"run": _work("run", nothing, place)}
        stop = next(
            call for call in works["run"].calls if all(word in call.shown.replace("\\", "") for word in INTERRUPTED)
        )
        _restore(nothing, place)
        _done("run", place, Point("run", stop, KILL).inject)
        shutil.copytree(place.results, half, symlinks=True)
        works |= {name: _work(name, half, place) for name in ("resume", "close")}
        yield Sweep(place, works)


def _work(name: str, before: Path, place: Place) -> Work:
    _restore(before, place)
    began = tree(place.run)
    done, ended = _done(name, place), tree(place.run)
    _restore(before, place)
    again = _done(name, place)
    if done.broken or (done.answer, ended, _names(done)) != (again.answer, tree(place.run), _names(again)):
        raise RuntimeError(f"{name} does not do the same twice: {done.broken or again.broken}")
    return Work(name, before, done.calls, began, ended)


def _names(done: Traced) -> list[tuple[str, int]]:
    return [(call.name, call.ordinal) for call in done.calls]


def main() -> int:
    """Print one line; return 1 unless every point held."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    score = Score()
    with sweep() as wide:
        points = wide.points()
        drawn = random.Random(seed).sample(points, min(count, len(points))) if count else points
        for point in drawn:
            score.note(point, wide.wrong(point))
    held = score.total - len(score.wrong)
    line = rig.line(
        "C2",
        held,
        "points that held",
        "all points of the sweep",
        score.total,
        target=score.total,
        holds=not score.wrong,
    )
    rest = {
        "of": len(points),
        "seed": seed,
        "held_and_points": dict(sorted(score.held.items())),
        "wrong": score.wrong[:20],
    }
    print(json.dumps({**line, **rest}), flush=True)
    return int(bool(score.wrong))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    raise SystemExit(main())
