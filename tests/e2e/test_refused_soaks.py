# SPDX-License-Identifier: MIT
"""Soaks that a real node cannot run as their plan says."""

from __future__ import annotations

import json
import os
import sys

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import clock
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from cellruns import run_site

pytestmark = pytest.mark.docker

# The one service is all there is of its role.
PLAN = """\
allow_total: true
events:
  - {kind: clock_jump, at_s: 5, duration_s: 5, recovery_s: 5, target: {service: engine}, params: {jump_s: 60}}
"""


@pytest.fixture
def inventory(tmp_path):
    """This machine as a node with a folder of its own, so that no other run holds it."""
    path = tmp_path / "hosts"
    path.write_text(
        f"local ansible_connection=local ansible_python_interpreter={sys.executable} testcell_node_root={tmp_path}/root\n"
    )
    return path


def can_move_clocks():
    try:
        return clock.library(os.environ)
    except CellError:
        return ""


@pytest.mark.skipif(bool(can_move_clocks()), reason="this machine has a libfaketime that works, so it can do the fault")
def test_a_kind_of_fault_that_the_node_cannot_do_is_told_before_anything_is_deployed(
    results, project, inventory, tmp_path
):
    """B73, F67"""
    folder = project()
    scenario = folder / "scenarios" / "probe"
    (scenario / "chaos.yml").write_text(PLAN)
    with (scenario / "metadata.yml").open("a") as metadata:
        metadata.write("soak: {chaos_plan: chaos.yml}\n")
    chosen = {"soak_profile": "soak_smoke", "topologies": "single_chaos", "duration_secs": 20}
    run = run_site(inventory, results, testcell_project_dir=folder, scenario="probe", **chosen)
    failure = run.case()["failure"]
    assert (failure["error_kind"], failure["step"], run.summary["exit_code"]) == ("chaos_unsupported", "prep", 5)
    assert "it cannot do the fault clock_jump: no libfaketime here can move a clock" in failure["message"]
    steps = {json.loads(line)["step"] for line in (run.folder / "journal.jsonl").read_text().splitlines()}
    assert "prep" in steps and "deploy" not in steps
    assert list((tmp_path / "root" / "runs").iterdir()) == []
