# SPDX-License-Identifier: MIT
"""What counts for a soak: the profile, under the layers, under what is said for the profile alone, under -e."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers, soak_spec
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import settings as sections
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.metadata import load_scenario
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import profiles, settings

from testcell import starting

SMOKE, ENDURANCE, RELEASE = soak_spec.PROFILES
PLAN = "events: [{kind: pressure, at_s: 1, duration_s: 1, params: {requests_per_s: 1}}]\n"
WITH_PLAN = "soak: {chaos_plan: chaos.yml}\n"


@pytest.fixture
def load(tmp_path):
    """Return a function from the section of the scenario, a global layer and -e to the scenario that they make."""
    starting.start(tmp_path / "project")
    folder = tmp_path / "project/scenarios/001_example"
    (folder / "chaos.yml").write_text(PLAN)
    metadata = (folder / "metadata.yml").read_text()

    def make(own="", everywhere="", **overrides):
        (folder / "metadata.yml").write_text(metadata + own)
        defaults = tmp_path / "defaults.yaml"
        defaults.write_text(everywhere or "{}\n")
        given = {"soak_profile": "given", **overrides}
        return load_scenario(folder, layers=layers.load(defaults, {}, given), known=None)

    return make


@pytest.mark.parametrize(
    ("profile", "seconds", "topologies", "missing"),
    [
        (SMOKE, 1200, ("single", "distributed"), "warn"),
        (ENDURANCE, 10_800, ("distributed", "distributed_chaos"), "fail"),
        (RELEASE, 28_800, ("single", "distributed", "distributed_chaos"), "fail"),
    ],
)
def test_each_profile_has_its_length_topologies_and_meaning_of_missing_data(
    load, profile, seconds, topologies, missing
):
    found = settings.effective(load(WITH_PLAN), profile)
    assert (found.duration_secs, found.topologies, found.missing, found.profile) == (
        seconds,
        topologies,
        missing,
        profile,
    )
    assert found.enable_chaos is any(name.endswith("_chaos") for name in topologies)


def test_a_release_is_held_to_limits_that_are_as_strict_or_stricter():
    endurance, release = profiles.values(ENDURANCE), profiles.values(RELEASE)
    looser = [
        path
        for path in release
        if (str(path[-1]).startswith("max_") and release[path] > endurance[path])
        or (str(path[-1]).startswith("min_") and release[path] < endurance[path])
    ]
    assert looser == []


@pytest.mark.parametrize("profile", soak_spec.PROFILES)
def test_every_value_of_a_profile_is_one_that_a_scenario_may_give(profile):
    known = {path[1:] for path in sections.leaf_specs() if path[0] == "soak"}
    assert {path for path in profiles.values(profile) if path not in known} == set()


def test_nearer_layers_win_and_what_is_said_for_the_profile_beats_what_is_said_for_all(load):
    own = "soak: {max_stall_secs: 2, max_lag_p95: 3, profiles: {soak_smoke: {max_lag_p95: 4, max_failure_ratio: 0.4, gates: {max_fd_slope: 7}}}}\n"
    scenario = load(own, "soak: {duration_secs: 77, max_stall_secs: 1}\n", max_failure_ratio="0.5")
    found = settings.effective(scenario, SMOKE)
    assert (found.duration_secs, found.max_stall_secs, found.max_lag_p95, found.max_failure_ratio) == (77, 2, 4.0, 0.5)
    assert found.gates["max_fd_slope"] == 7.0 and found.gates["max_threads_slope"] == 60.0
    other = settings.effective(load(own + "", "{}\n", enable_chaos="false"), ENDURANCE)
    assert (other.max_lag_p95, other.max_failure_ratio, other.gates["max_fd_slope"]) == (3.0, 0.05, 60.0)


def test_latencies_are_merged_by_percentile(load):
    own = "soak: {gates: {latency: {ttft_ms: {p95: 500, p99: 900}}}, profiles: {soak_smoke: {gates: {latency: {ttft_ms: {p99: 5000}}}}}}\n"
    found = settings.effective(load(own), SMOKE)
    assert found.gates["latency"] == {"ttft_ms": {"p95": 500.0, "p99": 5000.0}}


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("duration_secs", "90", "duration_secs", 90),
        ("max_stall_secs", "9", "max_stall_secs", 9),
        ("max_lag_p95", "1.5", "max_lag_p95", 1.5),
        ("max_failure_ratio", "0.25", "max_failure_ratio", 0.25),
        ("max_rss_slope", "64MiB", "max_rss_slope", 64 * 2**20),
        ("enable_chaos", "true", "enable_chaos", True),
        ("out_dir", "x", "negative_control", False),
        ("chaos_plan", "chaos.yml", "chaos_plan", "chaos.yml"),
        ("out_dir", "elsewhere", "out_dir", "elsewhere"),
        ("topologies", "single_chaos, distributed", "topologies", ("single_chaos", "distributed")),
        ("topologies", ["single"], "topologies", ("single",)),
        ("testcell_soak_gates_max_rto_secs", "5", "gates", 5),
        ("soak.warmup_secs", "7", "warmup_secs", 7),
    ],
)
def test_every_value_can_be_given_on_the_command_line(load, name, text, field, value):
    found = getattr(settings.effective(load(WITH_PLAN, **{name: text}), SMOKE), field)
    assert (found["max_rto_secs"] if field == "gates" else found) == value


def test_without_a_profile_the_short_names_are_none_of_ours(load):
    assert load(soak_profile="", duration_secs="half a day").soak.overrides == {}


WRONG = [
    ({"duration_secs": "0"}, "-e: soak.duration_secs: in the override layer: is out of range; got integer 0; allowed: 1..604800 seconds"),
    ({"duration_secs": "20m"}, "must be an integer without 'm', the unit is in the name of the key; got string '20m'"),
    ({"max_failure_ratio": "1.5"}, "-e: soak.max_failure_ratio: in the override layer: is out of range; got number 1.5; allowed: 0..1"),
    ({"max_rss_slope": "64"}, "-e: soak.max_rss_slope: in the override layer: is not a size"),
    ({"topologies": "singel"}, "did you mean single?"),
    ({"topologies": ""}, "soak.topologies: in the override layer: has too few or too many items"),
    ({"topologies": "single,single"}, "soak.topologies[1]: in the override layer: is given twice"),
    ({"enable_chaos": "maybe"}, "soak.enable_chaos: in the override layer: must be true or false"),
    ({"chaos_plan": "../x.yml"}, "soak.chaos_plan: in the override layer: leads out of its folder"),
    ({"chaos_plan": "none.yml"}, "-e: soak.chaos_plan: file "),
    ({"soak.durations_secs": "1"}, "did you mean soak.duration_secs?"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "part"), WRONG)
def test_a_wrong_value_on_the_command_line_is_named(load, given, part):
    with pytest.raises(InputError) as caught:
        load(**given)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("own", "given", "topologies"),
    [
        ("", {"enable_chaos": "true"}, ("single", "distributed", "distributed_chaos")),
        ("", {"topologies": "single", "enable_chaos": "true"}, ("single", "single_chaos")),
        ("", {"topologies": "distributed_chaos"}, ("distributed_chaos",)),
        ("", {"topologies": "single,distributed_chaos", "enable_chaos": "false"}, ("single",)),
        ("enable_chaos: true, ", {"topologies": "distributed"}, ("distributed",)),
        ("topologies: [distributed_chaos, single], ", {"enable_chaos": "false"}, ("single",)),
    ],
)
def test_enable_chaos_decides_unless_the_topologies_are_said_nearer(load, own, given, topologies):
    found = settings.effective(load(f"soak: {{{own}chaos_plan: chaos.yml}}\n", **given), SMOKE)
    assert found.topologies == topologies
    assert found.enable_chaos is any(name.endswith("_chaos") for name in topologies)


IMPOSSIBLE = [
    ("", ENDURANCE, {}, "metadata.yml: soak.chaos_plan: topology distributed_chaos has faults, but no plan is named; name one, or set enable_chaos to false"),
    (WITH_PLAN, SMOKE, {"negative_control": "true"}, "-e: soak.negative_control: without a topology with faults there is nothing to control; allowed: a topology such as single_chaos, distributed_chaos"),
    (WITH_PLAN, SMOKE, {"topologies": "distributed_chaos", "enable_chaos": "false"}, "-e: soak.topologies: no topology is left"),
    (WITH_PLAN, SMOKE, {"duration_secs": "60", "soak.warmup_secs": "60"}, "-e: soak.warmup_secs: leaves nothing to look at; got integer 60; allowed: less than the 60 s"),
    ("soak: {profiles: {soak_smoke: {warmup_secs: 1200}}}\n", SMOKE, {}, ":24:31: soak.profiles.soak_smoke.warmup_secs: leaves nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("own", "profile", "given", "part"), IMPOSSIBLE)
def test_what_cannot_be_is_said_where_it_was_written(load, own, profile, given, part):
    """B78"""
    with pytest.raises(InputError) as caught:
        settings.effective(load(own, **given), profile)
    assert part in str(caught.value)


def test_a_negative_control_is_asked_for_like_any_other_value(load):
    found = settings.effective(load(WITH_PLAN, negative_control="true", topologies="single_chaos"), SMOKE)
    assert found.negative_control is True
    own = "soak: {chaos_plan: chaos.yml, negative_control: true}\n"
    assert settings.effective(load(own), ENDURANCE).negative_control is True


def test_a_warm_up_that_nobody_asked_for_leaves_most_of_a_short_soak(load):
    assert settings.effective(load(duration_secs="40"), SMOKE).warmup_secs == 10
    assert settings.effective(load("soak: {warmup_secs: 30}\n", duration_secs="40"), SMOKE).warmup_secs == 30


def test_settings_are_plain_json(load):
    own = 'soak: {metrics: [{service: engine, port: 18100, names: ["a*"]}]}\n'
    found = settings.effective(load(own), SMOKE)
    assert json.loads(json.dumps(asdict(found)))["metrics"] == [{"service": "engine", "port": 18100, "names": ["a*"]}]


def test_settings_come_back_from_plain_data_with_the_limits_of_the_gates(load):
    found = settings.effective(load("soak: {gates: {max_disk_slope: 1GiB}}\n"), SMOKE)
    assert settings.of_data(json.loads(json.dumps(asdict(found)))) == found
    assert found.limits["max_disk_slope"] == 2**30 and found.limits["missing"] == "warn"
    assert found.limits["max_rto_secs"] == 60 and "max_anon_slope" not in found.limits


def test_a_profile_that_is_none_is_named():
    problem = settings.profile_problem("soak_smok")
    assert "-e: soak_profile: unknown profile; got string 'soak_smok'" in problem.render()
    assert "did you mean soak_smoke?" in problem.render()
    assert settings.profile_problem(SMOKE) is None


def test_origins_name_profile_file_and_command_line(load):
    scenario = load("soak: {max_stall_secs: 2, profiles: {soak_smoke: {max_stall_secs: 3}}}\n", max_stall_secs="4")
    found = {origin.key: origin for origin in settings.origins(scenario, SMOKE)}
    stall = found["soak.max_stall_secs"]
    assert [(one.value, one.layer, one.line) for one in (stall, *stall.shadows)] == [
        (4, "override", 0),
        (3, "scenario", 24),
        (2, "scenario", 24),
        (120, "profile soak_smoke", 0),
    ]
    assert found["soak.duration_secs"].layer == "profile soak_smoke"
