# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import environment


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("results/", "results/"),
        ("logs/benchmark.log", "logs/benchmark.log"),
        ("metrics/*.json", "metrics/"),
        ("a/b?/c[1].json", "a/"),
        ("*.csv", ""),
    ],
)
def test_a_pattern_stands_for_the_folder_before_its_first_wildcard(path, plain):
    assert environment.plain_part(path) == plain


def test_the_script_is_told_where_everything_is(make_cell, build):
    services = [build.service("router", node="n2"), build.service("rpc-1", node="n1")]
    case = build.case(services=services, labels={"prompt type": "long"})
    test = build.replace(
        case.test, service="router", port=80, result_paths=("results/", "logs/x.log"), environment={"A": "b"}
    )
    found = environment.for_test(make_cell(build.replace(case, test=test)), "/node/case")
    assert found["SCENARIO_RESULT_PATH"] == "/node/case/work/results:/node/case/work/logs/x.log"
    assert found["TESTCELL_PACE"] == "/node/case/bin/testcell-pace"
    assert found["TESTCELL_BASE_URL"] == "http://10.0.0.2:80"
    assert (found["TESTCELL_HOST_RPC_1"], found["TESTCELL_HOST_ROUTER"]) == ("127.0.0.1", "10.0.0.2")
    assert (found["TESTCELL_LABEL_PROMPT_TYPE"], found["A"], found["SCENARIO_NAME"]) == ("long", "b", "s")
