# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import clear

NOTHING = {"stopped": [], "removed": {"containers": 0}, "errors": []}


@pytest.mark.parametrize("step", [clear.stop, clear.clean])
@pytest.mark.parametrize("snapshot", [True, False])
def test_an_engine_is_needed_where_something_was_given_to_it(make_cell, build, step, snapshot):
    node = build.node(stop=NOTHING, clean=NOTHING)
    node.engine = True
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    if snapshot:
        cell.board.post("snapshot.n1", {})
    step(cell)
    assert node.engine is snapshot
