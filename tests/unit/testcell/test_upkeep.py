# SPDX-License-Identifier: MIT
"""Rounds of maintenance against a real database: what is run, what ends a round, what goes on, and what is due."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rounds, survey
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.upkeep_config import AutoRetest, Config
from upkeep_facts import HOUR, NOW
from upkeep_store import fill

from testcell import upkeep, upkeep_watch

AT_ONCE = Config(auto_retest=AutoRetest(cooldown_hours=0))
EVERYTHING = survey.Scope()


@pytest.fixture
def store(tmp_path):
    with open_store(results_dir=tmp_path / "results", clock=lambda: NOW) as opened:
        yield opened


class Outcomes:
    """Runs cases as they are said to end; remembers what it was asked for."""

    def __init__(self, store, word="pass", code=0):
        self.store, self.word, self.code = store, word, code
        self.batches, self.going_on = [], []

    def name(self):
        run_id = f"20231114_00000{len(self.batches)}"
        return rounds.UpkeepRun(f"{run_id}@ctl", run_id, self.store.results_dir / run_id)

    def run(self, run, batch):
        self.batches.append([one.case.name for one in batch])
        fill(self.store, run.run_id, NOW - 60, {one.case.name: self.word for one in batch})
        return upkeep.Ended(run.run_id, "pass", self.code)

    def go_on(self, run):
        self.going_on.append(run.run_id)
        return upkeep.Ended(run.run_id, "pass", 0)


def maintain(store, runner, config=AT_ONCE, scope=EVERYTHING, **more):
    def look():
        return survey.survey(store, config, (), (), ("n1", "n2", "n3"))

    number = rounds.begin(store, rounds.MAINTAIN)
    return upkeep.maintain(store, number, look, scope, runner, **more)


def nights(store, words):
    fill(store, "20231113_000000", NOW - HOUR, words)


def test_what_can_be_helped_is_run_in_batches_until_nothing_is_left(store):
    nights(
        store,
        {
            **{f"lost{n}": "ssh_timeout" for n in range(4)},
            **{f"slow{n}": "dns_failure" for n in range(3)},
            "bad": "gpu_oom",
        },
    )
    runner = Outcomes(store)
    done = maintain(store, runner)
    assert sorted(map(len, runner.batches)) == [2, 5] and not any("bad" in batch for batch in runner.batches)
    assert [d.action for d in done.after.decisions] == ["needs_person"] and not done.stopped
    again = Outcomes(store)
    assert maintain(store, again).runs == [] and again.batches == []


def test_a_storm_is_stopped(store):
    nights(
        store,
        {f"c{n}": ("ssh_timeout", "dns_failure", "registry_unreachable", "ssh_dropped")[n % 4] for n in range(12)},
    )
    runner = Outcomes(store, "ssh_timeout")
    done = maintain(store, runner)
    assert len(runner.batches) == upkeep.STORM and "brought no answer" in done.stopped


class Refusals(Outcomes):
    """Runs that do not begin."""

    def run(self, run, batch):
        self.batches.append([one.case.name for one in batch])
        return upkeep.Ended(run.run_id, "", 3, "one error, nothing was run:\nscenarios/s/metadata.yml:1:1: wrong")


def test_a_run_that_did_not_begin_has_run_no_case_again_and_costs_no_budget(store):
    nights(store, {f"c{n}": "ssh_timeout" for n in range(3)})
    runner = Refusals(store)
    done = maintain(store, runner)
    assert sorted(*runner.batches) == ["c0", "c1", "c2"] and done.carried_out == [] and done.runs[0].code == 3
    assert (done.after.facts.effort.day_reruns, done.after.facts.effort.reruns_s) == (0, {})
    made = maintain(store, Outcomes(store))
    assert len(made.carried_out) == made.after.facts.effort.day_reruns == 3


def test_auto_retest_that_is_off_runs_nothing(store):
    nights(store, {"a": "ssh_timeout"})
    runner = Outcomes(store)
    done = maintain(store, runner, Config(auto_retest=AutoRetest(enabled=False)))
    assert runner.batches == [] and "enabled is false" in done.stopped


@pytest.mark.parametrize(("sorts", "want"), [((survey.FAILED,), ["lost"]), ((survey.MISSING,), ["gone"])])
def test_only_what_is_wanted_is_run(store, sorts, want):
    nights(store, {"lost": "ssh_timeout", "gone": "cancelled"})
    runner = Outcomes(store)
    maintain(store, runner, Config(auto_retest=AutoRetest(minimum_completion_rate=1.0)), survey.Scope(sorts=sorts))
    assert runner.batches == [want]


@pytest.mark.parametrize(("code", "stop"), [(143, lambda: False), (0, lambda: True)])
def test_a_round_ends_when_somebody_asks_for_it(store, code, stop):
    nights(store, {f"c{n}": ("ssh_timeout", "dns_failure")[n % 2] for n in range(9)})
    runner = Outcomes(store, code=code)
    done = maintain(store, runner, stop=stop)
    assert len(runner.batches) == (1 if code else 0) and done.interrupted == code


def test_unsteady_cases_are_set_aside_with_an_owner(store):
    for number, word in enumerate(("engine_dead", "pass", "engine_dead", "pass")):
        fill(store, f"2023111{number}_000000", NOW - (5 - number) * HOUR, {"a": word})
    done = maintain(store, Outcomes(store))
    assert [one.case.name for one in done.set_aside] == ["a"]
    seen = survey.survey(store, AT_ONCE, (), (), ("n1",))
    assert seen.facts.cases[0].quarantine.owner == "maintenance" and seen.decisions[0].action == "leave"


def test_a_run_that_was_begun_goes_on_and_is_not_made_twice(store):
    nights(store, {"a": "ssh_timeout"})
    batch = survey.survey(store, AT_ONCE, (), (), ("n1",)).decisions
    run = rounds.UpkeepRun("20231114_010000@ctl", "20231114_010000", store.results_dir)
    rounds.begin_run(store, rounds.begin(store, rounds.MAINTAIN), run, batch)
    fill(store, run.run_id, NOW - 30, {"a": "pass"})
    runner = Outcomes(store)
    done = maintain(store, runner)
    assert (runner.going_on, runner.batches, [one.run_id for one in done.runs]) == ([run.run_id], [], [run.run_id])
    assert rounds.begun(store) == []


def test_two_rounds_do_not_go_on_at_the_same_time(store):
    with rounds.alone(store), pytest.raises(rounds.BusyError, match="goes on already"), rounds.alone(store):
        pass


def test_the_lock_of_a_round_that_was_killed_is_free(store):
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    store.results_dir.mkdir(exist_ok=True)
    words = [sys.executable, "-c", code, str(store.results_dir / rounds.LOCK)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(rounds.BusyError), rounds.alone(store):
            pass
        holder.kill()
    with rounds.alone(store):
        pass


# --- monitor ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "left"),
    [
        (None, 0),
        (NOW, 3600),
        (NOW - 3600, 0),
        (NOW - 600, 3000),
        (NOW - 9999, 0),
        pytest.param(NOW + 9999, 3600, id="set back"),
    ],
)
def test_the_next_round_is_due_an_interval_after_the_last(last, left):
    assert upkeep_watch.due_in(last, 3600, NOW) == left


class Time:
    """A clock that goes on when somebody waits."""

    def __init__(self):
        self.now, self.waits = NOW, []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


def watching(begun, time, stop, rounds):
    def once():
        begun.append(time.now)
        return True

    upkeep_watch.watch(
        once, lambda: begun[-1] if begun else None, interval_s=3600, rounds=rounds, clock=lambda: time.now, stop=stop,
        wait=time.wait,
    )  # fmt: skip


def test_rounds_come_hourly_and_a_restart_changes_nothing():
    begun, time = [], Time()
    watching(begun, time, upkeep_watch.Stop(), 2)
    time.now += 600
    watching(begun, time, upkeep_watch.Stop(), 1)
    assert begun == [NOW, NOW + 3600, NOW + 7200] and time.waits == [3600, 3000]


def test_a_round_that_came_to_nothing_is_tried_again_after_the_interval_and_is_none():
    time, outcomes = Time(), [False, False, True]
    upkeep_watch.watch(
        lambda: outcomes.pop(0), lambda: None, interval_s=3600, rounds=1, clock=lambda: time.now,
        stop=upkeep_watch.Stop(), wait=time.wait,
    )  # fmt: skip
    assert outcomes == [] and time.waits == [3600, 3600]


def test_somebody_who_asks_for_an_end_gets_it_at_once():
    stop, begun, time = upkeep_watch.Stop(), [], Time()
    with stop.on_signals():
        signal.raise_signal(signal.SIGTERM)
        stop.wait(60)
        watching(begun, time, stop, 0)
    assert (stop.signal, begun) == (signal.SIGTERM, [])
