# SPDX-License-Identifier: MIT
"""What analysis and decisions are told of a database: by sums for most cases, in full for odd ones."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import queries, rounds, survey
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.decisions import Decision
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.upkeep_config import Config
from upkeep_facts import DAY, HOUR, NOW, case
from upkeep_store import fill


@pytest.fixture
def store(tmp_path):
    with open_store(results_dir=tmp_path / "results", clock=lambda: NOW) as opened:
        yield opened


def facts(store, **more):
    with store.read() as connection:
        return queries.facts(connection, Config(), NOW, queries.Sources(nodes=("n1", "n2"), **more))


def by_name(found):
    return {case.name: case for case in found.cases}


def test_an_empty_database_has_nothing_to_say(store):
    found = facts(store)
    assert (list(found.cases), set(found.nodes), found.effort.day_reruns) == ([], {"n1", "n2"}, 0)
    assert survey.survey(store, Config(), (), (), ("n1",)).groups() == []


def test_counts_are_those_of_the_window_and_its_newest_part(store):
    fill(store, "20230101_000000", NOW - 40 * DAY, {"a": "gpu_oom"})
    fill(store, "20230102_000000", NOW - 2 * DAY, {"a": "pass", "b": "engine_dead"})
    fill(store, "20230103_000000", NOW - HOUR, {"a": "pass", "b": "pass/r2"})
    a, b = by_name(facts(store)).values()
    assert [(c.verdict, c.count, c.fresh, c.last_before) for c in a.counts] == [("pass", 2, 1, NOW - 2 * DAY)]
    assert a.recent == () and a.answer == "pass"
    assert [(one.verdict, one.kind, one.nodes, one.revision) for one in b.recent] == [
        ("fail", "engine_dead", ("n1",), ""), ("pass", "", ("n1",), "r2"),
    ]  # fmt: skip


def test_a_node_is_told_by_the_cases_that_failed_and_passed_there(store):
    fill(store, "20230103_000000", NOW - 2 * HOUR, {"a": "disk_full@n2", "b": "engine_dead@n2", "c": "pass@n1"})
    fill(store, "20230103_010000", NOW - HOUR, {"c": "pass@n2", "d": "image_not_found@n2"})
    node = facts(store).nodes["n2"]
    assert (node.failed, node.passed, node.passed_since, node.usable) == (2, 1, 1, True)


def test_a_run_of_maintenance_shows_only_that_a_node_is_mended(store):
    fill(store, "20230103_000000", NOW - 2 * HOUR, {"a": "disk_full@n2", "c": "pass@n2"})
    run = rounds.UpkeepRun("20230103_010000@ctl", "20230103_010000", store.results_dir / "20230103_010000")
    rounds.begin_run(store, rounds.begin(store, rounds.MAINTAIN), run, [Decision(case("disk_full"), "rerun", "why", 3)])
    fill(store, run.run_id, NOW - HOUR, {"a": "pass@n2", "b": "engine_dead@n2"})
    node = facts(store).nodes["n2"]
    assert (node.failed, node.passed, node.passed_since) == (1, 1, 1)
    assert (node.last_blamed, node.last_pass) == (NOW - 2 * HOUR, NOW - HOUR)


def test_reruns_of_maintenance_are_known_and_counted(store):
    fill(store, "20230103_000000", NOW - 2 * HOUR, {"a": "ssh_timeout"})
    seen = survey.survey(store, Config(), (), (), ("n1", "n2"))
    (decision,) = seen.decisions
    rounds.begin_run(
        store, rounds.begin(store, "maintain"), rounds.UpkeepRun("up@ctl", "up", store.results_dir), [decision]
    )
    fill(store, "up", NOW - HOUR, {"a": "ssh_timeout"})
    found = facts(store)
    assert [one.by_upkeep for one in found.cases[0].recent] == [False, True]
    assert (found.effort.day_reruns, found.effort.day_s) == (1, 60.0)
    assert found.effort.reruns_s == {"20230103_000000@ctl": 60.0}
    assert survey.survey(store, Config(), (), (), ("n1", "n2")).decisions[0].action == "wait"


def test_a_quarantine_is_kept_after_it_was_lifted(store):
    fill(store, "20230103_000000", NOW - HOUR, {"a": "pass"})
    (case,) = facts(store).cases
    rounds.set_aside(store, case, by="anna", reason="unsteady", days=2)
    assert facts(store).cases[0].quarantine.holds(NOW)
    assert rounds.lift(store, case) and not rounds.lift(store, case)
    quarantine = facts(store).cases[0].quarantine
    assert (quarantine.owner, quarantine.holds(NOW), quarantine.lifted_at) == ("anna", False, NOW)
