# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import analysis, choice, facts
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.decisions import diagnoses
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.upkeep_config import Config
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from upkeep_facts import DAY, NOW, case, known


def groups(*cases, by=("model",)):
    return analysis.groups(diagnoses(known(*cases)), by, NOW)


def many(words, count, first=0, **more):
    return [case(words, first + n, **more) for n in range(count)]


ROWS = [
    pytest.param([], None, id="no case"),
    pytest.param(many("", 1), (1, 0, 0, 0, {"low_completion": "certain"}), id="one case that was never run"),
    pytest.param(many("gpu_oom", 1) + many("pass", 1, 1), (2, 2, 1, 0, {"high_failure": "suspected"}), id="1 of 2"),
    pytest.param(
        many("gpu_oom", 70) + many("pass", 30, 70), (100, 100, 70, 0, {"high_failure": "certain", "severe": "certain"}),
        id="severe",
    ),
    pytest.param(
        many("gpu_oom", 20) + many("", 30, 20), (50, 20, 20, 0,
        {"high_failure": "certain", "low_completion": "certain", "severe": "certain"}), id="both",
    ),
    pytest.param(many("ssh_timeout", 5), (5, 0, 0, 0, {"low_completion": "certain"}), id="only errors are missing"),
    pytest.param(many("engine_dead pass+", 2), (2, 2, 0, 2, {}), id="flaky is told apart from failing"),
    pytest.param(many("gpu_oom", 3, wanted=False), (0, 0, 0, 0, {}), id="nobody asks for them any more"),
]  # fmt: skip


@pytest.mark.parametrize(("cases", "want"), ROWS)
def test_a_group_tells_what_is_done_what_fails_and_how_sure_that_is(cases, want):
    found = groups(*cases)
    if want is None:
        assert found == []
        return
    (group,) = found
    assert (group.expected, group.done, group.failing, group.flaky, group.patterns(Config())) == want
    assert group.as_dict(Config())["both"] == ({"high_failure", "low_completion"} <= set(want[4]))


def test_cases_that_are_set_aside_are_counted_all_the_same():
    quarantine = facts.Quarantine("anna", "unsteady", NOW - DAY, NOW + DAY)
    (group,) = groups(*many("gpu_oom", 3, quarantine=quarantine))
    assert (group.set_aside, group.failing, group.expected) == (3, 3, 3)


def test_groups_are_by_any_labels_together():
    cases = [case("pass", n, labels={"model": "ab"[n % 2], "task_type": "xy"[n // 2]}) for n in range(4)]
    assert [tuple(g.labels.values()) for g in groups(*cases, by=("model", "task_type"))] == [
        ("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"),
    ]  # fmt: skip
    assert analysis.by_default(cases) == ("model",) and analysis.by_default([case("pass", labels={})]) == ("scenario",)


def test_the_trend_is_that_of_cases_that_changed():
    worse = many("pass gpu_oom", 7)
    (group,) = groups(*worse, *many("pass pass", 50, 10))
    assert group.as_dict(Config())["trend"] == {"direction": "worse", "worse": 7, "better": 0, "p": 0.0156}
    assert groups(*worse[:3])[0].as_dict(Config())["trend"]["direction"] == "steady"


def test_whose_fault_and_since_when():
    (group,) = groups(
        case("pass gpu_oom"), case("pass@n2 disk_full@n2", 2), case("ssh_timeout", 3), case("image_not_found", 4)
    )
    assert dict(group.owners) == {"engine": 1, "node": 1, "network": 1, "image": 1}
    assert group.since == NOW - 3600.0


def test_a_pass_at_the_first_try_is_told_beside_one_of_several():
    (group,) = groups(case("gpu_oom pass gpu_oom pass"))
    found = group.as_dict(Config())
    assert (found["pass_at_1"], found["pass_at_k"], found["k"]) == (0.5, 1.0, 3)


CASES = [
    case("pass", n, labels={"model": model, "task_type": "code"}) for n, model in enumerate(("gpt-4o", "gpt-4o-mini"))
]


@pytest.mark.parametrize(
    ("words", "want"),
    [((), 2), (("model=gpt-4o",), 1), (("model=gpt-4o", "model=gpt-4o-mini"), 2), (("gpt-4o-mini",), 1), (("s",), 2),
     (("s/c0",), 1), (("task_type=code", "gpt-4o"), 1)],
)  # fmt: skip
def test_cases_are_meant_by_labels_or_by_a_value_alone(words, want):
    assert len(choice.chosen(CASES, choice.parse(words))) == want


@pytest.mark.parametrize(("word", "near"), [("gpt-4", "gpt-4o"), ("model=gpt4o", "gpt-4o"), ("modell=x", "model")])
def test_words_that_mean_nothing_are_named_with_the_nearest(word, near):
    with pytest.raises(InputError, match=f"did you mean {near}") as caught:
        choice.chosen(CASES, choice.parse([word]))
    assert caught.value.usage
