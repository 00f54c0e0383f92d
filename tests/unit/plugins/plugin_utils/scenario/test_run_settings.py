# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers, run_settings
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.selection import Request

FILE = """\
inter_scenario: {wait_between_scenarios: 5, continue_on_failure: false, retry_count: 1}
filters: {include_tags: [fast], exclude_tags: [broken], skip_scenarios: [large]}
execution:
  execution_mode: custom
  custom_order:
    - name: smoke
    - {directory: 2_b, enabled: false}
"""


@pytest.fixture
def loaded(tmp_path):
    path = tmp_path / "defaults.yaml"
    path.write_text(FILE)
    path.chmod(0o644)
    return layers.load(path)


def test_pauses_and_retries(loaded):
    assert run_settings.inter_scenario(loaded) == run_settings.InterScenario(5, False, 1)


def test_root_of_the_scenarios(loaded):
    assert run_settings.scenarios_root(loaded) == "scenarios"


def test_entries_of_the_order_know_their_lines(loaded):
    first, second = run_settings.custom_order(loaded)
    assert (first.name, first.enabled, first.line) == ("smoke", True, 6)
    assert (second.directory, second.enabled, second.line) == ("2_b", False, 7)


def test_order_from_variables_has_no_lines():
    entries = [{"name": "a"}, {"name": "b"}]
    found = run_settings.custom_order(layers.load(None, {}, {"execution.custom_order": entries}))
    assert [(entry.name, entry.file, entry.line) for entry in found] == [("a", "-e", 0), ("b", "-e", 0)]


@pytest.mark.parametrize("how", [{"everything": True}, {"names": ["all"]}])
def test_everything_takes_the_filters_of_the_layers(loaded, how):
    found = run_settings.request(loaded, **how)
    assert (found.all, found.names, found.mode) == (True, (), "custom")
    assert (found.tags, found.skip_tags, found.skip) == (("fast",), ("broken",), ("large",))


def test_named_scenarios_are_not_filtered_by_the_layers(loaded):
    assert run_settings.request(loaded, names=["large"]) == Request(("large",))


def test_tags_asked_for_replace_those_of_the_layers(loaded):
    found = run_settings.request(loaded, tags=["slow"], skip_tags=["gpu"])
    assert (found.tags, found.skip_tags) == (("slow",), ("gpu", "broken"))


def test_nothing_asked_for_stays_nothing(loaded):
    assert run_settings.request(loaded) == Request()
