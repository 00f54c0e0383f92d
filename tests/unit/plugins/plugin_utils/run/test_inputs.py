# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError, Problem
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inputs, opening
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.access import Access
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory import Scope

METADATA = "name: example\ntest_execution: {node: node1}\n"
COMPOSE = 'services:\n  engine: {image: "e:1", ports: ["80:80"]}\n'
TEST_CONFIG = '{"base_url": "http://127.0.0.1:80", "model": "m", "num_prompts": 1}\n'
NODES = {"node1": {"ansible_host": "192.0.2.1"}, "node2": {"ansible_host": "192.0.2.2"}}


@pytest.fixture
def project(tmp_path):
    """Return a project with one scenario that is right."""
    folder = tmp_path / "project"
    scenario = folder / "scenarios" / "001_example"
    scenario.mkdir(parents=True)
    (folder / "config").mkdir()
    for name, text in {
        "metadata.yml": METADATA,
        "docker-compose.yml": COMPOSE,
        "test_config.json": TEST_CONFIG,
    }.items():
        (scenario / name).write_text(text)
    (scenario / "run_test.sh").write_text("#!/bin/sh\n")
    (scenario / "run_test.sh").chmod(0o755)
    return folder


def decide(project, **asked):
    return opening.decide(
        opening.Asked(**{"scenario": "example", "hosts": NODES, "forks": 9, **asked}), project, 0.0, "me"
    )


def refusal(project, **asked):
    with pytest.raises(InputError) as refused:
        decide(project, **asked)
    return refused.value


def spoil(project, name, text):
    (project / name).write_text(text)


def test_right_input_becomes_a_plan_and_nothing_is_made(project):
    assert decide(project).cases[0].nodes == ("node1",)
    assert not (project / "results").exists()


def test_all_problems_of_all_inputs_come_at_once(project):
    spoil(project, "config/defaults.yaml", "test_execution: {timeout: x}\n")
    spoil(project, "scenarios/001_example/metadata.yml", "name: example\ntags: 3\n")
    hosts = {"node1": {"ansible_host": "-oProxyCommand=x"}}
    wrong = refusal(project, hosts=hosts, lease_ttl_s=1, run_id="../x", overrides={"validity.min_tokens": "no"})
    lines = str(wrong).splitlines()
    for part in (
        "defaults.yaml:1:27: test_execution.timeout: in the global layer: must be an integer",
        "metadata.yml:2:7: tags: must be a list",
        "inventory: node1.ansible_host: a host cannot start with '-'",
        "-e: testcell_lease_ttl_s: is out of range; got integer 1; allowed: 30..86400 seconds",
        "-e: testcell_run_id: is no run id; got string '../x'; allowed: YYYYMMDD_HHMMSS",
        "-e: validity.min_tokens: in the override layer: must be an integer",
    ):
        assert any(part in line for line in lines), part
    assert not wrong.usage


@pytest.mark.parametrize(
    ("changes", "usage"),
    [
        pytest.param({"scenario": "exampel"}, True, id="B70-only-the-name"),
        pytest.param({"scenario": "exampel", "min_free_bytes": -1}, False, id="B70-and-more"),
    ],
)
def test_a_wrong_name_alone_is_wrong_usage(project, changes, usage):
    wrong = refusal(project, **changes)
    assert wrong.usage is usage and "did you mean example?" in str(wrong)


def test_a_wrong_inventory_does_not_make_its_nodes_unknown(project):
    message = str(refusal(project, hosts={**NODES, "node2": {"ansible_port": 0}}))
    assert "node2.ansible_port: is no port" in message and "is no node of the inventory" not in message


def test_what_the_reader_of_the_inventory_refused_is_not_run_on_the_controller(project):
    """B37, B58: Ansible goes on without hosts when a plugin refuses a file."""
    refused = Problem("nodes.yml", 3, 5, "nodes.node1.port", "is out of range")
    assert str(refusal(project, hosts={}, refused=(refused,))) == refused.render()


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ({}, "hosts: holds no host; name nodes in it, or the controller as: localhost ansible_connection=local"),
        ({"n1": {"testcell_enabled": False}}, "no node is left, all are left out: 'n1' by testcell_enabled=false"),
    ],
)
def test_an_inventory_without_a_node_to_use_is_no_reason_to_use_the_controller(project, tmp_path, hosts, words):
    spoil(project, "scenarios/001_example/metadata.yml", "name: example\n")
    (tmp_path / "hosts").write_text("")
    message = str(refusal(project, hosts=hosts, sources=(str(tmp_path / "hosts"),)))
    assert words in message


def test_an_inventory_that_does_not_exist_is_named(project, tmp_path):
    """Ansible warns of it and goes on without its hosts."""
    message = str(refusal(project, hosts={}, sources=(f"{tmp_path}/none", "n1,n2")))
    assert f"{tmp_path}/none: the inventory does not exist" in message and "holds no host" not in message


def test_the_projects_rules_for_failures_are_part_of_the_plan_once_they_can_be_read(project):
    spoil(project, "config/classify_rules.yml", "rules: [{id: ours, kind: gpu_oops, patterns: [x]}]\n")
    message = str(refusal(project))
    assert "config/classify_rules.yml:1:26: rules[0].kind: unknown error kind; got 'gpu_oops'" in message
    spoil(project, "config/classify_rules.yml", "rules: [{id: ours, kind: gpu_oom, patterns: [x]}]\n")
    assert decide(project).classify_rules == str(project / "config" / "classify_rules.yml")


def test_a_limit_that_leaves_out_a_node_the_case_needs_is_an_error_with_its_name(project):
    limit = "localhost,node2"
    message = str(refusal(project, scope=Scope(limit, frozenset({"node2", "localhost"}))))
    assert "metadata.yml:2:24: test_execution.node: is left out of this run by --limit 'localhost,node2'" in message
    assert "got string 'node1'; allowed: node2, auto" in message


def test_a_limit_that_names_all_that_is_needed_places_services_within_it(project):
    spoil(project, "scenarios/001_example/metadata.yml", "name: example\ntest_execution: {node: auto}\n")
    decided = decide(project, scope=Scope("localhost,node2", frozenset({"node2", "localhost"})))
    assert decided.cases[0].nodes == ("node2",)


def test_ways_to_the_nodes_are_checked_where_somebody_wants_to_know(project, tmp_path):
    """B64"""
    hosts = {**NODES, "node1": {"ansible_host": "192.0.2.1", "ansible_private_key_file": "none"}}
    assert decide(project, hosts=hosts).cases
    ways = Access(tmp_path, str(tmp_path), False, False, lambda _: {})
    assert "node1.ansible_private_key_file: key file" in str(refusal(project, hosts=hosts, access=ways))
    off = {**hosts, "node1": {**hosts["node1"], "testcell_enabled": False}}
    spoil(project, "scenarios/001_example/metadata.yml", "name: example\n")
    assert decide(project, hosts=off, access=ways).cases


def test_an_inventory_that_everybody_may_write_is_refused(project, tmp_path):
    """B68"""
    (tmp_path / "hosts").write_text("node1\n")
    (tmp_path / "hosts").chmod(0o666)
    assert "everybody may write this file" in str(refusal(project, sources=(str(tmp_path / "hosts"),)))


def test_a_results_folder_that_cannot_be_made_names_the_owner(project):
    """B71, B72"""
    decided = decide(project, results_dir="/proc/none/results")
    with pytest.raises(
        InputError, match=r"results_dir: no run folder can be made here: .*; /proc belongs to .*; you are"
    ):
        opening.open_run(decided)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EINTR])
def test_f08_what_the_disk_refuses_is_no_fault_of_what_was_asked_for(project, monkeypatch, number):
    def refused(*_args):
        raise OSError(number, os.strerror(number), "/results")

    monkeypatch.setattr(opening, "create_run", refused)
    with pytest.raises(OSError, match="/results") as caught:
        opening.open_run(decide(project))
    assert caught.value.errno == number


def test_f08_a_plan_that_cannot_be_written_leaves_no_reserve(project, monkeypatch):
    def refused(_plan):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "plan.json")

    monkeypatch.setattr(opening, "save", refused)
    decided = decide(project)
    with pytest.raises(OSError, match="Input/output error"):
        opening.begin(decided)
    assert [path.name for path in Path(decided.results_dir).rglob("*") if path.is_file()] == []


def test_validation_counts_scenarios_and_names_every_problem(project):
    spoil(project, "config/defaults.yaml", "nothing: 1\n")
    spoil(project, "scenarios/001_example/metadata.yml", "name: example\ntest_execution: {node: node9}\n")
    asked = opening.Asked(scenario="", hosts={**NODES, "bad name": {}})
    count, problems = inputs.validate(asked, project)
    message = "\n".join(problem.render() for problem in problems)
    assert count == 1
    assert "nothing: in the global layer: unknown key" in message and "bad name: not a valid node name" in message
    assert "node9" not in message, "nodes are not checked against an inventory that is wrong"
    shutil.rmtree(project / "scenarios")
    count, problems = inputs.validate(asked, project)
    assert count == 0 and any("the folder of the scenarios does not exist" in problem.message for problem in problems)
