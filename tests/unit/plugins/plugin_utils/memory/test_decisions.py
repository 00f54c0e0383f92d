# SPDX-License-Identifier: MIT
"""What is decided about a case, by what its attempts show: each policy of the taxonomy, each pattern, each limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import facts
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.decisions import decide, diagnoses
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.notices import notices
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.sickness import sick_nodes
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.surroundings import surroundings
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.upkeep_config import (
    AutoRetest,
    Budget,
    Config,
    QuarantineRule,
    RetryStrategy,
)
from upkeep_facts import DAY, HOUR, NODES, NOW, case, known

WHOLE = Config(auto_retest=AutoRetest(minimum_completion_rate=1.0))
LONG_AGO = NOW - 5 * HOUR


def only(one, config=WHOLE, **more):
    found = decide(known(one, **more), config)
    assert len(found) == 1, found
    return found[0]


def state(one, **more):
    return diagnoses(known(one, **more))[0][1]


# words of the case, state, action, a part of the reason
SINGLE = [
    ("", "missing", "rerun", "has not been run"),
    ("pass skipped", "no_answer", "rerun", "was skipped"),
    ("cancelled", "missing", "rerun", "was cancelled"),
    # A: transient
    ("pass ssh_timeout", "no_answer", "rerun", "policy A"),
    ("pass http_reset", "regression", "rerun_elsewhere", "tell the engine from the node"),
    ("ssh_timeout@n2 ssh_timeout@n2", "no_answer", "rerun_elsewhere", "on n2 again"),
    # B: rebuild, once
    ("pass engine_dead", "regression", "rerun_elsewhere", "tell the engine from the node"),
    ("pass engine_dead engine_dead@n2+", "regression", "needs_person", "2 times, on n1, n2"),
    ("engine_dead", "failing", "rerun_elsewhere", "engine_dead on n1"),
    ("docker_leftover@n1", "node_bound", "rerun_elsewhere", "n1 is to blame"),
    # C: wait
    ("pass registry_rate_limited", "no_answer", "rerun", "policy C"),
    # D: verify again
    ("pass artifact_corrupt", "no_answer", "rerun", "policy D"),
    # E: never
    ("pass test_failed", "regression", "needs_person", "a retry cannot help; the test is to blame"),
    ("pass gpu_oom", "regression", "needs_person", "the engine is to blame"),
    ("config_invalid", "no_answer", "needs_person", "a retry cannot help"),
    ("image_not_found", "no_answer", "needs_person", "the image is to blame"),
    ("pass unknown", "no_answer", "needs_person", "unknown: a retry cannot help"),
    # one that could not answer stands for nothing while a failure of the engine does
    ("pass engine_dead engine_dead@n2+ ssh_timeout", "regression", "needs_person", "passed before and fails since"),
    ("pass engine_dead image_not_found", "regression", "needs_person", "image_not_found: a retry cannot help"),
    # nodes
    ("pass@n2 disk_full@n2", "node_bound", "rerun_elsewhere", "n2 is to blame (disk_full)"),
    # flaky
    ("engine_dead pass+", "flaky", "leave", "flaky, and no clean pass"),
    ("pass engine_dead pass test_failed", "flaky", "leave", "so it is flaky"),
    ("engine_dead pass engine_dead pass", "flaky", "quarantine", "failed and passed again 2 times"),
    ("engine_dead pass engine_dead pass engine_dead", "flaky", "quarantine", "2 times"),
    ("pass/a test_failed/a", "flaky", "leave", "so it is flaky"),
]  # fmt: skip


@pytest.mark.parametrize(
    "words", ["", "pass skipped", "pass ssh_timeout", "pass engine_dead", "pass ssh_timeout@n2 ssh_timeout@n2+"]
)
def test_a_case_that_nobody_can_run_here_keeps_no_others_from_being_run(words):
    found = only(case(words, here=False))
    assert (found.action, found.avoid, found.delay_s) == ("needs_person", (), 0.0)
    assert "no scenario of this project has it, or that cannot be read; next: testcell validate" in found.reason
    assert only(case(words)).action in ("rerun", "rerun_elsewhere", "wait")


@pytest.mark.parametrize(("words", "want", "action", "reason"), SINGLE, ids=[row[0] or "never run" for row in SINGLE])
def test_a_case_gets_what_can_help_it(words, want, action, reason):
    one = case(words)
    found = only(one)
    assert (state(one).state, found.action) == (want, action), found.reason
    assert reason in found.reason


def test_a_fault_of_the_cell_is_tried_again_once_where_its_failure_says_that_it_helps():
    once = case("pass internal_error")
    assert only(once).action == "needs_person"
    for words, action in (("pass internal_error", "rerun"), ("pass internal_error internal_error+", "needs_person")):
        one = case(words)
        recent = (one.recent[0], *(replace(seen, retriable=True) for seen in one.recent[1:]))
        assert only(replace(one, recent=recent)).action == action


PASSING = [
    "pass",
    "pass pass",
    "ssh_timeout pass+",
    "engine_dead pass pass pass pass pass",
    "gpu_oom gpu_oom gpu_oom pass",
]


@pytest.mark.parametrize("words", PASSING)
def test_nothing_is_to_be_done_about_a_case_that_passes(words):
    assert decide(known(case(words)), WHOLE) == []


def test_a_change_between_failure_and_pass_makes_no_flaky_case():
    assert decide(known(case("engine_dead/a pass/b")), WHOLE) == []


def test_nobody_asks_for_a_case_that_its_scenario_has_no_more():
    assert decide(known(case("engine_dead", wanted=False)), WHOLE) == []


def test_a_scenario_that_was_changed_since_is_tried_again():
    assert only(case("config_invalid", changed_at=NOW - 60)).action == "rerun"
    assert only(case("pass test_failed", changed_at=NOW - 60)).reason.startswith("its scenario was changed")


def test_a_pass_on_rerun_of_a_real_regression_is_flaky_and_not_clean():
    one = case("pass pass engine_dead engine_dead@n2+ pass@n3+")
    assert state(one).state == "flaky"
    assert only(one).action == "leave"


@pytest.mark.parametrize(
    ("broken", "action", "avoid"),
    [
        pytest.param(facts.Node("n1", failed=9, last_failure=LONG_AGO), "rerun_elsewhere", ("n1",), id="fails all"),
        pytest.param(facts.Node("n1", failed=9, passed=5, passed_since=5, last_pass=NOW), "rerun", (), id="mended"),
        pytest.param(
            facts.Node("n1", failed=9, passed=2, passed_since=2, last_failure=LONG_AGO, last_pass=NOW),
            "rerun_elsewhere",
            ("n1",),
            id="passed by luck",
        ),
    ],
)
def test_a_node_on_which_all_cases_fail_is_avoided_until_cases_pass_there(broken, action, avoid):
    others = {name: facts.Node(name, passed=9, last_pass=NOW) for name in NODES[1:]}
    one = case("pass disk_full@n1")
    found = only(one, nodes={"n1": broken, **others})
    assert (found.action, found.avoid) == (action, avoid), found.reason


@pytest.mark.parametrize(
    ("words", "more", "want"),
    [
        ("pass disk_full@n1", {}, ("rerun", ())),
        ("", {}, ("rerun", ())),
        ("", {"n2": facts.Node("n2", last_blamed=LONG_AGO)}, ("rerun", ("n2",))),
        ("pass disk_full@n1", {"n2": facts.Node("n2", last_blamed=LONG_AGO)}, ("rerun_elsewhere", ("n2",))),
    ],
)
def test_a_broken_node_that_was_taken_out_of_the_inventory_need_not_be_avoided(words, more, want):
    """`run --limit '!n1'` and `-e avoid_nodes=n1` refuse a node that there is not."""
    gone = facts.Node("n1", failed=9, last_failure=LONG_AGO, last_blamed=LONG_AGO, usable=False)
    found = only(case(words), nodes={"n1": gone, **more})
    assert (found.action, found.avoid) == want, found.reason


def test_a_broken_node_is_avoided_by_cases_that_failed_for_another_reason():
    found = only(case("pass ssh_dropped@n2"), nodes={"n1": facts.Node("n1", last_blamed=LONG_AGO)})
    assert (found.action, found.avoid) == ("rerun", ("n1",))


@pytest.mark.parametrize(
    ("more", "action", "reason"),
    [
        ({"movable": False, "pinned": ("n1",)}, "needs_person", "it cannot leave n1"),
        ({"movable": False}, "needs_person", "it cannot leave n1"),
    ],
)
def test_a_case_that_cannot_be_moved_needs_a_person_when_its_node_is_broken(more, action, reason):
    found = only(case("pass disk_full@n1", **more))
    assert (found.action, reason in found.reason) == (action, True), found.reason


def test_a_case_waits_while_a_node_that_it_needs_is_broken():
    found = only(case("pass ssh_dropped@n1", pinned=("n1",)), nodes={"n1": facts.Node("n1", last_blamed=LONG_AGO)})
    assert (found.action, found.held) == ("wait", True) and "is broken" in found.reason


def test_the_same_case_passes_on_other_nodes_so_the_node_is_to_blame():
    found = state(case("pass@n1 engine_dead@n1 pass@n2+ engine_dead@n1 pass@n3+"))
    assert (found.state, found.nodes, found.owner) == ("node_bound", ("n1",), "node")


# --- limits -----------------------------------------------------------------------------------------------------


def test_retries_are_counted_and_end():
    assert (
        only(
            case("pass ssh_timeout ssh_timeout+ ssh_timeout+"), Config(auto_retest=AutoRetest(cooldown_hours=0))
        ).action
        != "needs_person"
    )
    found = only(case("pass ssh_timeout ssh_timeout+ ssh_timeout+ ssh_timeout+"))
    assert found.action == "needs_person" and "3 retries did not help" in found.reason


@pytest.mark.parametrize(
    ("words", "action"),
    [
        pytest.param("pass skipped http_5xx+", "rerun_elsewhere", id="its first failure was in a rerun"),
        pytest.param("pass/a test_failed/b test_failed/b ssh_timeout/c", "rerun", id="what failed was replaced"),
        pytest.param(
            "pass/a test_failed/b test_failed/b ssh_timeout/b", "needs_person", id="what failed is still there"
        ),
    ],
)
def test_only_a_retry_of_the_same_counts_against_a_case(words, action):
    assert only(case(words, last=NOW - 3 * HOUR)).action == action


def test_a_retry_before_its_scenario_was_changed_does_not_count():
    assert only(case("engine_dead engine_dead+", last=NOW - 3 * HOUR, changed_at=NOW - 60)).action == "rerun"


def test_what_needs_a_person_names_its_run():
    one = case("pass gpu_oom")
    assert only(one).reason.endswith(f"; see run {one.recent[-1].run}")


def test_max_retries_0_runs_nothing_again():
    config = replace(WHOLE, retry_strategy=RetryStrategy(max_retries=0))
    assert only(case("pass ssh_timeout"), config).action == "leave"


@pytest.mark.parametrize(
    ("words", "last", "delay"),
    [
        pytest.param("pass ssh_timeout", NOW - 100, 200, id="retry_delay after the attempt"),
        pytest.param("pass registry_rate_limited", NOW - 100, 200, id="policy C waits no less"),
        pytest.param("pass ssh_timeout ssh_timeout+", NOW - HOUR, HOUR, id="cooldown after one of maintenance's own"),
        pytest.param("pass ssh_timeout", NOW + DAY, 300, id="a clock that was set back"),
    ],
)
def test_a_rerun_waits_until_it_is_due(words, last, delay):
    found = only(case(words, last=last))
    assert (found.action, found.delay_s) == ("wait", pytest.approx(delay, abs=1))


def test_the_pause_grows_with_each_retry():
    strategy = RetryStrategy(retry_delay=100, backoff_multiplier=2.0)
    config = replace(WHOLE, retry_strategy=strategy, auto_retest=AutoRetest(cooldown_hours=0))
    delays = [only(case(f"pass ssh_timeout{' ssh_timeout+' * n}", last=NOW), config).delay_s for n in range(3)]
    assert delays == [100, 200, 400]


SWITCHES = [
    ("retry_on_timeout", "pass ssh_timeout"),
    ("retry_on_timeout", "pass health_timeout"),
    ("retry_on_api_error", "pass http_5xx"),
]


@pytest.mark.parametrize(("name", "words"), SWITCHES)
def test_a_switch_that_is_off_leaves_a_case_alone(name, words):
    found = only(case(words), replace(WHOLE, retry_strategy=RetryStrategy(**{name: False})))
    assert found.action == "leave" and f"{name} is false" in found.reason


def test_format_errors_are_run_again_once_where_that_is_asked_for():
    assert only(case("pass response_invalid")).action == "needs_person"
    asked = replace(WHOLE, retry_strategy=RetryStrategy(retry_on_format_error=True))
    assert only(case("pass response_invalid"), asked).action == "rerun_elsewhere"


def test_models_are_skipped_and_preferred():
    config = replace(WHOLE, retry_strategy=RetryStrategy(skip_models=("old",), priority_models=("new",)))
    cases = [case("ssh_timeout", n, labels={"model": model}) for n, model in enumerate(("old", "other", "new"))]
    found = {d.case.labels["model"]: d for d in decide(known(*cases), config)}
    assert found["old"].action == "leave" and "skip_models" in found["old"].reason
    assert decide(known(*cases), config)[0].case.labels["model"] == "new"


def test_severe_failures_come_before_others_and_these_before_what_is_missing():
    severe = [case("engine_dead engine_dead@n2", n, scenario=f"a{n}", labels={"model": "a"}) for n in range(10)]
    partial = [case("pass ssh_timeout", 20, scenario="b", labels={"model": "b"})]
    missing = [case("", 30, scenario="c", labels={"model": "c"})]
    order = [(d.case.labels["model"], d.priority) for d in decide(known(*missing, *partial, *severe), WHOLE)]
    assert list(dict.fromkeys(order)) == [("a", 2), ("b", 3), ("c", 4)]


def test_what_is_missing_of_a_model_that_is_complete_enough_is_left():
    cases = [case("pass", n) for n in range(9)] + [case("", 10)]
    (found,) = decide(known(*cases), Config())
    assert found.action == "leave" and "is complete to 90%, and 80% are asked for" in found.reason
    assert decide(known(*cases), WHOLE)[0].action == "rerun"


def test_the_budget_of_a_day_stops_a_storm():
    config = replace(WHOLE, budget=Budget(day_reruns=3))
    cases = [case("pass ssh_timeout", n, scenario=f"s{n}", labels={}) for n in range(10)]
    found = decide(known(*cases, effort=facts.Effort(day_reruns=1)), config)
    assert [d.action for d in found].count("rerun") == 2
    assert all("the day's budget is spent" in d.reason for d in found if d.action == "wait")


def test_reruns_take_no_more_than_their_share_of_a_run():
    config = replace(WHOLE, budget=Budget(run_share=0.2, run_least_minutes=0))
    one = case("pass ssh_timeout")
    run = one.recent[-1].run
    allowed = facts.Effort(run_s={run: 1000.0}, reruns_s={run: 100.0})
    spent = facts.Effort(run_s={run: 1000.0}, reruns_s={run: 150.0})
    assert only(one, config, effort=allowed).action == "rerun"
    assert "the budget of its run is spent" in only(one, config, effort=spent).reason


# --- together ---------------------------------------------------------------------------------------------------


def alike(words, count=10):
    return [case(words.replace("NODE", NODES[n % 4]), n, labels={"model": "m"}) for n in range(count)]


def test_of_cases_that_fail_alike_one_is_tried_first():
    found = decide(known(*alike("pass@NODE engine_dead@NODE")), WHOLE)
    assert [d.action for d in found].count("rerun_elsewhere") == 1
    assert sum("10 of 10 cases with" in d.reason and "is tried first" in d.reason for d in found if d.held) == 9


def test_the_one_that_failed_again_speaks_for_all():
    first, *rest = alike("pass@NODE engine_dead@NODE")
    again = case("pass@n1 engine_dead@n1 engine_dead@n2+", first.id, labels={"model": "m"})
    found = decide(known(again, *rest), WHOLE)
    assert {d.action for d in found} == {"needs_person"}


def test_an_outage_is_tried_with_one_batch():
    found = decide(known(*alike("pass@NODE registry_unreachable@NODE", 20)), WHOLE)
    assert [d.action for d in found].count("rerun") == WHOLE.auto_retest.batch_size
    assert [d.action for d in found].count("wait") == 15


def test_a_case_that_was_skipped_waits_for_the_regression_of_its_model():
    found = decide(known(*alike("pass@NODE engine_dead@NODE"), case("pass skipped", 99)), WHOLE)
    assert next(d for d in found if d.case.id == 99).action == "wait"


@pytest.mark.parametrize("words", ["pass http_5xx@NODE skipped", "pass test_failed@NODE skipped"])
def test_of_cases_that_failed_alike_and_were_skipped_since_one_is_tried_first(words):
    made = decide(known(*alike(words)), WHOLE)
    assert [d.action for d in made] == ["rerun"] + 9 * ["wait"] and all("is tried first" in d.reason for d in made[1:])


@pytest.mark.parametrize(("outcome", "action"), [("test_failed@n2+", "needs_person"), ("pass@n2+", "rerun")])
def test_what_becomes_of_the_first_that_was_skipped_holds_for_all(outcome, action):
    first, *rest = alike("pass test_failed@NODE skipped")
    tried = case(f"pass test_failed@n1 skipped {outcome}", first.id, labels={"model": "m"})
    made = [d for d in decide(known(tried, *rest), WHOLE) if d.case.id != first.id]
    assert {d.action for d in made} == {action}


def test_the_first_is_one_that_can_be_run():
    first, *rest = alike("pass engine_dead@NODE")
    made = decide(known(replace(first, quarantine=held(NOW + DAY)), *rest), WHOLE)
    assert sorted(d.action for d in made) == ["leave", "rerun_elsewhere", *8 * ["wait"]]


def test_a_few_of_a_larger_cluster_say_nothing_about_those_beside_them():
    broken = [case("pass http_5xx", n, scenario="t", labels={"model": f"m{n % 3}"}) for n in range(12)]
    beside = [case("pass skipped", 20 + n, scenario="u", labels={"model": "m1"}) for n in range(4)]
    made = decide(known(*broken, *beside), WHOLE)
    assert {d.action for d in made if d.case.scenario == "u"} == {"rerun"}


def test_many_that_fail_alike_and_pass_again_are_not_flaky_and_a_person_is_told():
    seen = known(*alike("pass pass http_5xx@NODE pass@n2+"))
    around = surroundings(seen.cases, seen.nodes)
    assert decide(seen, WHOLE) == [] and {what.state for _, what in diagnoses(seen, around)} == {"passing"}
    (line,) = notices(seen, around)
    assert "10 cases failed alike (http_5xx)" in line and "passed again with nothing changed" in line


@pytest.mark.parametrize(
    ("words", "count"),
    [
        pytest.param("pass pass http_5xx@NODE pass@NODE+", 3, id="few"),
        pytest.param(" ".join(3 * ["http_5xx@NODE pass@NODE+"]), 10, id="every night"),
    ],
)
def test_few_or_such_as_fail_every_night_are_flaky(words, count):
    made = decide(known(*alike(words, count)), WHOLE)
    assert {d.state for d in made} == {"flaky"} and len(made) == count


@pytest.mark.parametrize(("ahead_s", "told"), [(HOUR, True), (60.0, False), (-HOUR, False)])
def test_results_dated_ahead_of_now_are_told(ahead_s, told):
    seen = known(case("test_failed pass", last=NOW + ahead_s), case("pass", 2))
    lines = notices(seen, surroundings(seen.cases, seen.nodes))
    assert len(lines) == told
    assert all(line.startswith("1 case(s) have a result dated ahead of now, s") for line in lines), lines


def test_a_broken_node_is_told():
    seen = known(nodes={"n1": facts.Node("n1", failed=9, last_failure=LONG_AGO, last_blamed=LONG_AGO)})
    (line,) = notices(seen, surroundings(seen.cases, seen.nodes))
    assert "node n1 is taken for broken: 9 case(s) failed there and 0 passed" in line


def test_the_only_node_that_was_used_is_not_to_blame_beside_one_that_was_not():
    cases = [case("engine_dead", n, labels={}) for n in range(3)]
    assert {what.owner for _, what in diagnoses(known(*cases))} == {"engine"}


def test_nodes_that_break_together_are_told_from_those_beside_them():
    nodes = [f"n{n}" for n in range(8)]
    cases = []
    for n in range(80):
        used = (nodes[n % 8], nodes[(n + 1) % 8]) if n % 4 == 0 else (nodes[n % 8],)
        if {"n0", "n2", "n5"} & set(used):
            tried = facts.Attempt(NOW - HOUR, "r", "fail", "nccl_error", "engine", True, nodes=used)
            cases.append(replace(case("pass", n), recent=(tried,)))
    sick, spread = sick_nodes(cases, nodes)
    assert {"n0", "n2", "n5"} <= sick["nccl_error"][0].nodes <= {"n0", "n1", "n2", "n5"} and not spread


# --- quarantine -------------------------------------------------------------------------------------------------


def held(until, lifted=None):
    return facts.Quarantine("anna", "known to be unsteady", NOW - 3 * DAY, until, lifted)


@pytest.mark.parametrize(
    ("quarantine", "action"),
    [
        pytest.param(held(NOW + DAY), "leave", id="holds"),
        pytest.param(held(NOW - 2 * DAY), "rerun_elsewhere", id="expired"),
        pytest.param(held(NOW + DAY, NOW - 2 * DAY), "rerun_elsewhere", id="lifted"),
    ],
)
def test_a_quarantine_keeps_a_case_from_being_run_until_it_ends(quarantine, action):
    found = only(case("engine_dead pass engine_dead pass engine_dead", quarantine=quarantine))
    assert found.action == action, found.reason
    if action == "leave":
        assert "set aside by anna until" in found.reason


def test_after_times_0_sets_nothing_aside():
    config = replace(WHOLE, quarantine=QuarantineRule(after_times=0))
    assert only(case("engine_dead pass engine_dead pass"), config).action == "leave"


def test_without_any_case_there_is_nothing_to_decide():
    assert decide(known(), WHOLE) == []
