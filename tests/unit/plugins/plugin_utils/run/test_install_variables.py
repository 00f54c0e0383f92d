# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inventory, run_variables
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.install_variables import problems

WRONG = [
    ({"testcell_install": "maybe"}, "testcell_install: must be true or false; got string 'maybe'"),
    ({"testcell_install": 2}, "testcell_install: must be true or false; got integer 2"),
    ({"testcell_install_packages": "docker.io"}, 'it is no mapping of parts to lists of packages; allowed: {"engine":'),
    ({"testcell_install_packages": {"compose": ["-y"]}}, "compose holds '-y', which is no package name"),
]


@pytest.mark.parametrize(("variables", "words"), WRONG)
def test_what_is_wrong_is_said_before_any_node_is_asked(variables, words):
    (problem,) = problems(variables, "-e")
    assert words in problem.render()
    assert [found.render() for found in run_variables.read(variables)[1]] == [problem.render()]
    (of_host,) = inventory.examine({"n1": variables}).problems
    assert of_host.render() == problem.render().replace("-e: ", "inventory: n1.", 1)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"testcell_install": True},
        {"testcell_install": "False"},
        {"testcell_install": "yes"},
        {"testcell_install_packages": {"compose": ["docker-compose"]}},
        {"testcell_install_packages": '{"engine": ["docker.io"]}'},
        {"testcell_install_packages": None},
    ],
)
def test_what_ansible_takes_is_let_through(variables):
    assert list(problems(variables, "-e")) == []


def test_a_template_is_passed_over_since_only_ansible_knows_what_it_becomes():
    variables = {"testcell_install": "{{ here }}", "testcell_install_packages": "{{ packages }}"}
    assert run_variables.read(variables)[1] == () and inventory.examine({"n1": variables}).problems == ()
