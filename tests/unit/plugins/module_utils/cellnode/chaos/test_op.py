# SPDX-License-Identifier: MIT
"""What a node says it cannot do, before anything is started on it."""

from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import unit
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import kinds, op
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Aim
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

PARAMS = {"loss_pct": 5.0}


class Fault:
    """A kind that a node can do to services. unfit: why not to the node itself."""

    def __init__(self, unfit="", lacks=""):
        self.unfit, self.lacks, self.prepared = unfit, lacks, []

    def lacking(self, place, params):
        return self.lacks

    def prepare(self, place, aim):
        self.prepared.append(aim)
        if self.unfit:
            raise CellError("chaos_unsupported", self.unfit)
        return {}


@pytest.mark.parametrize(
    ("whole", "unfit", "lacks", "said", "prepared"),
    [
        pytest.param(False, "no answer", "", "", 0, id="a-service"),
        pytest.param(True, "", "", "", 1, id="a-node-that-can"),
        pytest.param(True, "no answer", "", "no answer", 1, id="F67-a-node-that-cannot"),
        pytest.param(True, "no answer", "no iptables", "no iptables", 0, id="F67-without-the-tools"),
    ],
)
def test_whether_a_node_itself_can_be_hit_is_known_before_the_run(
    tmp_path, monkeypatch, whole, unfit, lacks, said, prepared
):
    """B73, F67"""
    fault = Fault(unfit, lacks)
    monkeypatch.setattr(kinds, "find", lambda kind: fault)
    ctx = Context(tmp_path, RunRef("r", "s", "c"), environ={})
    answer = op.check(ctx, {"kinds": [{"kind": "network_loss", "params": PARAMS, "whole": whole}]})
    assert answer["lacking"] == {"network_loss": said}
    assert fault.prepared == [Aim("", "", 0, PARAMS)] * prepared


@pytest.mark.parametrize("begun", [(), (op.GUARD,), (op.RUNNER,), (op.GUARD, op.RUNNER)])
def test_a_request_that_was_killed_before_its_units_began_is_as_if_it_had_not_been(tmp_path, begun):
    """F63: found by the sweep of faults: the folder of a unit is made before its status is written."""
    ctx = Context(tmp_path, RunRef("r", "s", "c"), environ={})
    tmp_path.chmod(0o700)
    for name in begun:
        os.close(unit.open_unit(ctx, name, create=True))
    assert op.status(ctx, {})["units"] == {op.RUNNER: None, op.GUARD: None}


def test_a_kind_that_no_node_knows_is_lacking(tmp_path):
    """B73"""
    ctx = Context(tmp_path, RunRef("r", "s", "c"), environ={})
    said = op.check(ctx, {"kinds": [{"kind": "flood"}]})["lacking"]["flood"]
    assert "flood" in said and "network_loss" in said
