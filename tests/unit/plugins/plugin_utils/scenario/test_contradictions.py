# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.contradictions import contradictions
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.setting import ORDER, Setting

DELAY = ("retry_strategy", "retry_delay")
TIMEOUT = ("concurrent_execution", "deployment_timeout")
STARTUP = ("service_health_check", "startup_timeout")
ONE_SERVICE = ("concurrent_execution", "health_check_timeout")
RETRIES = ("retry_strategy", "service_level_retries")
AT_ONCE = ("concurrent_execution", "max_concurrent_services")
PER_NODE = ("concurrent_execution", "max_concurrent_services_per_node")


def test_built_in_values_do_not_contradict_each_other():
    assert contradictions(layers.built_in()) == []


@pytest.mark.parametrize("delay_layer", ORDER)
@pytest.mark.parametrize("timeout_layer", ORDER)
def test_B33_the_nearer_layer_is_to_blame(delay_layer, timeout_layer):
    chosen = {DELAY: Setting(60, delay_layer), TIMEOUT: Setting(60, timeout_layer), RETRIES: Setting(1, "global")}
    (problem,) = contradictions(layers.built_in() | chosen)
    assert problem.is_error is (ORDER.index(delay_layer) >= ORDER.index(timeout_layer))


def test_B33_a_delay_that_nobody_chose_is_no_fault_without_retries():
    assert contradictions(layers.built_in() | {TIMEOUT: Setting(10, "scenario")}) == []


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        pytest.param(
            {},
            [
                "is cut short: deployment_timeout is 450 s (built-in layer); got 900 s",
                "is more than one service may take: health_check_timeout is 300 s (built-in layer); got 900 s",
            ],
            id="startup-alone",
        ),
        pytest.param(
            {TIMEOUT: Setting(900, "scenario"), ONE_SERVICE: Setting(60, "global", "d.yaml", 7)},
            ["is more than one service may take: health_check_timeout is 60 s (global layer, d.yaml:7); got 900 s"],
            id="one-service-forgotten",
        ),
        pytest.param({TIMEOUT: Setting(900, "scenario"), ONE_SERVICE: Setting(60, "scenario")}, [], id="all-chosen"),
    ],
)
def test_time_for_loading_that_another_limit_takes_away_is_a_warning(chosen, said):
    merged = layers.built_in() | {STARTUP: Setting(900, "scenario", "m.yml", 2, 19)} | chosen
    place = "m.yml:2:19: warning: service_health_check.startup_timeout: "
    assert [problem.render() for problem in contradictions(merged)] == [place + text for text in said]


@pytest.mark.parametrize(
    ("in_all", "per_node", "said"),
    [
        pytest.param(Setting(4, "built-in"), Setting(5, "scenario", "m.yml", 3, 9), True, id="above"),
        pytest.param(Setting(4, "scenario"), Setting(5, "global"), False, id="from-below"),
        pytest.param(Setting(4, "built-in"), Setting(4, "scenario"), False, id="equal"),
        pytest.param(Setting(0, "global"), Setting(5, "global"), False, id="no-limit-in-all"),
    ],
)
def test_a_limit_per_node_that_is_never_reached_is_a_warning(in_all, per_node, said):
    found = [problem.render() for problem in contradictions(layers.built_in() | {AT_ONCE: in_all, PER_NODE: per_node})]
    assert found == said * [
        "m.yml:3:9: warning: concurrent_execution.max_concurrent_services_per_node: is never reached:"
        " max_concurrent_services is 4 (built-in layer); got 5"
    ]


def test_B40_tag_on_both_sides_names_both_places():
    merged = layers.built_in() | {
        ("filters", "include_tags"): Setting(["a", "b"], "global", "d.yaml", 3, 5),
        ("filters", "exclude_tags"): Setting(["b"], "override", "-e"),
    }
    (problem,) = contradictions(merged)
    assert problem.render() == "d.yaml:3:5: filters.include_tags: 'b' is also in exclude_tags (override layer, -e)"
