# SPDX-License-Identifier: MIT
"""From a scenario and a profile to the cases of a soak, before any node is asked for anything."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, plan, soaking, view
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import schedule

from testcell import starting

NODES = {"node-1": {"ansible_host": "10.0.0.1"}, "node-2": {"ansible_host": "10.0.0.2"}}
SERVICES = "deployment:\n  services:\n    - {name: engine, role: router}\n    - {name: a, role: decode}\n    - {name: b, role: decode}\n"
CHAOS = """\
events:
  - {name: kill-one, kind: kill, every_s: 60, from_s: 5, duration_s: 5, target: {role: decode, count: 1}}
  - {name: burst, kind: pressure, at_s: 20, duration_s: 5, params: {requests_per_s: 20}}
"""


@pytest.fixture
def project(tmp_path):
    """Return a project of one scenario with three services and a chaos plan."""
    folder = tmp_path / "project"
    starting.start(folder)
    scenario = folder / "scenarios/001_example"
    metadata = (scenario / "metadata.yml").read_text()
    before, _, after = metadata.partition("deployment:\n")
    _, _, rest = after.partition("\n\n")
    (scenario / "metadata.yml").write_text(f"{before}{SERVICES}\n{rest}soak: {{chaos_plan: chaos.yml}}\n")
    more = "".join(f"  {name}:\n    image: testcell/engine-sim:1\n" for name in "ab")
    (scenario / "docker-compose.yml").write_text((scenario / "docker-compose.yml").read_text() + more)
    (scenario / "chaos.yml").write_text(CHAOS)
    return folder


def decided(project, profile="soak_smoke", now=1000.0, **given):
    more = {name: given.pop(name) for name in ("scenario", "hosts", "results_dir", "cases") if name in given}
    asked = opening.Asked(
        **{"scenario": "example", "hosts": NODES, "forks": 9, "soak_profile": profile, **more}, overrides=given
    )
    return opening.decide(asked, project, now, "me")


def said(project, *args, **given):
    with pytest.raises(InputError) as caught:
        decided(project, *args, **given)
    return str(caught.value)


CHAOS_ONLY = {"topologies": "distributed_chaos", "duration_secs": "120"}


def test_an_ordinary_run_knows_nothing_of_the_section(project):
    (case,) = decided(project, profile="", topologies="nonsense").cases
    assert (case.soak, case.ref.case, case.labels, case.test.timeout_s) == ({}, "", {}, 300)
    assert soaking.SECONDS not in case.test.environment


def test_each_topology_is_a_case_with_its_label_placement_and_time(project):
    single, distributed = decided(project).cases
    assert [case.ref.case for case in (single, distributed)] == ["topology-single", "topology-distributed"]
    assert [case.labels for case in (single, distributed)] == [{"topology": "single"}, {"topology": "distributed"}]
    assert set(single.placement.values()) == {"node-1"}
    assert distributed.placement == {"engine": "node-1", "a": "node-2", "b": "node-1"}
    for case in (single, distributed):
        assert case.test.timeout_s == 1200 + soaking.MARGIN_S
        assert case.test.environment[soaking.SECONDS] == "1200"
        assert (case.soak["schedule"], case.soak["seed"], case.soak["settings"]["missing"]) == ([], None, "warn")
        assert case.on_service_death == "end_test"


def test_a_case_with_faults_has_its_schedule_and_restarts_nothing_itself(project):
    (case,) = decided(project, **CHAOS_ONLY).cases
    found = schedule.of_data(case.soak["schedule"])
    assert [one.id for one in found] == ["kill-one.0", "burst.0", "kill-one.1"]
    assert {one.service for one in found} <= {"a", "b", ""} and found[1].node == case.test.node == "local"
    assert (case.on_service_death, case.recovery) == ("end_test", {"restart_services": 0})


def test_what_is_left_to_chance_has_a_seed_that_is_made_kept_and_told(project):
    """B79"""
    (case,) = decided(project, now=1234.5, **CHAOS_ONLY).cases
    assert case.soak["seed"] == 1_234_500
    (told,) = [line for line in case.warnings if "chaos.yml" in line]
    assert "note: seed: seed 1234500 was made for what is left to chance; write `seed: 1234500` into the plan" in told
    (again,) = decided(project, now=9.0, **CHAOS_ONLY).cases
    chaos = project / "scenarios/001_example/chaos.yml"
    chaos.write_text(f"seed: 1234500\n{CHAOS}")
    (same,) = decided(project, now=9.0, **CHAOS_ONLY).cases
    assert same.soak["schedule"] == case.soak["schedule"] and again.soak["seed"] == 9000
    assert not [line for line in same.warnings if "was made" in line]


def test_the_plan_of_a_soak_comes_back_from_its_file(project, tmp_path):
    made = replace(decided(project, **CHAOS_ONLY), results_dir=str(tmp_path), run_id="20260101_000000")
    made.run_dir.mkdir()
    plan.save(made)
    (case,) = plan.load(made.run_dir).cases
    assert asdict(case)["soak"] == json.loads(json.dumps(made.cases[0].soak))
    assert schedule.of_data(case.soak["schedule"]) == schedule.of_data(made.cases[0].soak["schedule"])


def test_one_node_is_not_distributed_and_that_is_said(project):
    single, distributed = decided(project, hosts={}).cases
    assert not [line for line in single.warnings if "topology" in line]
    assert [line for line in distributed.warnings if "topology distributed uses one node, local" in line]


def test_cases_are_chosen_by_their_topology(project):
    (case,) = decided(project, cases="topology=distributed").cases
    assert case.labels == {"topology": "distributed"}


def test_failed_nodes_are_not_set_aside_since_the_faults_are_aimed_at_these(project):
    metadata = project / "scenarios/001_example/metadata.yml"
    metadata.write_text(metadata.read_text() + "recovery: {set_aside_nodes: 1}\n")
    assert len(decided(project, profile="").cases) == 2
    cases = decided(project, **CHAOS_ONLY).cases
    assert [(case.ref.attempt, case.spares) for case in cases] == [(1, {})]


REFUSED = [
    pytest.param({"duration_secs": "30"}, "", "chaos.yml:2:55: events[0].from_s: is past the end", id="B78-longer"),
    pytest.param({"chaos_plan": "none.yml"}, "", "-e: soak.chaos_plan: file", id="no-file"),
    pytest.param({}, "events: []\n", "chaos.yml:1:9: events: has too few or too many items", id="B78-zero"),
    pytest.param({}, CHAOS.replace("kind: kill", "kind: kil"), "did you mean kill?", id="B73"),
    pytest.param({}, CHAOS.replace(", count: 1", ""), "takes down all of role decode (2 of 2: a, b)", id="B74-role"),
    pytest.param({}, CHAOS.replace("role: decode, count: 1", "node: node-7"), "the case does not use the node 'node-7'", id="B74-node"),
    pytest.param({}, CHAOS.replace("role: decode, count: 1", "service: engin"), "did you mean engine?", id="B74-service"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "chaos", "part"), REFUSED)
def test_a_plan_that_cannot_be_carried_out_is_refused(project, given, chaos, part):
    """B73, B74, B78"""
    if chaos:
        (project / "scenarios/001_example/chaos.yml").write_text(chaos)
    assert part in said(project, **{**CHAOS_ONLY, **given})


def test_extra_load_without_the_settings_of_a_load_is_refused(project):
    """B73, F67: the load client on the node would send nothing, hours later."""
    scenario = project / "scenarios/001_example"
    metadata = scenario / "metadata.yml"
    metadata.write_text(metadata.read_text().replace("client: testcell", "client: script"))
    assert decided(project, **CHAOS_ONLY).cases
    (scenario / "test_config.json").unlink()
    text = said(project, **CHAOS_ONLY)
    assert (
        "chaos.yml:3:" in text
        and "events[1].kind: pressure sends load as test_config.json says, which is not there" in text
    )
    (scenario / "chaos.yml").write_text("\n".join(CHAOS.splitlines()[:2]) + "\n")
    assert decided(project, **CHAOS_ONLY).cases


def test_an_unknown_profile_is_named_beside_what_else_is_wrong(project):
    text = said(project, "soak_nightly", duration_secs="x")
    assert "-e: soak_profile: unknown profile; got string 'soak_nightly'; allowed: soak_smoke," in text
    assert "-e: soak.duration_secs: in the override layer: must be an integer" in text


def test_the_results_of_a_soak_go_where_it_says(project, tmp_path):
    assert decided(project, out_dir="soaks").results_dir == str(project / "soaks")
    assert decided(project, out_dir=str(tmp_path / "x")).results_dir == str(tmp_path / "x")
    assert decided(project, results_dir=str(tmp_path)).results_dir == str(tmp_path)
    assert decided(project).results_dir == str(project / "results")


def add_scenario(project):
    """Make a second scenario, `other`, that is like the first, and return both folders."""
    folder, other = project / "scenarios/001_example", project / "scenarios/002_other"
    shutil.copytree(folder, other)
    metadata = other / "metadata.yml"
    metadata.write_text(metadata.read_text().replace("name: example", "name: other"))
    return folder, other


def test_scenarios_that_name_several_folders_are_refused(project):
    for place, name in zip(add_scenario(project), ("one", "two"), strict=True):
        text = (place / "metadata.yml").read_text().replace("chaos_plan: chaos.yml", f"out_dir: {name}")
        (place / "metadata.yml").write_text(text)
    text = said(project, scenario="all")
    assert "soak.out_dir: a run has one folder of results" in text and "got one, two" in text


def test_the_problems_of_all_scenarios_come_at_once(project):
    add_scenario(project)
    text = said(project, scenario="all", **{**CHAOS_ONLY, "duration_secs": "30"})
    assert "001_example/chaos.yml:2:" in text and "002_other/chaos.yml:2:" in text


def test_a_dry_run_shows_limits_topology_and_every_fault(project):
    made = decided(project, **CHAOS_ONLY)
    lines = view.as_text(made).splitlines()
    assert "  soak     soak_smoke, topology distributed_chaos, 2 min 00 s; missing data is a warning" in lines
    (limits,) = [line for line in lines if line.startswith("  limits ")]
    assert "max_rss_slope=256MiB" in limits and "min_success_ratio=0.99" in limits and "warmup_secs=30" in limits
    seed = made.cases[0].soak["seed"]
    assert f"  chaos    3 fault(s) of chaos.yml, seed {seed}" in lines
    assert any(line.startswith("  at        5 s  kill-one.0 ") and " for 5 s (expected)" in line for line in lines)
    assert any("pressure of local for 5 s, requests_per_s 20.0, concurrency 16 (expected)" in line for line in lines)
    assert view.seeds(made) == [f"example / topology-distributed-chaos: 3 fault(s), seed {seed}"]
    assert view.seeds(decided(project)) == []
    assert view.as_data(made)["cases"][0]["soak"]["topology"] == "distributed_chaos"


def test_a_dry_run_of_a_negative_control_says_that_nothing_is_injected(project):
    lines = view.as_text(decided(project, negative_control="true", **CHAOS_ONLY)).splitlines()
    (chaos,) = [line for line in lines if line.startswith("  chaos ")]
    assert chaos.endswith("; negative control: none of them is injected")


def test_a_dry_run_of_a_long_night_stays_readable(project):
    plan_of_a_night = CHAOS.replace("every_s: 60", "every_s: 10").replace("recovery_s: 30", "recovery_s: 1")
    (project / "scenarios/001_example/chaos.yml").write_text(plan_of_a_night)
    text = view.as_text(decided(project, topologies="distributed_chaos", duration_secs="3600"))
    assert text.count("kill of ") < view.MOST_FAULTS_SHOWN + 1 and f"  and {358 - 100} more" in text
