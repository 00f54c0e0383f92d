# SPDX-License-Identifier: MIT
from __future__ import annotations

from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import override

MARKS = override.labels("20260101_000000", "s", "", 7)
FILE = {
    "version": "2.4",
    "services": {"a": {"image": "x:1", "restart": "always"}, "b": {"image": "x:1", "logging": {"driver": "none"}}},
    "networks": {"mine": None, "theirs": {"external": True}},
    "volumes": {"data": None, "shared": {"external": {"name": "s"}}},
}


def test_every_own_object_is_labelled_and_nothing_of_others():
    content = override.build(override.objects_of([FILE]), MARKS)
    assert content["services"]["a"]["labels"]["testcell.epoch"] == "7"
    assert set(content["networks"]) == {"default", "mine"}
    assert set(content["volumes"]) == {"data"}


def test_the_engine_never_restarts_a_service_by_itself():
    content = override.build(override.objects_of([FILE]), MARKS)
    assert {body["restart"] for body in content["services"].values()} == {"no"}


def test_log_limits_are_added_only_where_there_are_none():
    services = override.build(override.objects_of([FILE]), MARKS)["services"]
    assert services["a"]["logging"] == override.LOG_LIMIT
    assert "logging" not in services["b"]


def test_the_version_is_that_of_the_base_file_since_v1_wants_them_equal():
    assert override.build(override.objects_of([FILE]), MARKS)["version"] == "2.4"
    assert "version" not in override.build(override.objects_of([{"services": {"a": {}}}]), MARKS)


def test_an_external_default_network_gets_no_label():
    document = {"services": {"a": {}}, "networks": {"default": {"external": True}}}
    assert override.build(override.objects_of([document]), MARKS)["networks"] == {}


def test_what_a_service_needs_besides_is_taken_literally():
    more = {"a": {"environment": {"X": "$HOME"}, "volumes": ["/a$b:/c:ro"]}}
    services = override.build(override.objects_of([FILE]), MARKS, more)["services"]
    assert services["a"]["environment"] == {"X": "$$HOME"} and services["a"]["volumes"] == ["/a$$b:/c:ro"]
    assert services["a"]["restart"] == "no"
    assert services["b"].keys() == {"labels", "restart"}


def test_the_project_is_lower_case():
    assert override.project_name("20260101_000000", "001_Base") == "testcell-20260101_000000-001_base"
