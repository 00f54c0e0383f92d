# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.run_variables import read


@pytest.mark.parametrize(
    ("variables", "fields"),
    [
        ({"testcell_lease_ttl_s": "60", "testcell_min_free_bytes": 5}, {"lease_ttl_s": 60, "min_free_bytes": 5}),
        ({"testcell_wait_s": "3600"}, {"wait_s": 3600}),
        ({"testcell_min_free_bytes": "-1"}, {"min_free_bytes": -1}),
        ({"testcell_environment": {"A": 1}}, {"environment": {"A": "1"}}),
        ({"testcell_environment": ' {"A": "1"}'}, {"environment": {"A": "1"}}),
        ({"testcell_environment": "A=1 B='x y'"}, {"environment": {"A": "1", "B": "x y"}}),
        ({"testcell_environment": "{'A': 'x', 'B': 2}"}, {"environment": {"A": "x", "B": "2"}}),
        ({"testcell_environment": "{{ my_environment }}"}, {}),
        ({"other": "x"}, {}),
    ],
)
def test_settings_of_a_run_come_out_of_text(variables, fields):
    assert read(variables) == (fields, ())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("testcell_lease_ttl_s", "ten", "must be an integer; got string 'ten'", id="B69-number"),
        pytest.param("testcell_lease_ttl_s", 1.5, "must be an integer; got number 1.5", id="B69-fraction"),
        pytest.param(
            "testcell_environment", "hunter2", "must give environment variables; allowed: NAME=VALUE", id="word"
        ),
        pytest.param("testcell_environment", '{"A": "hunter2"', "must give environment variables", id="broken-json"),
        pytest.param("testcell_environment", "{'A': hunter2()}", "must give environment variables", id="no-literal"),
        pytest.param("testcell_environment", '["hunter2"]', "must give environment variables", id="list"),
        pytest.param("testcell_environment", "A='hunter2", "must give environment variables", id="open-quote"),
    ],
)
def test_what_cannot_be_taken_is_named_and_no_value_shown(name, value, words):
    fields, (problem,) = read({name: value})
    assert fields == {}
    assert problem.render().startswith(f"-e: {name}: {words}") and "hunter2" not in problem.render()
