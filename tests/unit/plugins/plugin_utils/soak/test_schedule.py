# SPDX-License-Identifier: MIT
"""From a plan to injections: the same for the same seed, never past the end, never one that hides another."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import parse
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import chaos_plan, schedule
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.chaos_plan import Spot
from hypothesis import given
from hypothesis import strategies as st

SERVICES = {
    "router": Spot("node-1", "router"),
    "decode-1": Spot("node-1", "decode"),
    "decode-2": Spot("node-2", "decode"),
    "decode-3": Spot("node-2", "decode"),
}


def plan_of(*lines, top=""):
    text = top + "events:\n" + "".join(f"  - {{{line}}}\n" for line in lines)
    read = chaos_plan.check(parse(text, "chaos.yml"))
    assert read.plan is not None, [problem.render() for problem in read.problems]
    return read.plan


def made(*lines, duration_s=600.0, services=None, seed=1, top="", **more):
    return schedule.schedule(plan_of(*lines, top=top), duration_s, services or SERVICES, seed, **more)


def refused(*lines, **more):
    with pytest.raises(InputError) as caught:
        made(*lines, **more)
    return [problem.render() for problem in caught.value.problems]


ONE = "kind: kill, duration_s: 5, recovery_s: 10, target: {service: decode-1}"


def test_at_every_and_random_become_injections_sorted_by_time():
    found = made(
        f"name: often, every_s: 200, {ONE}",
        "name: once, kind: pause, at_s: 50, duration_s: 1, target: {service: decode-2}",
        "name: any, kind: network_cut, random: {count: 3, from_s: 300, until_s: 500}, duration_s: 1, target: {service: decode-3}",
    )
    assert [one.id for one in found if not one.id.startswith("any")] == ["once.0", "often.0", "often.1"]
    assert [one.at_s for one in found if one.id.startswith("often")] == [200.0, 400.0]
    drawn = [one for one in found if one.id.startswith("any")]
    assert sorted(one.id for one in drawn) == ["any.0", "any.1", "any.2"]
    assert all(300 <= one.at_s <= 500 for one in drawn)
    assert list(found) == sorted(found, key=lambda one: one.at_s)


@pytest.mark.parametrize(
    ("span", "times"),
    [
        ("every_s: 100", [100, 200, 300, 400, 500]),
        ("every_s: 100, from_s: 0", [0, 100, 200, 300, 400, 500]),
        ("every_s: 100, from_s: 50, until_s: 249", [50, 150]),
        ("every_s: 100, from_s: 50, until_s: 250", [50, 150, 250]),
    ],
)
def test_every_begins_and_ends_where_it_is_told_or_can(span, times):
    assert [one.at_s for one in made(f"{span}, {ONE}")] == times


@given(seed=st.integers(0, 2**31), count=st.integers(1, 8))
def test_the_same_seed_gives_the_same_schedule_and_nothing_past_the_end(seed, count):
    lines = [
        f"name: a, kind: kill, random: {{count: {count}}}, duration_s: 3, recovery_s: 7, target: {{role: decode, count: 1}}",
        f"name: b, kind: stop, random: {{count: {count}}}, duration_s: 3, recovery_s: 7, target: {{service: router}}",
    ]
    top = "allow_total: true\n"
    found = made(*lines, seed=seed, top=top)
    assert found == made(*lines, seed=seed, top=top)
    assert len({one.id for one in found}) == len(found) == 2 * count
    assert all(one.at_s >= 0 and one.until_s + one.recovery_s <= 600 for one in found)
    for one in found:
        same = [other for other in found if other.service == one.service and other.id != one.id]
        assert all(other.at_s > one.until_s or other.until_s < one.at_s for other in same)


def test_another_seed_gives_another_schedule_and_another_event_changes_nothing():
    chance = "name: any, kind: kill, random: {count: 4}, duration_s: 1, target: {role: decode, count: 1}"
    first = made(chance, seed=1)
    assert first != made(chance, seed=2)
    with_more = made(
        chance, "kind: pause, at_s: 1, duration_s: 1, target: {service: router}", seed=1, top="allow_total: true\n"
    )
    assert [one for one in with_more if one.id.startswith("any")] == list(first)


def test_a_count_chooses_so_many_targets_and_none_twice():
    found = made("name: k, kind: kill, every_s: 60, duration_s: 1, target: {role: decode, count: 2}", seed=3)
    by_time = {}
    for one in found:
        by_time.setdefault(one.at_s, []).append(one.service)
    assert len(by_time) == 9 and all(len(set(names)) == len(names) == 2 for names in by_time.values())
    assert len({tuple(names) for names in by_time.values()}) > 1
    assert [one.id for one in found] == [f"k.{number}" for number in range(18)]


LATE = [
    pytest.param(f"at_s: 586, {ONE}", ["events[0].at_s: is past the end", "over at 601 s, and the soak lasts 600 s; got 586 s; allowed: up to 585 seconds"], id="B75-at"),
    pytest.param(f"every_s: 60, until_s: 590, {ONE}", ["events[0].until_s: is past the end"], id="B75-until"),
    pytest.param(f"every_s: 590, {ONE}", ["events[0].every_s: is past the end"], id="B78-never"),
    pytest.param(f"every_s: 60, from_s: 599, {ONE}", ["events[0].from_s: is past the end"], id="B78-from"),
    pytest.param(f"random: {{count: 1, until_s: 590}}, {ONE}", ["events[0].random.until_s: is past the end"], id="B75-random"),
    pytest.param(f"random: {{count: 1, from_s: 590}}, {ONE}", ["events[0].random.from_s: is past the end"], id="B78-random"),
    pytest.param("kind: pause, random: {count: 1}, duration_s: 700, target: {service: decode-1}",
                 ["events[0].random: is past the end", "allowed: a soak of 730 seconds or more"], id="B78-long"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "parts"), LATE)
def test_what_is_not_over_at_the_end_of_the_soak_is_refused(line, parts):
    """B75, B78"""
    (said,) = refused(line)
    assert said.startswith("chaos.yml:2:")
    for part in parts:
        assert part in said


def test_every_event_that_is_too_late_is_named():
    """B78"""
    assert len(refused(f"at_s: 590, {ONE}", f"at_s: 595, {ONE}")) == 2


TOGETHER = [
    pytest.param("kind: pause, at_s: 1, duration_s: 9, target: {service: decode-1}", "kind: pause, at_s: 10, duration_s: 9, target: {service: decode-1}", True, id="B75-same-kind"),
    pytest.param("kind: pause, at_s: 1, duration_s: 9, target: {service: decode-1}", "kind: pause, at_s: 10.1, duration_s: 9, target: {service: decode-1}", False, id="after"),
    pytest.param("kind: pause, at_s: 1, duration_s: 9, target: {service: decode-1}", "kind: pause, at_s: 5, duration_s: 9, target: {service: decode-2}", False, id="other-target"),
    pytest.param("kind: pause, at_s: 1, duration_s: 9, target: {service: decode-1}", "kind: stop, at_s: 5, duration_s: 1, target: {service: decode-1}", True, id="F66-same-group"),
    pytest.param("kind: pause, at_s: 1, duration_s: 9, target: {service: decode-1}", "kind: network_cut, at_s: 5, duration_s: 9, target: {service: decode-1}", False, id="F66-nests"),
    pytest.param("kind: network_cut, at_s: 1, duration_s: 9, target: {service: decode-1}", "kind: kill, at_s: 5, duration_s: 1, target: {service: decode-1}", True, id="F66-dies-within"),
    pytest.param("kind: network_loss, at_s: 1, duration_s: 9, target: {service: decode-1}, params: {loss_pct: 5}", "kind: network_rate, at_s: 5, duration_s: 9, target: {service: decode-1}, params: {rate_kbit: 99}", True, id="F66-one-network"),
    pytest.param("kind: pause, at_s: 1, duration_s: 9, target: {service: decode-2}", "kind: dockerd_restart, at_s: 5, duration_s: 1, target: {node: node-2}", True, id="F66-engine"),
    pytest.param("kind: cpu_stress, at_s: 1, duration_s: 9, target: {service: decode-1}, params: {cores: 1}", "kind: dockerd_restart, at_s: 5, duration_s: 1, target: {node: node-2}", False, id="engine-elsewhere"),
    pytest.param("kind: cpu_stress, at_s: 1, duration_s: 9, target: {node: node-2}, params: {cores: 1}", "kind: cpu_stress, at_s: 5, duration_s: 9, target: {service: decode-2}, params: {cores: 1}", False, id="node-and-service"),
    pytest.param("kind: pressure, at_s: 1, duration_s: 9, params: {requests_per_s: 1}", "kind: pressure, at_s: 5, duration_s: 9, params: {requests_per_s: 2}", True, id="two-loads"),
    pytest.param("kind: pressure, at_s: 1, duration_s: 9, params: {requests_per_s: 1}", "kind: kill, at_s: 5, duration_s: 9, target: {service: decode-1}", False, id="load-and-kill"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "clash"), TOGETHER)
def test_faults_of_one_target_that_could_not_be_undone_apart_are_refused(first, second, clash):
    """B75, F66"""
    if not clash:
        assert len(made(first, second)) == 2
        return
    (said,) = refused(first, second)
    assert "chaos.yml:3:" in said and "events[1].at_s: overlaps" in said and "from 1 to 10 s" in said


TWO = {"a": Spot("node-1", "decode"), "b": Spot("node-2", "decode"), "router": Spot("node-1", "router")}
OUT_OF_STEP = (
    "kind: pause, every_s: 20, duration_s: 8, target: {service: a}",
    "kind: stop, random: {count: 4}, duration_s: 8, target: {service: b}",
)


def test_random_times_keep_clear_of_the_others_and_say_where_there_is_no_room():
    fixed = "kind: pause, every_s: 20, from_s: 0, duration_s: 10, target: {service: decode-1}"
    found = made(fixed, "name: r, kind: stop, random: {count: 5}, duration_s: 3, target: {service: decode-1}")
    paused = [(one.at_s, one.until_s) for one in found if one.kind == "pause"]
    for one in found:
        if one.kind == "stop":
            assert all(one.until_s < begin or end < one.at_s for begin, end in paused)
    (said,) = refused(fixed, "kind: stop, random: {count: 1}, duration_s: 11, target: {service: decode-1}")
    assert "events[1].random.count: finds no room among the other faults" in said


def test_random_times_leave_something_of_a_role_whatever_the_seed():
    for seed in range(20):
        found = made(*OUT_OF_STEP, seed=seed, duration_s=200.0, services=TWO)
        assert len([one for one in found if one.kind == "stop"]) == 4


TOTAL = [
    pytest.param(["kind: kill, at_s: 5, duration_s: 5, target: {role: decode}"], "all of role decode (3 of 3: decode-1, decode-2, decode-3)", id="B74-role"),
    pytest.param(["kind: kill, at_s: 5, duration_s: 5, target: {service: router}"], "all of role router (1 of 1: router)", id="B74-only-one"),
    pytest.param(["kind: pause, at_s: 5, duration_s: 5, target: {services: [router, decode-1, decode-2, decode-3]}"], "all services (4 of 4", id="B74-services"),
    pytest.param(["kind: dockerd_restart, at_s: 5, duration_s: 5, target: {services: [decode-1, decode-2]}"], "all nodes (2 of 2: node-1, node-2)", id="B74-nodes"),
    pytest.param(["kind: kill, at_s: 5, duration_s: 5, target: {services: [decode-1, decode-2]}", "kind: pause, at_s: 8, duration_s: 5, target: {service: decode-3}"],
                 "all of role decode (3 of 3: decode-1, decode-2, decode-3) at 8 s, together with kill-1.0, kill-1.1", id="B74-together"),
    pytest.param(["kind: dockerd_restart, at_s: 5, duration_s: 5, target: {node: node-1}"], "all of role router (1 of 1: router)", id="B74-by-node"),
    pytest.param(["kind: network_cut, at_s: 5, duration_s: 5, target: {node: node-1, whole: true}"], "all of role router (1 of 1: router)", id="B74-cut-node"),
    pytest.param(["kind: network_loss, at_s: 5, duration_s: 5, target: {role: decode}, params: {loss_pct: 95}"], "all of role decode (3 of 3", id="B74-all-is-lost"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "part"), TOTAL)
def test_what_leaves_nothing_must_be_allowed(lines, part):
    """B74"""
    (said,) = refused(*lines)
    assert f"takes down {part}" in said and "allowed: allow_total: true" in said
    assert made(*lines, top="allow_total: true\n")


def test_what_only_slows_down_takes_nothing_down():
    assert made("kind: network_loss, at_s: 5, duration_s: 5, target: {role: decode}, params: {loss_pct: 94.9}")
    assert made(
        "kind: network_rate, at_s: 5, duration_s: 5, target: {node: node-1, whole: true}, params: {rate_kbit: 32}"
    )


def test_the_controller_is_hit_only_where_that_is_allowed():
    """B74"""
    services = {"a": Spot("local"), "b": Spot("local")}
    stress = "kind: cpu_stress, at_s: 5, duration_s: 5, params: {cores: 1}, target: {node: local}"
    (said,) = refused(stress, services=services)
    assert "events[0].target: matches the controller, local (1 of 1 targets)" in said
    assert made(stress, services=services, top="allow_total: true\n")[0].node == "local"
    (killed,) = made("kind: kill, at_s: 5, duration_s: 5, target: {service: a}", services=services)
    assert (killed.node, killed.service) == ("local", "a")


def test_targets_are_looked_at_before_anything_is_decided():
    """B74"""
    (said,) = refused("kind: kill, at_s: 5, duration_s: 5, target: {service: decode-7}")
    assert "unknown service 'decode-7'" in said


def test_a_plan_does_not_make_more_injections_than_anybody_could_read():
    (said,) = refused("kind: pause, every_s: 2, duration_s: 1, target: {service: decode-1}", duration_s=20_000.0)
    assert "makes too many injections; got 9984 times on 1 targets; allowed: up to 5000 in all" in said


def test_a_node_is_asked_whether_it_can_be_hit_as_a_whole():
    """B73"""
    lines = [
        f"kind: network_loss, at_s: {at}, duration_s: 5, target: {target}, params: {{loss_pct: 5}}"
        for at, target in ((5, "{node: node-2, whole: true}"), (50, "{service: decode-2}"))
    ]
    params = {"loss_pct": 5.0, "direction": "both"}
    asked = schedule.wanted_kinds(made(*lines))["node-2"]["kinds"]
    assert asked == [
        {"kind": "network_loss", "params": params, "whole": True},
        {"kind": "network_loss", "params": params},
    ]


def test_each_node_gets_its_own_and_is_asked_what_it_can_do():
    found = made(
        "name: k, kind: kill, every_s: 100, duration_s: 1, target: {service: decode-2}",
        "name: p, kind: pressure, at_s: 5, duration_s: 1, params: {requests_per_s: 5}",
        test_node="local",
    )
    assert schedule.for_node(found, "node-1") == []
    assert schedule.for_node(found, "local") == [
        {
            "id": "p.0",
            "kind": "pressure",
            "at_s": 5.0,
            "duration_s": 1.0,
            "service": "",
            "params": {"requests_per_s": 5.0, "concurrency": 16},
            "recovery_s": 30.0,
            "expected": True,
        }
    ]
    assert schedule.wanted_kinds(found) == {
        "local": {
            "kinds": [{"kind": "pressure", "params": {"requests_per_s": 5.0, "concurrency": 16}}],
            "services": [],
        },
        "node-2": {"kinds": [{"kind": "kill", "params": {}}], "services": ["decode-2"]},
    }
