# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import schema
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.matrix_cells import MOST_CELLS, read_cells
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.metadata_spec import MATRIX
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import parse


def cells_of(text: str):
    checked = schema.check(parse(f"matrix: {text}\n", "metadata.yml"), schema.Mapping({"matrix": MATRIX}))
    cells, problems = read_cells(checked.data.get("matrix", {}), checked.document)
    return cells, [problem.render() for problem in (*checked.problems, *problems)]


def test_product_of_all_labels_in_file_order():
    cells, problems = cells_of("{concurrency: [1, 4], model: [tiny, big]}")
    assert problems == []
    assert [tuple(cell.values()) for cell in cells] == [(1, "tiny"), (1, "big"), (4, "tiny"), (4, "big")]


def test_exclude_takes_away_and_extra_adds():
    cells, problems = cells_of(
        "{users: [1, 2], model: [a, b], exclude: [{users: 2, model: b}], extra: [{model: c, users: 9}]}"
    )
    assert problems == []
    assert cells[-1] == {"users": 9, "model": "c"} and len(cells) == 4
    assert list(cells[-1]) == ["users", "model"]


def test_a_matrix_may_consist_of_extra_cells_only():
    assert cells_of("{extra: [{users: 1}, {users: 2}]}") == (({"users": 1}, {"users": 2}), [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{N: [1]}", "matrix.N: label is not a label name"),
        ("{users: []}", "has too few or too many items"),
        ("{users: [1, 1]}", "is given twice"),
        ("{users: [yes]}", "must be true or false"),
        ("{users: [[1]]}", "must be "),
        ("{users: 1}", "must be a list"),
        ("{users: [1, 2], exclude: [{m: 1}]}", "matrix.exclude[0]: unknown label 'm'; allowed: users"),
        ("{users: [1, 2], exclude: [{}]}", "names no label"),
        ("{users: [1, 2], exclude: [{users: 3}]}", "takes no cell away: users=3"),
        ("{users: [1], exclude: [{users: 1}]}", "has no cell left"),
        ("{users: [1], m: [2], extra: [{users: 1}]}", "matrix.extra[0]: must give every label; got labels users; allowed: users, m"),
        ("{users: [1], extra: [{users: 1}]}", "is already a cell: users=1"),
        ("{users: [1], include: [{users: 2}]}", "did you mean matrix.extra?"),
        ("{users: [" + ", ".join(map(str, range(200))) + "], m: [1, 2, 3, 4, 5, 6]}", f"allowed: up to {MOST_CELLS}"),
    ],
)  # fmt: skip
def test_wrong_matrix_is_named(text, expected):
    _, problems = cells_of(text)
    assert any(expected in problem for problem in problems), problems
