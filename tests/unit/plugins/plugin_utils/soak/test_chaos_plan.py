# SPDX-License-Identifier: MIT
"""What a chaos plan may say, and what is said of one that is wrong: line, key, what is allowed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import parse
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import chaos_plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.chaos_plan import Spot
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.kinds_table import KINDS

SERVICES = {
    "router": Spot("node-1", "router"),
    "decode-1": Spot("node-1", "decode"),
    "decode-2": Spot("node-2", "decode"),
}
NODES = ("node-1", "node-2", "node-3")
KILL = {"kind": "kill", "at_s": 10, "duration_s": 5, "target": {"service": "decode-1"}}


def text_of(*events, **top):
    """Return a plan in JSON, one event a line, so that the line of event N is N + 2."""
    lines = ",\n".join(json.dumps(event) for event in events)
    return f'{{{"".join(f"{json.dumps(key)}: {json.dumps(value)}, " for key, value in top.items())}"events": [\n{lines}]}}\n'


def checked(*events, **top):
    return chaos_plan.check(parse(text_of(*events, **top), "chaos.yml"))


def said(*events, **top):
    return [problem.render() for problem in checked(*events, **top).problems]


WITHOUT = object()
WHOLE = {"node": "node-1", "whole": True}


def kill(**changes):
    return {key: value for key, value in {**KILL, **changes}.items() if value is not WITHOUT}


WRONG = [
    pytest.param(kill(kind="kil"), [":2:", "events[0].kind", "got string 'kil'", "allowed: kill, stop,", "did you mean kill?"], id="B73"),
    pytest.param(kill(kind=3), ["events[0].kind: must be one of the allowed words; got integer 3"], id="B73-type"),
    pytest.param(kill(target=WITHOUT), ["events[0].target: matches nothing: kind kill needs one of service, services, role, node"], id="B74-none"),
    pytest.param(kill(target={}), ["events[0].target: matches nothing"], id="B74-empty"),
    pytest.param(kill(target={"count": 1}), ["events[0].target: matches nothing"], id="B74-count-only"),
    pytest.param(kill(target={"role": "decode", "node": "n"}), ["target.node: cannot be given together with role"], id="B74-two"),
    pytest.param(kill(target={"service": "a", "count": 0}), ["target.count: is out of range; got integer 0; allowed: 1..1000"], id="B74-0"),
    pytest.param(kill(target={"servcie": "a"}), ["target.servcie: unknown key", "did you mean service?"], id="B74-key"),
    pytest.param(kill(at_s=-1), ["events[0].at_s: is out of range; got integer -1; allowed: 0..604800 seconds"], id="B75-at"),
    pytest.param(kill(duration_s=-1), ["events[0].duration_s: is out of range; got integer -1"], id="B75-duration"),
    pytest.param(kill(duration_s=0), ["events[0].duration_s: kill for no time is no fault"], id="B75-no-time"),
    pytest.param(kill(at_s=WITHOUT), ["says not when; give one of at_s, every_s, random"], id="B75-when"),
    pytest.param(kill(every_s=60), ["events[0].every_s: cannot be given together with at_s"], id="B75-twice"),
    pytest.param(kill(at_s=WITHOUT, every_s=5), ["events[0].every_s: begins again before its duration of 5 s is over"], id="B75-itself"),
    pytest.param(kill(at_s=WITHOUT, every_s=60, from_s=50, until_s=10), ["events[0].until_s: is before from_s, which is 50 s"], id="B75-span"),
    pytest.param(kill(at_s=WITHOUT, random={"count": 2, "from_s": 50, "until_s": 10}), ["random.until_s: is before from_s"], id="B75-random-span"),
    pytest.param(kill(until_s=10), ["events[0].until_s: has a meaning only beside every_s"], id="B75-until"),
    pytest.param(kill(at_s=WITHOUT, random={"count": 2}, from_s=1), ["from_s: has a meaning only beside every_s", "did you mean random.from_s?"], id="B75-from"),
    pytest.param(kill(at_s="1m"), ["at_s: must be a number without 'm', the unit is in the name of the key", "did you mean 1?"], id="B75-unit"),
    pytest.param(kill(kind="network_loss", params={"loss_pct": 150}), ["params.loss_pct: is out of range; got integer 150; allowed: 0.5..100 percent"], id="B76-range"),
    pytest.param(kill(kind="network_loss", params={"loss_pct": "20%"}), ["params.loss_pct: must be a number without '%'", "did you mean 20?"], id="B76-percent"),
    pytest.param(kill(kind="network_loss", params={"probability": 1.5}), ["params.probability: is not a key here: a loss is given in percent; did you mean loss_pct?"], id="B76-probability"),
    pytest.param(kill(kind="network_delay", params={"delay_ms": "fast"}), ["params.delay_ms: must be a number; got string 'fast'; allowed: 1..60000 ms"], id="B76-fast"),
    pytest.param(kill(kind="network_delay", params={"delay_ms": "200ms"}), ["params.delay_ms: must be a number without 'ms'", "did you mean 200?"], id="B76-ms"),
    pytest.param(kill(kind="network_delay", params={"delay_ms": 5, "jitter_ms": 6}), ["params.jitter_ms: is more than delay_ms, which is 5"], id="B76-jitter"),
    pytest.param(kill(kind="network_delay"), ["events[0]: kind network_delay needs params.delay_ms; allowed: 1..60000 ms"], id="B76-missing"),
    pytest.param(kill(kind="network_rate", params={"rate_kbit": 0}), ["params.rate_kbit: is out of range", "kbit/s"], id="B76-rate"),
    pytest.param(kill(kind="memory_stress", params={"memory": 512}), ["params.memory: must be a size with its unit, in quotes; got integer 512"], id="B76-size"),
    pytest.param(kill(kind="disk_fill", params={"bytes": "1GiB", "fill_pct": 95}), ["events[0].params: kind disk_fill needs exactly one of bytes, fill_pct; got bytes, fill_pct"], id="B76-both"),
    pytest.param(kill(kind="disk_fill"), ["needs exactly one of bytes, fill_pct; got none of them"], id="B76-neither"),
    pytest.param(kill(kind="network_cut", params={"direction": "up"}), ["params.direction: must be one of the allowed words; got string 'up'; allowed: both, in, out"], id="B76-direction"),
    pytest.param(kill(kind="clock_jump", params={"jump_s": 0}), ["params.jump_s: is no jump"], id="B76-jump"),
    pytest.param(kill(kind="clock_jump", params={"jump_s": -4}), ["params.jump_s: is no jump that can be measured; got integer -4; allowed: 5 s or more"], id="B76-small-jump"),
    pytest.param(kill(params={"cores": 1}), ["events[0].params.cores: unknown key"], id="B76-other-kind"),
    pytest.param(kill(duration_s=WITHOUT), ["events[0]: duration_s is missing: without it kill would never be undone; allowed: above 0 seconds"], id="B77-no-end"),
    pytest.param(kill(undo=False), ["events[0].undo: unknown key"], id="B77-switched-off"),
    pytest.param(kill(name="a b"), ["events[0].name: is not of the form that is allowed", "1..64 characters"], id="name"),
    pytest.param({"kind": "pressure", "at_s": 1, "duration_s": 1, "target": {"service": "router"}, "params": {"requests_per_s": 1}},
                 ["events[0].target: has no meaning for kind pressure"], id="pressure"),
    pytest.param(kill(kind="disk_fill", params={"bytes": "1GiB", "where": "data"}), ["params.where: is no place; got string 'data'; allowed: node, engine, or"], id="B76-where"),
    pytest.param(kill(kind="network_cut", target=WHOLE, params={"interfaces": ["-j"]}), ["params.interfaces[0]: is not of the form that is allowed"], id="B76-interface"),
    pytest.param(kill(kind="network_cut", target=WHOLE, params={"probe": "gateway"}), ["params.probe: is no IPv4 address; got string 'gateway'"], id="B76-probe"),
    pytest.param(kill(kind="network_cut", target=WHOLE, params={"keep_ports": [0]}), ["params.keep_ports[0]: is out of range"], id="B76-port"),
    pytest.param(kill(target=WHOLE), ["target.whole: kind kill cannot be done to a node itself; allowed for: network_cut, network_loss, network_rate"], id="B74-whole-kind"),
    pytest.param(kill(kind="network_cut", target={"role": "decode", "whole": True}), ["target.whole: has a meaning only beside node"], id="B74-whole-role"),
    pytest.param(kill(kind="network_cut", params={"probe": "192.0.2.1"}), ["params.probe: has a meaning only for a node itself, with target.whole: true"], id="B76-not-whole"),
    pytest.param(kill(kind="disk_fill", target={"node": "node-1"}, params={"bytes": "1GiB", "where": "/data"}),
                 ["params.where: is a path in a container, and the target is a node; name a service"], id="B76-where-of-a-node"),
    pytest.param("kill", ["events[0]: must be a mapping; got string 'kill'"], id="no-event"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "parts"), WRONG)
def test_what_is_wrong_with_an_event_is_named_with_line_and_key(event, parts):
    """B73, B74, B75, B76, B77"""
    read = checked(event)
    lines = [problem.render() for problem in read.problems]
    assert read.plan is None
    assert all(line.startswith("chaos.yml:") for line in lines)
    for part in parts:
        assert any(part in line for line in lines), lines


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param("", "chaos.yml: the file is empty; required keys: events", id="empty"),
        pytest.param("events: []\n", "chaos.yml:1:9: events: has too few or too many items", id="B78"),
        pytest.param("event: []\n", "chaos.yml:1:1: event: unknown key; allowed: allow_total, events", id="key"),
        pytest.param("schema_version: 2\nevents: []\n", "schema_version: is out of range; got integer 2", id="version"),
        pytest.param("events: [{kind: kill, kind: stop}]\n", "duplicate key 'kind'", id="B05"),
        pytest.param("allow_total: yes\nevents: []\n", "allow_total: must be true or false", id="boolean"),
        pytest.param("seed: x\nevents: []\n", "seed: must be an integer", id="seed"),
    ],
)
def test_what_is_wrong_with_the_file_is_named(text, part):
    read = chaos_plan.check(parse(text, "chaos.yml"))
    assert read.plan is None and part in "\n".join(problem.render() for problem in read.problems)


def test_all_problems_come_at_once_each_at_its_line():
    lines = said(kill(kind="kil"), kill(at_s=-5), kill(duration_s=WITHOUT))
    assert [line.split(":")[1] for line in lines] == ["2", "3", "4"]


def test_a_name_is_given_once_also_where_it_is_made():
    (line,) = said(kill(), kill(), kill(name="kill-2", at_s=90))
    assert "chaos.yml:4:" in line and "events[2].name: name 'kill-2' is given twice; first at line 3" in line


def test_a_kind_without_an_undo_is_not_loadable():
    """B77"""
    kinds = {**KINDS, "kill": replace(KINDS["kill"], undo="")}
    read = chaos_plan.check(parse(text_of(kill()), "chaos.yml"), kinds)
    assert read.plan is None
    assert "events[0].kind: kind kill has no undo, so it is not loadable" in read.problems[0].render()


def test_every_kind_has_an_undo_and_either_ends_itself_or_needs_to_be_told_how_long():
    """B77"""
    assert [kind.name for kind in KINDS.values() if not kind.undo] == []
    assert {kind.name for kind in KINDS.values() if kind.ends_itself} == {"restart", "dockerd_restart"}


PARAMS = {
    "network_loss": {"loss_pct": 20},
    "network_rate": {"rate_kbit": 64},
    "network_delay": {"delay_ms": 500, "jitter_ms": 50},
    "disk_fill": {"fill_pct": 95},
    "cpu_stress": {"cores": 2},
    "memory_stress": {"memory": "512MiB"},
    "clock_jump": {"jump_s": -3600},
    "pressure": {"requests_per_s": 50},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_asked_for(kind):
    target = {} if kind == "pressure" else {"target": {"service": "decode-1"}}
    event = {"kind": kind, "at_s": 1, "duration_s": 2, "params": PARAMS.get(kind, {}), **target}
    read = checked(event)
    assert read.problems == () and read.plan.events[0].kind.name == kind


def test_what_an_event_leaves_out_has_its_default():
    (event,) = checked({"kind": "restart", "at_s": 5, "target": {"service": "router"}}).plan.events
    assert (event.name, event.duration_s, event.recovery_s, event.expected) == ("restart-1", 0.0, 30.0, True)
    (event,) = checked(kill(kind="network_cut")).plan.events
    assert event.params == {"direction": "both"}
    (event,) = checked({"kind": "pressure", "at_s": 5, "duration_s": 1, "params": {"requests_per_s": 9}}).plan.events
    assert event.params == {"requests_per_s": 9.0, "concurrency": 16} and event.target is None


def test_yaml_and_json_say_the_same():
    written = (
        "events:\n  - {kind: memory_stress, at_s: 1, duration_s: 2, target: {role: decode}, params: {memory: 1GiB}}\n"
    )
    event = {
        "kind": "memory_stress",
        "at_s": 1,
        "duration_s": 2,
        "target": {"role": "decode"},
        "params": {"memory": "1GiB"},
    }
    one, other = chaos_plan.check(parse(written, "a")).plan, checked(event).plan
    assert one.events == other.events and one.events[0].params == {"memory": 2**30}


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ({"service": "decode-9"}, "target.service: unknown service 'decode-9'; allowed: router, decode-1, decode-2; did you mean decode-"),
        ({"services": ["router", "x"]}, "target.services[1]: unknown service 'x'"),
        ({"role": "decoder"}, "target.role: matches nothing: 0 of 3 services have the role 'decoder'; allowed: decode, router; did you mean decode?"),
        ({"node": "node-9"}, "target.node: matches nothing: the case does not use the node 'node-9'; allowed: node-1, node-2, node-3"),
        ({"node": "node-3"}, "target.node: matches nothing: 0 of 3 services are on the node 'node-3'"),
        ({"role": "decode", "count": 3}, "target.count: is more than the 2 that match: decode-1, decode-2; got integer 3; allowed: 1..2"),
    ],
)  # fmt: skip
def test_a_target_that_matches_nothing_or_less_than_it_counts_is_named(target, part):
    """B74"""
    plan = checked(kill(target=target)).plan
    (problem,) = chaos_plan.target_problems(plan, SERVICES, NODES)
    assert part in problem.render() and problem.line == 2


def test_a_node_is_no_problem_while_nobody_knows_what_runs_where():
    assert chaos_plan.target_problems(checked(kill(target={"node": "x"})).plan, SERVICES) == []


@pytest.mark.parametrize(
    ("kind", "target", "matching"),
    [
        ("kill", {"service": "decode-2"}, [("node-2", "decode-2")]),
        ("kill", {"services": ["decode-2", "router"]}, [("node-1", "router"), ("node-2", "decode-2")]),
        ("kill", {"role": "decode"}, [("node-1", "decode-1"), ("node-2", "decode-2")]),
        ("kill", {"node": "node-1"}, [("node-1", "router"), ("node-1", "decode-1")]),
        ("dockerd_restart", {"node": "node-2"}, [("node-2", "")]),
        ("dockerd_restart", {"services": ["router", "decode-1"]}, [("node-1", "")]),
        ("cpu_stress", {"node": "node-3"}, [("node-3", "")]),
        ("cpu_stress", {"role": "router"}, [("node-1", "router")]),
        ("network_cut", {"node": "node-1"}, [("node-1", "router"), ("node-1", "decode-1")]),
        ("network_cut", {"node": "node-1", "whole": False}, [("node-1", "router"), ("node-1", "decode-1")]),
        ("network_cut", {"node": "node-3", "whole": True}, [("node-3", "")]),
        ("network_loss", {"node": "node-1", "whole": True}, [("node-1", "")]),
        ("network_rate", {"node": "node-1", "whole": True}, [("node-1", "")]),
    ],
)
def test_what_is_hit_depends_on_what_a_kind_aims_at(kind, target, matching):
    event = {"kind": kind, "at_s": 1, "duration_s": 1, "target": target, "params": PARAMS.get(kind, {})}
    plan = checked(event).plan
    assert chaos_plan.matches(plan.events[0], SERVICES) == matching
    assert chaos_plan.target_problems(plan, SERVICES, NODES) == []


def test_a_plan_that_is_not_there_is_named(tmp_path):
    read = chaos_plan.read(tmp_path / "chaos.yml", root=tmp_path)
    assert read.plan is None and "file does not exist" in read.problems[0].render()


def test_a_file_of_json_is_read_as_such(tmp_path):
    (tmp_path / "chaos.json").write_text(json.dumps({"events": [KILL, kill(kind="kil")]}, indent="\t"))
    (problem,) = chaos_plan.read(tmp_path / "chaos.json", root=tmp_path).problems
    assert (problem.line, problem.key) == (12, "events[1].kind")
