# SPDX-License-Identifier: MIT
"""What a node's files say as series: by its time since boot, with each thing that could not be read named."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import readings
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.readings import read_node

BEGIN = {"t": 1_700_000_000.0, "b": 5000.0, "boot_id": "x", "duration_s": 60.0, "run_b": 4900.0}
SERVICE = {"state": "running", "started": 100.5, "restarts": 0, "rss_bytes": 10, "fds": 3}


def line(at, **more):
    return json.dumps({"t": BEGIN["t"] + at, "b": BEGIN["b"] + at, "i": 1.0, "node": {"load_1m": 0.5}, **more})


@pytest.fixture
def node(tmp_path):
    """Return a function that reads the files of a node: begin.json and lines of samples."""

    def read(*lines, begin=BEGIN, end="\n"):
        if begin is not None:
            (tmp_path / "begin.json").write_text(begin if isinstance(begin, str) else json.dumps(begin))
        (tmp_path / "samples.jsonl").write_text("\n".join(lines) + (end if lines else ""))
        return read_node("n1", tmp_path)

    return read


def series(found):
    return {one.name: (one.times, one.values) for one in found.series}


def told(found):
    return [problem.render() for problem in found.problems]


def test_each_quantity_is_a_series_of_the_time_since_the_load_began(node):
    first = line(0.5, services={"a": SERVICE}, gpus={"0": {"memory_bytes": 5}})
    second = line(1.5, services={"a": {**SERVICE, "rss_bytes": 12}}, metrics={"a": {"vllm:x": 2.0}})
    found = node(first, second)
    both = (0.5, 1.5)
    assert series(found) == {
        "n1/gpu:0/memory_bytes": ((0.5,), (5.0,)),
        "n1/metrics:a/vllm:x": ((1.5,), (2.0,)),
        "n1/node/load_1m": (both, (0.5, 0.5)),
        "n1/service:a/fds": (both, (3.0, 3.0)),
        "n1/service:a/restarts": (both, (0.0, 0.0)),
        "n1/service:a/rss_bytes": (both, (10.0, 12.0)),
        "n1/service:a/running": (both, (1.0, 1.0)),
        "n1/service:a/started": (both, (100.5, 100.5)),
    }
    assert (told(found), found.sampled_s, found.begin.duration_s) == ([], both, 60.0)


@pytest.mark.parametrize("state", ["exited", "paused", "gone"])
def test_a_service_that_does_not_run_is_told_as_such(node, state):
    found = series(node(line(1, services={"a": {"state": state, "restarts": 1}})))
    assert found["n1/service:a/running"] == ((1.0,), (0.0,))


@pytest.mark.parametrize(("row", "step"), [("F60", 7200.0), ("F60", -7200.0), ("F62", -0.75)])
def test_f60_f62_the_wall_clock_moves_no_time(node, row, step):
    """F60, F62"""
    moved = json.loads(line(2))
    moved["t"] += step
    assert series(node(line(1), json.dumps(moved), line(3)))["n1/node/load_1m"][0] == (1.0, 2.0, 3.0)


def test_f61_a_clock_that_is_a_day_off_moves_no_time(node):
    """F61"""
    assert series(node(line(1), begin={**BEGIN, "t": BEGIN["t"] + 86400}))["n1/node/load_1m"][0] == (1.0,)


def test_what_was_sampled_before_the_load_is_no_part_of_it(node):
    assert node(line(-2), line(-1), line(0), line(1)).sampled_s == (0.0, 1.0)


def test_a_last_line_that_is_cut_is_left_out(node):
    found = node(line(1), line(2)[:30], end="")
    assert (found.sampled_s, told(found)) == ((1.0,), [])


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ("{", "samples.jsonl:2: is no JSON: "),
        ("[1]", "samples.jsonl:2: b: is None; expected the time since boot"),
        ('{"b": true}', "samples.jsonl:2: b: is None"),
        ('{"b": NaN}', "samples.jsonl:2: b: is None"),
        (line(0.5), "samples.jsonl:2: b: is 5000.5; expected the time since boot in s, after 5001"),
    ],
)
def test_a_line_that_is_none_is_named_and_the_others_count(node, odd, said):
    found = node(line(1), odd, line(2))
    assert found.sampled_s == (1.0, 2.0)
    assert len(told(found)) == 1 and told(found)[0].startswith(said)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "true", '"12"', "null", "[]"])
def test_g02_what_is_no_number_has_no_value_and_is_named_once(node, value):
    """G02"""
    odd = line(2, services={"a": {**SERVICE, "fds": "X"}}).replace('"X"', value)
    found = node(line(1, services={"a": SERVICE}), odd, odd.replace("5002", "5003"))
    assert series(found)["n1/service:a/fds"] == ((1.0,), (3.0,))
    assert [text.partition(" is ")[0] for text in told(found)] == ["samples.jsonl:2: service:a/fds:"]


def test_what_the_node_could_not_read_is_named_once_for_each_reason(node):
    missing = [{"gpus": "lost"}, {"gpus": "lost", "engine": "silent"}, {"gpus": "other"}]
    found = node(*(line(at, missing=one) for at, one in enumerate(missing)))
    assert told(found) == [
        "samples.jsonl:1: gpus: could not be read: lost",
        "samples.jsonl:2: engine: could not be read: silent",
        "samples.jsonl:3: gpus: could not be read: other",
    ]


CARD = {"gpus": {"0": {"memory_bytes": 5}}}


@pytest.mark.parametrize(
    ("lines", "cards"),
    [
        pytest.param([{}, {}], [], id="none-there"),
        pytest.param([{"missing": {"gpus": "lost"}}, {}], ["gpu:unread"], id="G01-never-read"),
        pytest.param([{"missing": {"gpus": "slow"}}, CARD], ["gpu:0"], id="read-later"),
        pytest.param([CARD, {"missing": {"gpus": "lost"}}], ["gpu:0"], id="lost-meanwhile"),
    ],
)
def test_g01_cards_that_were_never_read_are_not_passed_over(node, lines, cards):
    """G01: the gate of their memory has no data then, instead of not being there."""
    found = node(*(line(at, **more) for at, more in enumerate(lines)))
    of_cards = [one for one in found.series if one.subject.startswith("gpu:")]
    assert [one.subject for one in of_cards] == cards
    assert [one.metric for one in of_cards] == ["memory_bytes"] * len(cards)
    assert all(bool(one.values) == (one.subject != "gpu:unread") for one in of_cards)


@pytest.mark.parametrize("odd", ['"services": []', '"services": {"a": 5}', '"gpus": null', '"node": 3'])
def test_parts_of_another_type_are_passed_over(node, odd):
    found = node(line(1)[:-1] + ", " + odd + "}")
    assert found.sampled_s == (1.0,)


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (None, "begin.json: is missing: the load never began on this node"),
        ("{", "begin.json:1: is not JSON"),
        ({**BEGIN, "b": "soon"}, "begin.json: b: is 'soon'; expected a finite number"),
        ({**BEGIN, "duration_s": None}, "begin.json: duration_s: is None; expected a finite number"),
    ],
)
def test_g01_without_the_begin_of_the_load_there_is_no_series(node, begin, said):
    """G01"""
    found = node(line(1), begin=begin)
    assert (found.begin, found.series, found.sampled_s) == (None, (), ())
    assert told(found)[0].startswith(said)


def test_g01_a_node_without_samples_is_named(tmp_path):
    """G01"""
    (tmp_path / "begin.json").write_text(json.dumps(BEGIN))
    found = read_node("n1", tmp_path)
    assert (found.series, told(found)) == ((), ["samples.jsonl: is missing: nothing was sampled on this node"])


def test_a_link_is_no_file_of_the_node(tmp_path):
    (tmp_path / "elsewhere").write_text(line(1) + "\n")
    (tmp_path / "begin.json").write_text(json.dumps(BEGIN))
    (tmp_path / "samples.jsonl").symlink_to(tmp_path / "elsewhere")
    assert read_node("n1", tmp_path).series == ()


def test_too_many_problems_are_counted(node):
    found = node(*(line(at, missing={f"m{at}": "gone"}) for at in range(150)))
    assert len(found.problems) == readings.MOST_PROBLEMS + 1
    assert told(found)[-1] == "samples.jsonl: and 50 problems more"


def test_many_lines_take_little_more_memory_than_their_values(tmp_path):
    (tmp_path / "begin.json").write_text(json.dumps(BEGIN))
    services = {f"s{number:02d}": {**SERVICE, "rss_bytes": number} for number in range(50)}
    with (tmp_path / "samples.jsonl").open("w") as out:
        for at in range(200):
            out.write(line(at, services=services) + "\n")
    size = (tmp_path / "samples.jsonl").stat().st_size
    tracemalloc.start()
    try:
        found = read_node("n1", tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.series) == 251 and peak < 1.5 * size
    of_one = {one.metric: one.times for one in found.series if one.subject == "service:s07"}
    assert of_one["fds"] is of_one["rss_bytes"]
