# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.matrix import (
    LONGEST_ID,
    case_ids,
    expand,
    path_of,
    test_config_of,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import BenchmarkSpec, Scenario
from hypothesis import given
from hypothesis import strategies as st

FOLDER = Path("scenarios/001_a")


def test_scenario_without_matrix_is_one_case_without_labels():
    (case,) = expand(Scenario("a", FOLDER))
    assert (case.scenario, case.id, case.labels, case.values) == ("a", "", {}, {})


def test_each_cell_becomes_a_case_with_text_labels_and_typed_values():
    cells = ({"concurrency": 1, "stream": True}, {"concurrency": 4, "stream": False})
    first, second = expand(Scenario("a", FOLDER, matrix=cells))
    assert first.id == "concurrency-1_stream-true"
    assert second.labels == {"concurrency": "4", "stream": "false"}
    assert second.values == {"concurrency": 4, "stream": False}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("tiny", "model-tiny"),
        ("meta-llama/Llama 3.1", "model-meta-llama-Llama-3.1"),
        ("../../etc", "model-etc"),
        ("", "model-none"),
        ("...", "model-none"),
        ("名前", "model-none"),
        (0.5, "model-0.5"),
        (-1, "model-1"),
    ],
)
def test_case_id_is_safe_as_a_folder(value, expected):
    assert case_ids(({"model": value},)) == [expected]


def test_ids_that_would_be_alike_end_in_a_digest():
    ids = case_ids(({"model": "a/b"}, {"model": "A b"}, {"model": "c"}))
    assert ids[2] == "model-c"
    assert ids[0].startswith("model-a-b-") and ids[1].startswith("model-A-b-")
    assert len({name.casefold() for name in ids}) == 3


@given(
    st.lists(
        st.text(max_size=300) | st.integers() | st.booleans(), min_size=1, max_size=8, unique_by=lambda v: (type(v), v)
    )
)
def test_ids_are_unique_and_short_for_any_values(values):
    cells = tuple({"label": value} for value in values)
    ids = case_ids(cells)
    assert len({name.casefold() for name in ids}) == len(ids)
    assert all(len(name) <= LONGEST_ID and "/" not in name and name.isascii() for name in ids)


def test_labels_replace_the_test_parameters_that_name_them():
    scenario = Scenario(
        "a", FOLDER,
        test_config={"max_concurrency": 20, "model": "m"},
        benchmark=BenchmarkSpec(from_labels={"max_concurrency": "concurrency"}),
        matrix=({"concurrency": 4},),
    )  # fmt: skip
    assert test_config_of(scenario, expand(scenario)[0]) == {"max_concurrency": 4, "model": "m"}
    assert scenario.test_config["max_concurrency"] == 20


@pytest.mark.parametrize(
    ("benchmark", "config", "label", "path"),
    [
        pytest.param(BenchmarkSpec(), {}, "x", "/v1/completions", id="by-default"),
        pytest.param(BenchmarkSpec(), {"api": "chat"}, "x", "/v1/chat/completions", id="by-the-scenario"),
        pytest.param(
            BenchmarkSpec(from_labels={"api": "api"}), {"api": "chat"}, "completions", "/v1/completions", id="by-label"
        ),
        pytest.param(
            BenchmarkSpec(from_labels={"api": "api"}), {}, "chat", "/v1/chat/completions", id="by-label-alone"
        ),
        pytest.param(BenchmarkSpec(path="/x", from_labels={"api": "api"}), {}, "chat", "/x", id="its-own-path-stands"),
    ],
)
def test_a_case_is_asked_where_its_own_api_is(benchmark, config, label, path):
    scenario = Scenario("a", FOLDER, test_config=config, benchmark=benchmark, matrix=({"api": label},))
    assert path_of(scenario, expand(scenario)[0]) == path
