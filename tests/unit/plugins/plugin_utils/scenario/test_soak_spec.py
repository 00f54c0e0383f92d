# SPDX-License-Identifier: MIT
"""The section `soak`: what it may hold, and what is said of what it may not."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.metadata import load_scenario

from testcell import starting

WHOLE = """\
soak:
  topologies: [single, distributed, distributed_chaos]
  chaos_plan: chaos.yml
  duration_secs: 1200
  max_stall_secs: 120
  max_lag_p95: 20
  max_failure_ratio: 0.05
  max_rss_slope: 64MiB
  enable_chaos: true
  negative_control: false
  out_dir: results/soak
  sample_interval_secs: 1
  warmup_secs: 60
  reports:
    - service: engine
      path: reports/*.json
      progress: node.height
      network: node.network_height
      checks: {total: checks.total, failed: checks.failed, reasons: checks.reasons}
      invariants: {balance: "status.ok"}
      monotonic: [progress]
  metrics: [{service: engine, port: 18100, path: /metrics, names: ["vllm:num_requests_*"]}]
  gates:
    max_fd_slope: 60
    max_threads_slope: 10
    max_gpu_memory_slope: 64MiB
    max_anon_slope: 64MiB
    max_disk_slope: 1GiB
    max_rto_secs: 60
    max_report_gap_secs: 60
    burst_windows: 3
    min_success_ratio: 0.99
    min_success_ratio_in_fault: 0.5
    latency: {ttft_ms: {p95: 500}}
    latency_in_fault: {ttft_ms: {p95: 5000}}
  profiles:
    soak_smoke: {duration_secs: 600}
"""
PLAN = "events: [{kind: kill, at_s: 1, duration_s: 1, target: {service: engine}}]\n"


@pytest.fixture
def folder(tmp_path):
    starting.start(tmp_path / "project")
    made = tmp_path / "project/scenarios/001_example"
    (made / "chaos.yml").write_text(PLAN)
    return made


def load(folder, section):
    metadata = folder / "metadata.yml"
    metadata.write_text(metadata.read_text() + section)
    return load_scenario(folder, layers=layers.load(None), known=None)


def test_every_key_is_taken_with_sizes_in_bytes(folder):
    found = load(folder, WHOLE).soak
    assert found.base["max_rss_slope",] == found.base["gates", "max_gpu_memory_slope"] == 64 * 2**20
    assert found.base["gates", "latency", "ttft_ms", "p95"] == 500.0
    assert found.profiles == {"soak_smoke": {("duration_secs",): 600}}
    assert found.places["duration_secs",] == (str(folder / "metadata.yml"), 27, 18)
    assert found.overrides == {}


WRONG = [
    ("soak: {duration_sec: 5}", ":24:8: soak.duration_sec: unknown key", "did you mean duration_secs?"),
    ("soak: {max_fd_slope: 5}", "soak.max_fd_slope: key is at the wrong level", "gates.max_fd_slope"),
    ("soak: {gates: {max_fd_slop: 5}}", "soak.gates.max_fd_slop: unknown key", "did you mean max_fd_slope?"),
    ("soak: {duration_secs: 0}", "soak.duration_secs: is out of range; got integer 0; allowed: 1..604800 seconds"),
    ("soak: {duration_secs: 20m}", "soak.duration_secs: must be an integer without 'm'", "did you mean 20?"),
    ("soak: {max_rss_slope: 64}", "soak.max_rss_slope: must be a size with its unit"),
    ("soak: {max_rss_slope: 64KB}", "soak.max_rss_slope: is not a size; got string '64KB'", "MiB"),
    ("soak: {max_failure_ratio: 5}", "soak.max_failure_ratio: is out of range; got integer 5; allowed: 0..1"),
    ("soak: {max_failure_ratio: 5%}", "soak.max_failure_ratio: must be a number"),
    ("soak: {topologies: [triad]}", "soak.topologies[0]: must be one of the allowed words; got string 'triad'; allowed: single, distributed,"),
    ("soak: {topologies: single}", "soak.topologies: must be a list"),
    ("soak: {chaos_plan: ../x}", "soak.chaos_plan: leads out of its folder"),
    ("soak: {chaos_plan: none.yml}", ":24:20: soak.chaos_plan: file ", "none.yml does not exist"),
    ("soak: {profiles: {soak_smoke: {chaos_plan: none.yml}}}", "soak.profiles.soak_smoke.chaos_plan: file "),
    ("soak: {profiles: {soak_smok: {}}}", "soak.profiles.soak_smok: key is no profile, did you mean soak_smoke?", "allowed: soak_smoke, soak_endurance, soak_release"),
    ("soak: {profiles: {soak_smoke: {duration_secs: x}}}", "soak.profiles.soak_smoke.duration_secs: must be an integer"),
    ("soak: {profiles: {soak_smoke: {profiles: {}}}}", "soak.profiles.soak_smoke.profiles: "),
    ("soak: {gates: {latency: {ttft: {p95: 1}}}}", "soak.gates.latency.ttft: key is no latency; got string 'ttft'; allowed: ttft_ms, itl_ms, e2e_ms"),
    ("soak: {gates: {latency: {ttft_ms: {p42: 1}}}}", "key is no percentile", "allowed: p50, p90, p95, p99, p999"),
    ("soak: {reports: [{service: engine}]}", "soak.reports[0]: required key 'path' is missing"),
    ("soak: {reports: [{service: engin, path: r/*.json}]}", "soak.reports[0].service: unknown service 'engin', did you mean engine?; allowed: engine"),
    ("soak: {reports: [{service: engine, path: /r/*.json}]}", "soak.reports[0].path: must be a relative path"),
    ("soak: {reports: [{service: engine, path: r, progress: 'a[['}]}", "soak.reports[0].progress: is no JMESPath expression"),
    ("soak: {reports: [{service: engine, path: r, checks: {total: a}}]}", "checks: required key 'failed' is missing"),
    ("soak: {reports: [{service: engine, path: r, monotonic: [height]}]}", "monotonic[0]: must be one of the allowed words", "progress"),
    ("soak: {metrics: [{service: engine, names: [a]}]}", "soak.metrics[0]: required key 'port' is missing"),
    ("soak: {metrics: [{service: x, port: 1, names: [a]}]}", "soak.metrics[0].service: unknown service 'x'"),
    ("soak: {metrics: [{service: engine, port: 1, names: [a]}, {service: engine, port: 1, names: [b]}]}", "soak.metrics[1].service: service 'engine' is given twice"),
    ("soak: {metrics: [{service: engine, port: 1, names: []}]}", "soak.metrics[0].names: has too few or too many items"),
]  # fmt: skip


@pytest.mark.parametrize("row", WRONG, ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_named(folder, row):
    """G04"""
    section, *parts = row
    with pytest.raises(InputError) as caught:
        load(folder, section + "\n")
    for part in parts:
        assert part in str(caught.value)


def test_a_plan_that_is_named_is_looked_at_with_the_scenario(folder):
    """B73, B74"""
    (folder / "chaos.yml").write_text("events: [{kind: kil, at_s: 1}]\n")
    (folder / "other.yml").write_text(PLAN.replace("engine", "engin"))
    with pytest.raises(InputError) as caught:
        load(folder, "soak: {chaos_plan: chaos.yml, profiles: {soak_release: {chaos_plan: other.yml}}}\n")
    places = [(problem.file.rpartition("/")[2], problem.key) for problem in caught.value.problems if problem.is_error]
    assert places == [("chaos.yml", "events[0].kind"), ("other.yml", "events[0].target.service")]


def test_a_plan_that_leads_out_of_its_folder_is_not_read(folder, tmp_path):
    (tmp_path / "outside.yml").write_text(PLAN)
    (folder / "linked.yml").symlink_to(tmp_path / "outside.yml")
    with pytest.raises(InputError) as caught:
        load(folder, "soak: {chaos_plan: linked.yml}\n")
    assert "the path leads out of the folder" in str(caught.value)
