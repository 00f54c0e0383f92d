# SPDX-License-Identifier: MIT

"""A round of maintenance: look, decide, run what can be helped in batches, and look again after each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import batches, rounds
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.decisions import RERUNS, Decision
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import Store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.survey import Scope, Survey, decisions_of

from testcell.exits import Exit

# So many batches after each other from which no case got an answer are a storm: nothing more is run.
STORM = 2
SIGNALS = (Exit.HANGUP, Exit.INTERRUPTED, Exit.TERMINATED)


@dataclass(frozen=True)
class Ended:
    """How a run of maintenance ended. code: an exit code of ours; said: why it did not begin, "" where there is a verdict."""

    run_id: str
    verdict: str
    code: int
    said: str = ""


class Runner(Protocol):
    """What runs cases."""

    def name(self) -> rounds.UpkeepRun:
        """Return the run that begins next."""

    def run(self, run: rounds.UpkeepRun, batch: Sequence[Decision]) -> Ended:
        """Run a batch to its end."""

    def go_on(self, run: rounds.UpkeepRun) -> Ended | None:
        """Go on with a run that was cut short, None where there is nothing to go on with."""


@dataclass
class Done:
    """What a round did. before, after: what it saw first and last; stopped: why it ended early, "" when it did not."""

    before: Survey
    after: Survey
    runs: list[Ended] = field(default_factory=list)
    carried_out: list[Decision] = field(default_factory=list)
    set_aside: list[Decision] = field(default_factory=list)
    stopped: str = ""

    @property
    def interrupted(self) -> int:
        """Return the exit code of the signal that ended a run, 0 for none."""
        return next((ended.code for ended in self.runs if ended.code in SIGNALS), 0)

    def as_dict(self) -> dict[str, Any]:
        """Return what was done as plain JSON types."""
        return {
            "runs": [vars(ended) for ended in self.runs],
            "reruns": [decision.as_dict() for decision in self.carried_out],
            "set_aside": [decision.as_dict() for decision in self.set_aside],
            "stopped": self.stopped,
        }


def maintain(
    store: Store,
    number: int,
    look: Callable[[], Survey],
    scope: Scope,
    runner: Runner,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Done:
    """Carry out a round and return what was done. number: of the round; look: what there is to see now; stop: end early."""
    earlier = [ended for run in rounds.begun(store) if (ended := _gone_on(store, run, runner)) is not None]
    first = look()
    done = Done(first, first, runs=earlier)
    if not first.config.auto_retest.enabled:
        done.stopped = "auto_retest.enabled is false"
        return done
    _set_aside(store, done, scope)
    tried: set[int] = set()
    without_answer = 0
    while not stop() and not done.interrupted:
        batch = batches.first(_left(done.after, scope, tried), first.config.auto_retest.batch_size)
        if not batch:
            break
        tried.update(decision.case.id for decision in batch)
        done.runs.append(ended := _run(store, number, runner, batch))
        done.carried_out += [] if ended.said else batch
        done.after = look()
        without_answer = 0 if _answered(done.after, batch) else without_answer + 1
        if without_answer >= STORM:
            done.stopped = f"{STORM} batches after each other brought no answer: what is in the way is not these cases"
            break
    return done


def _gone_on(store: Store, run: rounds.UpkeepRun, runner: Runner) -> Ended | None:
    """End a run that an earlier round did not see the end of."""
    ended = runner.go_on(run)
    rounds.end_run(store, run.key, rounds.LOST if ended is None else rounds.DONE)
    return ended


def _set_aside(store: Store, done: Done, scope: Scope) -> None:
    rule = done.before.config.quarantine
    for decision in decisions_of(done.before, scope):
        if decision.action == "quarantine":
            rounds.set_aside(store, decision.case, by=rule.owner, reason=decision.reason, days=rule.days)
            done.set_aside.append(decision)


def _left(seen: Survey, scope: Scope, tried: set[int]) -> list[Decision]:
    """Return the reruns that are wanted and were not made in this round."""
    return [one for one in decisions_of(seen, scope) if one.action in RERUNS and one.case.id not in tried]


def _run(store: Store, number: int, runner: Runner, batch: Sequence[Decision]) -> Ended:
    run = runner.name()
    rounds.begin_run(store, number, run, batch)
    ended = runner.run(run, batch)
    if ended.said:
        rounds.forget_run(store, run.key)
    else:
        rounds.end_run(store, run.key, rounds.DONE)
    return ended


def _answered(seen: Survey, batch: Sequence[Decision]) -> bool:
    """Return whether any case of a batch got an answer that may be believed."""
    numbers = {decision.case.id for decision in batch}
    return any(case.last_verdict in ("pass", "fail", "flaky") for case in seen.facts.cases if case.id in numbers)
