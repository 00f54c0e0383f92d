# SPDX-License-Identifier: MIT
"""The secrets that the controller knows of a case: by the names of what the caller, the test and `.env` files give."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import secrets


@pytest.fixture
def case(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / ".env").write_text("HF_TOKEN=of-the-file\nMODEL=no-secret-7\n")
    (tmp_path / "parts" / "db.env").write_bytes(b"DB_PASSWORD=of-the-\xff-part\n")
    test = SimpleNamespace(environment={"API_KEY": "of-the-test", "DATASET": "no-secret-8"})
    return SimpleNamespace(directory=str(tmp_path), test=test)


def test_secrets_come_from_all_who_give_variables(case):
    plan = SimpleNamespace(
        environment={"CALLER_TOKEN": "of-the-caller", "HF_TOKEN": "of-the-file", "SIZE": "no-secret-9"}
    )
    assert secrets.values(plan, case) == ("of-the-caller", "of-the-file", "of-the-test", "of-the-\udcff-part")


def test_what_a_step_says_is_without_the_secrets_that_are_known(make_cell, build):
    cell = replace(make_cell(build.case()), secrets=("of-the-caller",))
    said = []
    cell.say = said.append
    cell.event("it said of-the-caller and hf_abcdefghijklmnopqrst")
    assert said == ["it said *** and ***"]
    assert "of-the-caller" not in (cell.plan.run_dir / "journal.jsonl").read_text()
