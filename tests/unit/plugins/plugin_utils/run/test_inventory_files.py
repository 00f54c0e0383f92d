# SPDX-License-Identifier: MIT
from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import Problem
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inventory_files
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory_files import INVENTORY, VARIABLES, placed

INI = """\
# ansible_port=1
n1 ansible_host=-x ansible_port=0
[engines]
n1
n10 ansible_host=h
[engines:vars]
ansible_user=a
my_ansible_user=b
; ansible_ssh_port=0
testcell_test_execution_timeout=abc
[all:children]
engines
"""
YAML = """\
all:
  hosts:
    n1:
      ansible_host: "-x"
    n2: {}
  vars:
    ansible_port: 0
    testcell_filters:
      include_tags: [a]
"""


def problem(key, file=INVENTORY):
    return Problem(file, key=key, message="is wrong")


def places(problems, *sources):
    return [
        (found.file.rpartition("/")[2], found.line, found.column) for found in placed(problems, list(map(str, sources)))
    ]


@pytest.mark.parametrize(
    ("key", "file", "line", "column"),
    [
        pytest.param("n1.ansible_host", INVENTORY, 2, 4, id="on-the-line-of-the-host"),
        pytest.param("n1.ansible_port", INVENTORY, 2, 20, id="second-on-the-line"),
        pytest.param("n1.ansible_user", INVENTORY, 7, 1, id="of-the-group"),
        pytest.param("n1.ansible_ssh_port", INVENTORY, 2, 1, id="host-alone-where-nothing-says-it"),
        pytest.param("n10", INVENTORY, 5, 1, id="name-of-the-host"),
        pytest.param("test_execution.timeout", VARIABLES, 10, 1, id="setting"),
        pytest.param("testcell_test_execution_timeout", VARIABLES, 10, 1, id="unknown-setting"),
    ],
)
def test_a_variable_is_found_where_an_ini_file_gives_it(tmp_path, key, file, line, column):
    (tmp_path / "hosts").write_text(INI)
    assert places([problem(key, file)], tmp_path / "hosts") == [("hosts", line, column)]


@pytest.mark.parametrize(
    ("key", "file", "line", "column"),
    [
        ("n1.ansible_host", INVENTORY, 4, 7),
        ("n2.ansible_port", INVENTORY, 7, 5),
        ("n2.ansible_user", INVENTORY, 5, 5),
        ("filters.include_tags", VARIABLES, 8, 5),
    ],
)
def test_a_variable_is_found_where_a_yaml_file_gives_it(tmp_path, key, file, line, column):
    (tmp_path / "hosts.yml").write_text(YAML)
    assert places([problem(key, file)], tmp_path / "hosts.yml") == [("hosts.yml", line, column)]


def test_variables_of_groups_and_hosts_lie_beside(tmp_path):
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "hosts").write_text("n1\n")
    (tmp_path / "group_vars" / "all.yml").write_text("---\nansible_port: 0\n")
    (tmp_path / "host_vars" / "n1.yml").write_text("ansible_host: -x\n")
    found = places([problem("n1.ansible_port"), problem("n1.ansible_host")], tmp_path / "hosts")
    assert found == [("all.yml", 2, 1), ("n1.yml", 1, 1)]


def test_a_folder_is_an_inventory_of_all_its_files(tmp_path):
    (tmp_path / "a").write_text("n1\n")
    (tmp_path / "b").write_text("n2 ansible_port=0\n")
    assert places([problem("n2.ansible_port")], tmp_path) == [("b", 1, 4)]


def test_what_stands_nowhere_keeps_the_name_of_the_only_file(tmp_path):
    (tmp_path / "hosts").write_text("n1\n")
    assert places([problem("n2.ansible_port")], tmp_path / "hosts") == [("hosts", 0, 0)]
    (found,) = placed([problem("n2.ansible_port")], ["n1,n2"])
    assert found.file == INVENTORY


def test_other_problems_stay_where_they_are(tmp_path):
    (tmp_path / "hosts").write_text(INI)
    elsewhere = Problem("metadata.yml", 3, 4, "n1.ansible_host", "is wrong")
    assert placed([elsewhere], [str(tmp_path / "hosts")]) == (elsewhere,)


def test_a_program_is_not_read_for_places(tmp_path):
    (tmp_path / "hosts").write_text(INI)
    (tmp_path / "hosts").chmod(0o755)
    assert places([problem("n1.ansible_host")], tmp_path / "hosts") == [("inventory", 0, 0)]


def test_a_file_of_another_form_gives_no_place_and_no_error(tmp_path):
    (tmp_path / "hosts.yml").write_text("all: [\n")
    (tmp_path / "bytes").write_bytes(b"n1 ansible_port=\xff\n")
    assert places([problem("n1.ansible_port")], tmp_path / "hosts.yml") == [("hosts.yml", 0, 0)]
    assert places([problem("n1.ansible_port")], tmp_path / "bytes") == [("bytes", 1, 4)]


def test_B68_an_inventory_that_everybody_may_write_is_not_believed(tmp_path):
    (tmp_path / "hosts").write_text("n1\n")
    (tmp_path / "hosts").chmod(0o666)
    (found,) = inventory_files.distrusted([str(tmp_path / "hosts"), "n1,n2"], os.geteuid())
    assert "everybody may write this file (mode 0666" in found.message and found.is_error
    (tmp_path / "hosts").chmod(0o644)
    assert inventory_files.distrusted([str(tmp_path / "hosts")], os.geteuid()) == []


def test_B38_a_password_in_an_ini_file_is_warned_of_and_never_shown(tmp_path):
    lines = [
        "n1 ansible_password=hunter2 ansible_host=h",
        'n2 ansible_ssh_pass=\'{{ lookup("env", "P") }}\'',
        "# n3 ansible_password=hunter2",
        "n4 ansible_become_pass=hunter2",
        "n5 ansible_password=",
    ]
    (tmp_path / "hosts").write_text("\n".join(lines) + "\n")
    found = inventory_files.plain_secrets([str(tmp_path / "hosts")])
    assert [(p.line, p.column, p.key, p.severity) for p in found] == [
        (1, 4, "ansible_password", "warning"), (4, 4, "ansible_become_pass", "warning"),
    ]  # fmt: skip
    assert not any("hunter2" in p.render() for p in found)
