# SPDX-License-Identifier: MIT
"""Faults of all kinds, injected at random by the node's program, while whoever ought to undo them is killed: JSON lines.

soak_faults.py [COUNT] [SEED], or `--short` for a minute of it. Each round is a schedule of some faults at once. In most
rounds something is killed at a random moment: the controller's request, the runner, the guard, or both of them, after which
the next contact undoes. Then a look without the node's program finds nothing.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import fault_cells
import fault_looks
import rig
from fault_cells import CHECKS, PORT, Cell, Refused, kill_group, wait_for
from rig import at_most, line

COUNT, SHORT = 1000, 60
CELLS, SHORT_CELLS = 6, 2
AFTER_S, ENGINE_AFTER_S = 10.0, 60.0  # a fault must be gone so long after its expiry; an engine must start first
SWEEP_S, ROUND_S, LOAD_S = 720.0, 150.0, 30.0  # a sweep that takes longer ends short of its count
OVERLAP = 0.15  # the share of events that are aimed at a target which has one already
AT_ONCE = 0.5  # the share of kills within AT_ONCE_S after a record: before, while or after the fault is injected
AT_ONCE_S, LATER_S = 0.1, 3.0
AGAIN = 1 / 3  # the share of contacts that are killed at work, and followed by another
LOOK_S = 0.02
NOBODY, REQUEST, RUNNER, GUARD, BOTH = "nobody", "request", "runner", "guard", "runner and guard"
KILLED = {NOBODY: 1, REQUEST: 1, RUNNER: 4, GUARD: 1, BOTH: 4}
UNITS = {RUNNER: ("chaos",), GUARD: ("chaos-guard",), BOTH: ("chaos-guard", "chaos")}
OVER = frozenset({"recovered", "unsupported", "not_applied", "target_gone", "not_recovered", "failed", "not_reached"})
WAYS = ("in", "out", "both")
NOT_HERE = {"network_* of the node": "this machine is not ours alone"}
Json = dict[str, Any]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def params(kind: str, rng: random.Random) -> Json:
    """Return what a fault of a kind is told."""
    made: dict[str, Callable[[], Json]] = {
        "restart": lambda: {"grace_s": rng.randint(0, 2)},
        "network_cut": lambda: {"direction": rng.choice(WAYS)},
        "network_loss": lambda: {"direction": rng.choice(WAYS), "loss_pct": rng.randint(20, 80)},
        "network_rate": lambda: {"direction": rng.choice(WAYS), "rate_kbit": rng.choice((64, 512, 4096))},
        "network_delay": lambda: {"direction": rng.choice(WAYS), "delay_ms": rng.randint(20, 120), "jitter_ms": 5},
        "disk_fill": lambda: {"bytes": rng.randint(1, 16) << 20},
        "cpu_stress": lambda: {"cores": 1},
        "memory_stress": lambda: {"memory": rng.randint(4, 48) << 20},
        "clock_jump": lambda: {"jump_s": rng.choice((-86400, -3600, 60, 7200))},
        "pressure": lambda: {"requests_per_s": 20, "concurrency": 2, "port": PORT},
        "dockerd_restart": lambda: {"signal": rng.choice(("TERM", "KILL"))},
    }
    found = made.get(kind, dict)()
    return {**found, "where": "/data"} if kind == "disk_fill" and rng.random() < 0.5 else found


def schedule(cell: Cell, rng: random.Random) -> list[Json]:
    """Return the events of a round: on different targets, but for some."""
    targets = [(one.name, one.kinds) for one in cell.services] + [("", cell.node_kinds)]
    rng.shuffle(targets)
    found = []
    for number in range(len(targets)):
        service, kinds = rng.choice(targets) if rng.random() < OVERLAP else targets[number]
        kind = rng.choice(kinds)
        asked = params(kind, rng)
        if not service:
            asked.pop("where", None)
        times = {"at_s": round(rng.uniform(0, 2), 3), "duration_s": round(rng.uniform(0.1, 3), 3)}
        name = f"{kind}-{number}"
        found.append({"id": name, "kind": kind, "service": service, "params": asked, "recovery_s": 30, **times})
    return found


@dataclass
class Round:
    """One schedule on one node. open: the faults that were open when something was killed; expiries: of each record."""

    cell: Cell
    attempt: int
    rng: random.Random
    events: list[Json] = field(default_factory=list)
    killed: str = NOBODY
    struck: list[str] = field(default_factory=list)
    expiries: dict[str, float] = field(default_factory=dict)
    told: dict[str, list[Json]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    residual: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.cell.name} round {self.attempt} ({self.killed} killed)"

    @property
    def lines(self) -> list[Json]:
        """Return what was told of the events."""
        return [dict(one) for one in fault_cells.lines(self.cell.case_dir(self.attempt) / "soak" / "chaos.jsonl")]

    def of(self, event: str, phase: str) -> list[Json]:
        """Return the lines of one phase of an event."""
        return [one for one in self.told.get(event, ()) if one["phase"] == phase]

    @property
    def known(self) -> set[str]:
        """Return the events of which there was a record."""
        recorded = {event for event in self.told if self.of(event, "record") or self.of(event, "undone")}
        return recorded | self.expiries.keys()

    def after_end_s(self, undone: Json) -> float:
        """Return how long after its planned end a fault was undone (s)."""
        (injected,), (planned,) = self.of(undone["id"], "injected"), self.of(undone["id"], "planned")
        return float(undone["b"] - injected["b"] - planned["duration_s"])

    def run(self) -> None:
        """Begin, kill, wait until everything is undone, and look."""
        cell = self.cell
        self.killed = self.rng.choices(list(KILLED), list(KILLED.values()))[0]
        self.events = schedule(cell, self.rng)
        cell.furnish(self.attempt)
        self._begin()
        if self.killed in UNITS:
            self._kill()
        self._wait()
        ended = self._call("chaos", action="end")
        self.residual += [f"end: {one['id']}: {one['left']}" for one in ended.get("left", ())]
        self.told = {event["id"]: [] for event in self.events}
        for one in self.lines:
            self.told[one["id"]].append(one)
        self._judge()
        self.residual += fault_looks.left(cell)

    def _call(self, op: str, **args: Any) -> Json:
        """Return the result of an operation, {} where it is refused, which may not be."""
        try:
            return self.cell.call(self.attempt, op, **args)
        except Refused as exc:
            self.wrong.append(str(exc))
            return {}

    def _begin(self) -> None:
        """Begin as a controller does; one that is killed is followed by another, which begins the same again."""
        checks = {name: check for name, check in CHECKS.items() if name in self.cell.containers}
        args: Json = {"action": "begin", "schedule": self.events, "checks": checks, "duration_s": LOAD_S}
        if self.killed == REQUEST:
            request = self.cell.started(self.attempt, "chaos", **args)
            time.sleep(self.rng.uniform(0, 0.6))
            kill_group(request)
        self._call("chaos", **args)
        self._call("soak", action="mark", duration_s=LOAD_S)

    # -- its kill ------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        """Kill at a random moment after a random one of the records."""
        number = self.rng.randint(1, len(self.events) - 2)
        wait_for(lambda: len(self._records()) >= number or self._is_over(), ROUND_S, LOOK_S)
        time.sleep(self.rng.uniform(0, AT_ONCE_S if self.rng.random() < AT_ONCE else LATER_S))
        self.struck = self._open()
        alone = self.rng.random() < 0.3
        for unit in UNITS[self.killed]:
            path = self.cell.case_dir(self.attempt) / "unit" / unit / "status.json"
            status = json.loads(path.read_text())
            for pid in [status["pid"]] if alone else [status["supervisor_pid"], status["pid"]]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _records(self) -> dict[str, Json]:
        """Return the records on disk, and remember their expiries."""
        found = {}
        for path in (self.cell.root / "chaos" / self.cell.run).glob("*.json"):
            with suppress(FileNotFoundError):
                found[path.stem] = json.loads(path.read_text())
        self.expiries.update({name: record["expires"] for name, record in found.items()})
        return found

    def _open(self) -> list[str]:
        return [name for name, record in self._records().items() if record["state"] != "undone"]

    def _is_over(self) -> bool:
        ended = {one["id"] for one in self.lines if one["phase"] in OVER}
        return len(ended) == len(self.events)

    # -- its end -------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until all is over, or undone where the runner was killed; what is still there past its time is residual."""
        if self.killed == BOTH:
            time.sleep(self.rng.uniform(0, LATER_S))
            self._contact()
        elif self.killed == RUNNER:
            wait_for(lambda: not self._open() or self._overdue(), ROUND_S, LOOK_S * 5)
        else:
            wait_for(lambda: self._is_over() or self._overdue(), ROUND_S, LOOK_S * 5)
            if not self._is_over():
                self.wrong.append("not every event has ended")
        late = self._overdue() if self.killed != BOTH else self._open()
        self.residual += [f"{name} is open past its time" for name in late]

    def _overdue(self) -> list[str]:
        """Return the open faults that should have been gone for AFTER_S."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return [name for name in self._open() if now > self.expiries[name] + self.allowed_s()]

    def allowed_s(self) -> float:
        """Return how long after its expiry a fault may be there: longer where an engine has to start first."""
        return ENGINE_AFTER_S if any(event["kind"] == "dockerd_restart" for event in self.events) else AFTER_S

    def _contact(self) -> None:
        """Have the next contact undo: of this run, or of another one that finds its faults; it may be killed at that."""
        other = "" if self.rng.random() < 0.5 else f"{self.cell.run}x"
        if self.rng.random() < AGAIN:
            contact = self.cell.started(self.attempt, "chaos", other, action="undo")
            time.sleep(self.rng.uniform(0.1, 0.8))
            kill_group(contact)
        found = self._call("chaos", run=other, action="undo")
        self.residual += [f"contact: {one['id']}: {one['left']}" for one in found.get("left", ())]

    def _judge(self) -> None:
        """Note each event that was not told honestly to its end."""
        for event, told in self.told.items():
            phases = [one["phase"] for one in told]
            ends = [phase for phase in phases if phase in OVER]
            if len(ends) > 1 or (not ends and self.killed not in (RUNNER, BOTH)):
                self.wrong.append(f"{event} ends {len(ends)} times: {phases}")
            if event in self.known and (phases.count("undone"), phases.count("verified")) != (1, 1):
                self.wrong.append(f"{event} is not undone and verified once: {phases}")
            if any(one.get("left") for one in told):
                self.wrong.append(f"{event} left something: {told}")


@dataclass
class Tally:
    """What the rounds have shown."""

    count: int
    began: float = field(default_factory=time.monotonic)
    rounds: list[Round] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def injected(self) -> int:
        """Return how many faults were injected so far."""
        return sum(bool(one.of(event, "injected")) for one in self.rounds for event in one.told)

    def note(self, one: Round) -> None:
        """Take a round in, and say at once what is wrong with it."""
        with self.lock:
            self.rounds.append(one)
            for text in (*one.wrong, *one.residual):
                _say(f"{one}: {text}")

    def done(self) -> bool:
        """Return whether enough was injected, or the time is over."""
        with self.lock:
            return self.injected >= self.count or time.monotonic() - self.began > SWEEP_S

    def all(self, phase: str) -> Iterator[tuple[Round, Json]]:
        """Yield each line of a phase with its round."""
        for one in self.rounds:
            for event in one.told:
                yield from ((one, told) for told in one.of(event, phase))


def rounds(cell: Cell, tally: Tally, seed: int) -> None:
    """Run round after round on a node until enough was injected."""
    for attempt in itertools.count(1):
        if tally.done() or attempt > tally.count:
            return
        one = Round(cell, attempt, random.Random(f"{seed}:{cell.name}:{attempt}"))
        one.run()
        tally.note(one)


def quantiles(values: list[float]) -> Json:
    """Return median, 95th percentile and largest of some seconds, by nearest rank."""
    ordered = sorted(values) or [0.0]
    ranks = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {name: round(ordered[math.ceil(rank * len(ordered)) - 1], 3) for name, rank in ranks.items()}


def figures(tally: Tally, seed: int) -> Iterator[dict[str, object]]:
    """Yield what the rounds have shown."""
    yield from _injected(tally, seed)
    yield from _undone(tally)
    yield from _killed(tally)


def _injected(tally: Tally, seed: int) -> Iterator[dict[str, object]]:
    injected = [told for _, told in tally.all("injected")]
    kinds = dict(Counter(told["kind"] for told in injected))
    ends = dict(Counter(told["phase"] for phase in sorted(OVER) for _, told in tally.all(phase)))
    held = {"target": tally.count, "holds": len(injected) >= tally.count}
    failed = Counter(f"{told['kind']}: {told['why']}"[:200] for _, told in tally.all("failed"))
    facts = {"kinds": kinds, "ends": ends, "failed": dict(failed.most_common(10))}
    machine = {"lacking": lacking(tally), "not_done": NOT_HERE, "seed": seed}
    yield line("G1-injected", len(injected), "faults", "rounds", len(tally.rounds), **held, **facts, **machine)
    yield from _felt(tally, injected)


def _felt(tally: Tally, injected: list[Json]) -> Iterator[dict[str, object]]:
    """Yield how many effects were felt; one that was not must not be told as survived."""
    effects = [(one, told) for one, told in tally.all("effect") if one.of(told["id"], "injected")]
    missed = [(one, told) for one, told in effects if not told["applied"]]
    survived = [f"{one}: {told['id']}" for one, told in missed if one.of(told["id"], "recovered")]
    why = Counter(f"{told['kind']}: {told['why']}"[:120] for _, told in missed)
    held = {**at_most(len(survived), 0), "killed_before": len(injected) - len(effects), "survived": survived}
    felt, facts = len(effects) - len(missed), {"missed": dict(why.most_common(10))}
    yield line("G1-felt", felt, "faults", "effects that were measured", len(effects), **held, **facts)


def lacking(tally: Tally) -> dict[str, str]:
    """Return kind -> why this machine cannot do it."""
    found = {told["kind"]: told["why"] for _, told in tally.all("unsupported")}
    known = {kind for one in tally.rounds for service in one.cell.services for kind in service.kinds}
    return found if "clock_jump" in known else {**found, "clock_jump": "no libfaketime that works can be had"}


def _undone(tally: Tally) -> Iterator[dict[str, object]]:
    known = sum(len(one.known) for one in tally.rounds)
    proved = [told for _, told in tally.all("verified") if told["left"] == []]
    held: dict[str, object] = {"target": known, "holds": len(proved) == known}
    yield line("G1-undone", len(proved), "faults undone and proved to be gone", "records", known, **held)
    left = [text for one in tally.rounds for text in one.residual]
    yield line("G1-residual", len(left), "things left", "records", known, **at_most(len(left), 0), left=left[:20])
    wrong = [f"{one}: {text}" for one in tally.rounds for text in one.wrong]
    held = at_most(len(wrong), 0)
    yield line("G1-dishonest", len(wrong), "events not told to their end", "records", known, **held, wrong=wrong[:20])


def _killed(tally: Tally) -> Iterator[dict[str, object]]:
    undone = list(tally.all("undone"))
    whom = dict(Counter(told["by"] for _, told in undone))
    told = {"target": None, "holds": None}
    yield line("G1-undone-by", len(undone), "faults", "rounds", len(tally.rounds), **told, by=whom)
    yield from _seconds(undone)
    struck = [one for one in tally.rounds if one.struck]
    kills = dict(Counter(one.killed for one in struck))
    spoilt = [str(one) for one in struck if one.residual or one.wrong]
    held, facts = at_most(len(spoilt), 0), {"by": kills, "faults_open": sum(len(one.struck) for one in struck)}
    unit, peer = "kills with something left", "kills while a fault was open"
    yield line("G1-F63", len(spoilt), unit, peer, len(struck), **held, **facts)


def _seconds(undone: list[tuple[Round, Json]]) -> Iterator[dict[str, object]]:
    """Yield how long after its expiry the guard has undone a fault, and how long after its planned end the runner has."""
    by_guard = [(one, told) for one, told in undone if told["by"] == "guard" and told["id"] in one.expiries]
    guard = [(one.allowed_s() > AFTER_S, told["b"] - one.expiries[told["id"]]) for one, told in by_guard]
    within, later = ([seconds for waits, seconds in guard if waits is wanted] for wanted in (False, True))
    held = at_most(max(within, default=0.0), AFTER_S)
    for kind, seconds in (("", within), ("-beside-an-engine", later)):
        name, found = f"G1-expiry-to-undone{kind}", quantiles(seconds)
        told = held if not kind else {"target": None, "holds": None}
        yield line(
            name, found["max"], "s at most, by the guard", "the limit", AFTER_S, **told, **found, count=len(seconds)
        )
    runner = [
        one.after_end_s(told) for one, told in undone if told["by"] == "runner" and one.of(told["id"], "injected")
    ]
    found, told = quantiles(runner), {"target": None, "holds": None}
    name, unit = "G1-end-to-undone", "s at most, by the runner"
    yield line(name, found["max"], unit, "the limit", AFTER_S, **told, **found, count=len(runner))


def sweep(count: int, cells: int, seed: int) -> Tally:
    """Return what so many injections on so many nodes, and one more with an engine of its own, have shown."""
    tally = Tally(count)
    with fault_cells.nodes(cells, engine=True) as made, ThreadPoolExecutor(len(made)) as pool:
        for done in [pool.submit(rounds, cell, tally, seed) for cell in made]:
            done.result()
    return tally


def main(words: list[str]) -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    short = "--short" in words
    numbers = [int(word) for word in words if word != "--short"]
    count = numbers[0] if numbers else SHORT if short else COUNT
    seed = numbers[1] if len(numbers) > 1 else random.SystemRandom().randrange(1 << 31)
    _say(f"seed {seed}")
    return rig.show(figures(sweep(count, SHORT_CELLS if short else CELLS, seed), seed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
