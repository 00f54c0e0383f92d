# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.contradictions import contradictions
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.setting import ORDER, Setting

DELAY = ("retry_strategy", "retry_delay")
TIMEOUT = ("concurrent_execution", "deployment_timeout")


def test_built_in_values_do_not_contradict_each_other():
    assert contradictions(layers.built_in()) == []


@pytest.mark.parametrize("delay_layer", ORDER)
@pytest.mark.parametrize("timeout_layer", ORDER)
def test_B33_the_nearer_layer_is_to_blame(delay_layer, timeout_layer):
    merged = layers.built_in() | {DELAY: Setting(60, delay_layer), TIMEOUT: Setting(60, timeout_layer)}
    (problem,) = contradictions(merged)
    assert problem.is_error is (ORDER.index(delay_layer) >= ORDER.index(timeout_layer))


def test_B40_tag_on_both_sides_names_both_places():
    merged = layers.built_in() | {
        ("filters", "include_tags"): Setting(["a", "b"], "global", "d.yaml", 3, 5),
        ("filters", "exclude_tags"): Setting(["b"], "override", "-e"),
    }
    (problem,) = contradictions(merged)
    assert problem.render() == "d.yaml:3:5: filters.include_tags: 'b' is also in exclude_tags (override layer, -e)"
