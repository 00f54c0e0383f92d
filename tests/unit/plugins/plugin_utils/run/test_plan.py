# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import shutil
import stat

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan as run_plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef

SECRET = "hunter2"


@pytest.fixture
def saved(tmp_path, build):
    """Return the plan of two attempts, kept in its folder, whose caller gave a secret."""
    cases = [build.case(index, [build.service("engine")], ref=CaseRef("s", "", index + 1)) for index in range(2)]
    plan = build.plan(tmp_path, *cases, environment={"TOKEN": SECRET, "COUNT": "2"})
    run_plan.save(plan)
    return plan


def test_a_plan_comes_back_as_it_was_saved(saved):
    assert run_plan.load(saved.run_dir) == saved


def test_results_hold_the_names_of_variables_and_never_their_values(saved):
    assert json.loads((saved.run_dir / "plan.json").read_text())["environment"] == ["COUNT", "TOKEN"]
    holders = [path for path in saved.run_dir.rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert [path.parent.name for path in holders] == [".board"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in holders] == [0o600]


def test_the_plan_of_a_run_that_is_over_can_be_read(saved):
    shutil.rmtree(saved.run_dir / ".board")
    found = run_plan.load(saved.run_dir)
    assert (found.environment, found.cases) == ({}, saved.cases)


def test_a_run_that_was_given_nothing_leaves_no_file_for_it(tmp_path, build):
    plan = build.plan(tmp_path, build.case())
    run_plan.save(plan)
    assert [path.name for path in plan.run_dir.iterdir()] == ["plan.json"]
    assert run_plan.load(plan.run_dir).environment == {}
