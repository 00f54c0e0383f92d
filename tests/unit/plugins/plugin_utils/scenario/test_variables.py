# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.variables import document, names_of


@pytest.mark.parametrize(
    ("variables", "path", "value"),
    [
        ({"testcell_test_execution": {"timeout": 600}}, ("test_execution", "timeout"), 600),
        ({"testcell_test_execution_timeout": "600"}, ("test_execution", "timeout"), 600),
        ({"testcell_test_execution_script": "600"}, ("test_execution", "script"), "600"),
        ({"testcell_service_health_check": {"enabled": "false"}}, ("service_health_check", "enabled"), False),
        ({"testcell_validity_max_error_ratio": "0.5"}, ("validity", "max_error_ratio"), 0.5),
        ({"testcell_artifacts_collection_remote_node_ssh_retry_count": 5},
         ("artifacts_collection", "remote_node", "ssh_retry_count"), 5),
        ({"testcell_test_execution_env": {"A": "1"}}, ("test_execution", "env", "A"), "1"),
        ({"testcell_service_health_check_expected": {"prefill": "2"}}, ("service_health_check", "expected", "prefill"), 2),
        ({"testcell_filters": {"include_tags": ("a",)}}, ("filters", "include_tags"), ["a"]),
        ({"testcell_test_execution": {"timeout": 1}, "testcell_test_execution_timeout": 2}, ("test_execution", "timeout"), 2),
    ],
)  # fmt: skip
def test_variables_become_settings(variables, path, value):
    setting = layers.load(None, variables).base[path]
    assert setting.value == value and type(setting.value) is type(value)
    assert (setting.layer, setting.file, setting.line) == ("global", "inventory variables", 0)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("collection_mode", ("test_execution", "collection_mode")),
        ("test_execution.collection_mode", ("test_execution", "collection_mode")),
        ("testcell_test_execution_collection_mode", ("test_execution", "collection_mode")),
    ],
)
def test_extra_variables_have_short_and_dotted_names(name, path):
    assert layers.load(None, {}, {name: "basic"}).overrides[path].value == "basic"


def test_short_names_are_no_inventory_variables():
    assert (
        layers.load(None, {"collection_mode": "nonsense", "test_execution.timeout": 1}).value(
            "test_execution", "collection_mode"
        )
        == "standard"
    )


def test_other_variables_are_passed_over():
    found = document({"testcell_run_id": "x", "testcell_node_root": "/x", "scenario": "a"}, "-e", short_names=True)
    assert found.root is None and found.problems == ()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("testcell_test_execution_timeot", "testcell_test_execution_timeout"),
        ("test_execution.timeot", "test_execution.timeout"),
    ],
)
def test_B66_unknown_setting_is_named_with_what_was_meant(name, near):
    (problem,) = document({name: 1}, "-e", short_names=True).problems
    assert problem.render().startswith(f"-e: {name}: unknown setting") and problem.suggestion == near


def test_numbers_that_ansible_tagged_come_out_plain():
    class Tagged(int):
        pass

    value = layers.load(None, {"testcell_test_execution_timeout": Tagged(5)}).value("test_execution", "timeout")
    assert type(value) is int


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("tset_execution.timeout", "test_execution.timeout"),
        ("testcell_test_exection_timeout", "testcell_test_execution_timeout"),
        ("nothing.like_it", ""),
    ],
)
def test_B66_a_name_that_can_only_be_meant_as_a_setting_is_not_passed_over(name, near):
    (problem,) = document({name: 1}, "-e", short_names=True).problems
    assert (problem.key, problem.message, problem.suggestion) == (name, "unknown setting", near)


@pytest.mark.parametrize("name", ["testcell_environment", "testcell_mine", "lease_ttl", "testcell_lease_ttl_s"])
def test_the_user_s_own_variables_are_passed_over(name):
    assert document({name: 1}, "-e", short_names=True).problems == ()


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("test_execution.timeout", ["testcell_test_execution_timeout", "testcell_test_execution"]),
        ("execution.custom_order[1].dir", ["testcell_execution_custom_order", "testcell_execution"]),
        ("testcell_test_execution_tim", ["testcell_test_execution_tim"]),
    ],
)
def test_the_variables_that_may_hold_a_setting_are_known(key, names):
    assert set(names) <= set(names_of(key))


@pytest.mark.parametrize(
    ("variables", "value"),
    [
        ({"soak_profile": "soak_smoke", "topologies": "single, distributed"}, ["single", "distributed"]),
        ({"soak_profile": "soak_smoke", "topologies": ["single"]}, ["single"]),
        ({"soak.topologies": "single"}, ["single"]),
        ({"testcell_soak_topologies": "single,distributed"}, ["single", "distributed"]),
        ({"topologies": "single"}, None),
        ({"soak_profile": "", "topologies": "single"}, None),
    ],
)
def test_the_short_names_of_a_soak_count_where_there_is_one_and_a_comma_list_is_a_list(variables, value):
    assert layers.load(None, {}, variables).value("soak", "topologies") == value


def test_the_short_names_of_a_soak_are_no_inventory_variables():
    assert (
        layers.load(None, {"soak_profile": "soak_smoke", "duration_secs": "x"}).value("soak", "duration_secs") is None
    )
