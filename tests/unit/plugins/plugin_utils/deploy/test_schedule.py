# SPDX-License-Identifier: MIT
from __future__ import annotations

from itertools import count

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import graph
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.schedule import (
    Limits,
    Scheduler,
    critical_path,
    remaining,
    slack,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SHOP = {"redis": [], "mysql": [], "user": ["redis", "mysql"], "order": ["redis", "mysql"], "gateway": ["user", "order"]}
SHOP_S = {"redis": 1.0, "mysql": 5.0, "user": 2.0, "order": 4.0, "gateway": 1.0}
CHAIN = {"a": [], "b": ["a"], "c": ["b"]}
DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def scheduler(needs, estimates=None, limits=None, node_of=None):
    nodes = node_of or dict.fromkeys(needs, "n1")
    return Scheduler(needs, node_of=nodes, estimates=estimates or {}, limits=limits)


# --- paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "estimates", "left", "path", "spare"),
    [
        ({}, {}, {}, ((), 0.0), {}),
        ({"a": []}, {"a": 3.0}, {"a": 3.0}, (("a",), 3.0), {"a": 0.0}),
        (CHAIN, {}, {"a": 3.0, "b": 2.0, "c": 1.0}, (("a", "b", "c"), 3.0), {"a": 0.0, "b": 0.0, "c": 0.0}),
        (
            SHOP,
            SHOP_S,
            {"redis": 6.0, "mysql": 10.0, "user": 3.0, "order": 5.0, "gateway": 1.0},
            (("mysql", "order", "gateway"), 10.0),
            {"redis": 4.0, "mysql": 0.0, "user": 2.0, "order": 0.0, "gateway": 0.0},
        ),
        (
            {"x": [], "y": []},
            {"x": 2.0, "y": 2.0},
            {"x": 2.0, "y": 2.0},
            (("x",), 2.0),
            {"x": 0.0, "y": 0.0},
        ),
        ({"b": ["a", "a"], "a": []}, {}, {"b": 1.0, "a": 2.0}, (("a", "b"), 2.0), {"b": 0.0, "a": 0.0}),
    ],
    ids=[
        "nothing",
        "one",
        "chain of unknown times",
        "shop",
        "the first in the file among equals",
        "a need named twice",
    ],
)
def test_the_longest_way_decides_path_and_slack(needs, estimates, left, path, spare):
    assert remaining(needs, estimates) == left
    found = critical_path(needs, estimates)
    assert (found.names, found.seconds) == path
    assert slack(needs, estimates) == spare


@pytest.mark.parametrize("ask", [remaining, critical_path, slack])
def test_a_ring_and_an_unknown_service_are_named(ask):
    with pytest.raises(graph.CycleError, match=r"a -> b -> a|b -> a -> b"):
        ask({"a": ["b"], "b": ["a"]}, {})
    with pytest.raises(ValueError, match="'a' waits for 'ghost', which is no service"):
        scheduler({"a": ["ghost"]})


# --- order and limits -----------------------------------------------------------------------------------------------


def test_the_longest_remaining_path_starts_first_and_ties_keep_the_order_of_the_file():
    assert scheduler(SHOP, SHOP_S).next() == ["mysql", "redis"]
    assert scheduler({"z": [], "y": [], "x": []}).next() == ["z", "y", "x"]


@pytest.mark.parametrize(
    ("limits", "node_of", "first"),
    [
        (Limits(), {}, ["a", "b", "c", "d"]),
        (Limits(total=3), {}, ["a", "b", "c"]),
        (Limits(per_node=1), {}, ["a"]),
        (Limits(per_node=1), {"b": "n2"}, ["a", "b"]),
        (Limits(total=2, per_node=1), {"d": "n2"}, ["a", "d"]),
        (Limits(total=1, per_node=1), {"d": "n2"}, ["a"]),
    ],
    ids=["none", "in all", "a node", "a node each", "a full node leaves the slot to another", "both"],
)
def test_limits_hold_back_what_is_runnable(limits, node_of, first):
    needs = {name: [] for name in "abcd"}
    plan = scheduler(needs, limits=limits, node_of={**dict.fromkeys(needs, "n1"), **node_of})
    assert plan.next() == first
    assert plan.runnable == [name for name in needs if name not in first]
    assert plan.next() == []


def test_a_slot_is_free_once_its_service_runs_and_no_earlier():
    plan = scheduler({"a": [], "b": [], "c": []}, limits=Limits(total=1))
    assert plan.next() == ["a"]
    plan.release("a")
    assert plan.next() == ["b"]
    assert plan.ready("a") == []
    assert plan.next() == []
    plan.ready("b")
    assert plan.next() == ["c"]


def test_limits_below_zero_are_refused():
    with pytest.raises(ValueError, match="total -1"):
        Limits(total=-1)


# --- what happens ---------------------------------------------------------------------------------------------------


def test_what_waited_for_the_last_need_becomes_runnable():
    plan = scheduler(SHOP, SHOP_S)
    plan.next()
    assert plan.ready("redis") == [] and plan.runnable == []
    assert plan.ready("mysql") == ["user", "order"]
    assert plan.next() == ["order", "user"]
    assert not plan.done


def test_words_that_come_twice_or_late_change_nothing():
    plan = scheduler(CHAIN, limits=Limits(total=1))
    plan.next()
    for _ in range(2):
        plan.release("a")
    for _ in range(2):
        plan.ready("a")
    plan.release("a")
    assert plan.next() == ["b"]
    assert plan.failed("b") == {"c": "b"} and plan.failed("b") == {}
    assert plan.ready("b") == [] and plan.done


@pytest.mark.parametrize("name", ["b", "c"])
def test_a_service_that_was_never_started_cannot_be_ready(name):
    plan = scheduler({"a": [], "b": [], "c": ["a"]}, limits=Limits(total=1))
    assert plan.next() == ["a"]
    with pytest.raises(ValueError, match=f"'{name}' cannot be ready"):
        plan.ready(name)


def test_only_a_failed_service_is_tried_again():
    plan = scheduler(CHAIN)
    plan.next()
    with pytest.raises(ValueError, match="'a' cannot be tried again: it has not failed"):
        plan.again("a")


def test_dependants_of_a_failed_service_never_start_and_name_it():
    plan = scheduler(SHOP, SHOP_S)
    plan.next()
    assert plan.failed("redis") == {"user": "redis", "order": "redis", "gateway": "redis"}
    assert not plan.done
    plan.ready("mysql")
    assert plan.next() == [] and plan.done
    assert plan.blocked == {"user": "redis", "order": "redis", "gateway": "redis"}


def test_a_retry_unblocks_what_waited_for_it_and_nothing_else_starts_again():
    plan = scheduler(DIAMOND)
    plan.next()
    plan.ready("a")
    assert plan.next() == ["b", "c"]
    plan.ready("b")
    assert plan.failed("c") == {"d": "c"} and plan.done
    plan.again("c")
    assert not plan.done and plan.blocked == {}
    assert plan.next() == ["c"]
    assert plan.ready("c") == ["d"]
    assert plan.next() == ["d"]


def test_a_retry_needs_a_slot_like_any_other():
    plan = scheduler({"a": [], "b": []}, limits=Limits(total=1))
    plan.next()
    plan.failed("a")
    assert plan.next() == ["b"]
    plan.again("a")
    assert plan.next() == [] and plan.runnable == ["a"]
    plan.release("b")
    assert plan.next() == ["a"]


def test_what_waits_for_two_failed_services_names_the_one_that_is_left():
    plan = scheduler({"a": [], "b": [], "c": ["a", "b"], "d": ["c"]})
    plan.next()
    assert plan.failed("a") == {"c": "a", "d": "a"}
    assert plan.failed("b") == {}
    plan.again("a")
    assert plan.blocked == {"c": "b", "d": "b"}
    plan.again("b")
    assert plan.blocked == {} and plan.next() == ["a", "b"]


def test_a_service_that_dies_after_it_was_ready_holds_back_only_what_has_not_started():
    plan = scheduler({"a": [], "b": ["a"], "c": ["a"], "d": ["b"]}, limits=Limits(total=1))
    plan.next()
    plan.ready("a")
    assert plan.next() == ["b"]
    assert plan.failed("a") == {"c": "a"}
    plan.ready("b")
    assert plan.next() == ["d"]
    plan.ready("d")
    plan.again("a")
    assert plan.next() == ["a"] and plan.runnable == []
    assert plan.ready("a") == ["c"]


def test_a_service_may_fail_before_it_was_started():
    plan = scheduler(CHAIN)
    assert plan.failed("b") == {"c": "b"}
    assert plan.next() == ["a"]
    plan.failed("a")
    assert plan.done and plan.blocked == {"c": "b"}
    plan.again("b")
    assert plan.blocked == {"b": "a", "c": "a"}
    plan.again("a")
    assert plan.next() == ["a"]


def test_a_whole_node_may_fail_in_any_order():
    plan = scheduler(CHAIN)
    plan.next()
    assert plan.failed("a") == {"b": "a", "c": "a"}
    assert plan.failed("b") == {}
    plan.again("a")
    assert plan.blocked == {"c": "b"} and plan.next() == ["a"]
    plan.ready("a")
    plan.again("b")
    assert plan.next() == ["b"] and plan.blocked == {}


# --- any graph, any course of events, against a slow oracle ---------------------------------------------------------


@st.composite
def graphs(draw):
    size = draw(st.integers(0, 12))
    needs = {
        f"s{n}": [f"s{m}" for m in draw(st.sets(st.integers(0, n - 1), max_size=3))] if n else [] for n in range(size)
    }
    order = draw(st.permutations(list(needs)))
    return {name: needs[name] for name in order}


def longest(needs, estimates, name):
    return estimates[name] + max(
        (longest(needs, estimates, n) for n, wants in needs.items() if name in wants), default=0
    )


class Oracle:
    """The rules said plainly and slowly: every answer is worked out from the history, nothing is kept up to date."""

    def __init__(self, needs, node_of, estimates, limits):
        self.needs, self.node_of, self.limits = needs, node_of, limits
        self.longest = {name: longest(needs, estimates, name) for name in needs}
        self.ready, self.failed, self.running, self.slots = set(), set(), set(), set()

    def lost(self, name):
        """Return the failed services for which a service waits, through others that are not there either."""
        found = set()
        for want in self.needs[name]:
            if want not in self.started():
                found |= self.lost(want) | ({want} & self.failed)
        return found

    def started(self):
        return self.ready | self.running

    def unstarted(self):
        return [name for name in self.needs if name not in self.started() | self.failed]

    def runnable(self):
        return [name for name in self.unstarted() if self.ready.issuperset(self.needs[name])]

    def blocked(self):
        return {name for name in self.unstarted() if self.lost(name)}

    def has_room(self, name):
        here = sum(self.node_of[other] == self.node_of[name] for other in self.slots)
        fits = not self.limits.total or len(self.slots) < self.limits.total
        return fits and (not self.limits.per_node or here < self.limits.per_node)

    def next(self):
        found = []
        while True:
            open_now = [name for name in self.runnable() if self.has_room(name)]
            if not open_now:
                return found
            best = max(open_now, key=self.longest.__getitem__)
            self.running.add(best)
            self.slots.add(best)
            found.append(best)

    def done(self):
        return not self.running and set(self.unstarted()) == self.blocked()


def moves(oracle):
    """Return what may happen next in the world."""
    found = [("release", name) for name in oracle.needs if name in oracle.slots]
    found += [("ready", name) for name in oracle.needs if name in oracle.running]
    found += [("failed", name) for name in oracle.needs if name not in oracle.failed]
    return found + [("again", name) for name in oracle.needs if name in oracle.failed]


def happen(oracle, what, name):
    if what == "release":
        oracle.slots.discard(name)
        return
    for group in (oracle.slots, oracle.running, oracle.ready, oracle.failed):
        group.discard(name)
    if what in ("ready", "failed"):
        (oracle.ready if what == "ready" else oracle.failed).add(name)


def worlds():
    limits = st.builds(Limits, st.integers(0, 4), st.integers(0, 3))
    return st.tuples(graphs(), st.lists(st.integers(1, 5), min_size=14, max_size=14), st.integers(1, 3), limits)


def pair_of(world):
    needs, times, nodes, limits = world
    estimates = dict(zip(needs, map(float, times), strict=False))
    node_of = {name: f"n{place % nodes}" for place, name in enumerate(needs)}
    tried = Scheduler(needs, node_of=node_of, estimates=estimates, limits=limits)
    return tried, Oracle(needs, node_of, estimates, limits)


@settings(max_examples=150, deadline=None)
@given(worlds(), st.data())
def test_any_course_of_events_is_answered_as_the_rules_say(world, data):
    tried, oracle = pair_of(world)
    for _ in range(30):
        assert tried.next() == oracle.next()
        assert set(tried.runnable) == set(oracle.runnable())
        assert tried.done == oracle.done()
        assert set(tried.blocked) == oracle.blocked()
        assert all(culprit in oracle.lost(name) for name, culprit in tried.blocked.items())
        possible = moves(oracle)
        if not possible:
            return
        what, name = data.draw(st.sampled_from(possible))
        before = oracle.blocked()
        happen(oracle, what, name)
        answer = getattr(tried, what)(name)
        if what == "failed":
            assert answer == dict.fromkeys(oracle.blocked() - before, name)


@settings(max_examples=100, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_everything_becomes_ready_within_the_limits_when_nothing_fails(world, chance):
    needs, _, _, limits = world
    tried, oracle = pair_of(world)
    ready, slots, running = set(), set(), set()
    for _ in count():
        for name in tried.next():
            assert ready.issuperset(needs[name])
            running.add(name)
            slots.add(name)
        for node in set(oracle.node_of.values()):
            assert not limits.per_node or sum(oracle.node_of[name] == node for name in slots) <= limits.per_node
        assert not limits.total or len(slots) <= limits.total
        if tried.done:
            break
        name = chance.choice(sorted(running))
        if name in slots and chance.random() < 0.5:
            tried.release(name)
        else:
            tried.ready(name)
            running.discard(name)
            ready.add(name)
        slots.discard(name)
    assert ready == set(needs)


@given(worlds())
def test_path_remaining_and_slack_agree_with_each_other(world):
    needs, times, _, _ = world
    estimates = dict(zip(needs, map(float, times), strict=False))
    left, path, spare = remaining(needs, estimates), critical_path(needs, estimates), slack(needs, estimates)
    assert left == {name: longest(needs, estimates, name) for name in needs}
    assert path.seconds == sum(estimates[name] for name in path.names) == max(left.values(), default=0.0)
    assert all(before in needs[after] for before, after in zip(path.names, path.names[1:], strict=False))
    for name in needs:
        later = critical_path(needs, {**estimates, name: estimates[name] + spare[name]}).seconds
        too_late = critical_path(needs, {**estimates, name: estimates[name] + spare[name] + 1}).seconds
        assert later == path.seconds and too_late == path.seconds + 1
