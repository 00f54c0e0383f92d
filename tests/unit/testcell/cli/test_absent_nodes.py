# SPDX-License-Identifier: MIT
"""A run that died, and an inventory that is not the one it had: nothing is collected, cleaned or ended by mistake."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, owner, plan

from testcell.cli import jobs
from testcell.exits import Exit

RUN = "20260102_030405"
NODES = {name: {"ansible_host": f"192.0.2.{number}"} for number, name in enumerate(("n1", "n2"), 1)}


@pytest.fixture
def dead(project, monkeypatch):
    """Return the folder of a run of two nodes whose controller has died."""
    metadata = project / "scenarios" / "001_example" / "metadata.yml"
    text = metadata.read_text()
    assert "node: local" in text or "node: auto" in text
    metadata.write_text(text.replace("node: local", "node: n1").replace("node: auto", "node: n2"))
    asked = opening.Asked(scenario="example", hosts=NODES, run_id=RUN)
    decided = opening.open_run(opening.decide(asked, project, 1000.0, "me@here:1/other/1"))
    plan.save(decided)
    monkeypatch.setattr(owner, "is_dead", lambda *_: True)
    return decided.run_dir


def files(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_run_does_not_go_on_without_its_nodes(dead, cli):
    before = files(dead)
    found = cli("resume", RUN)
    assert found.code == Exit.INVALID_INPUT
    assert "the inventory does not have n" in found.err and "give the one that the run had, with -i" in found.err
    assert files(dead) == before


def test_a_run_is_not_cleaned_without_its_nodes(dead, cli, monkeypatch):
    asked = []
    monkeypatch.setattr(jobs.Work, "ask", lambda *words: asked.append(words))
    found = cli("cleanup", RUN)
    assert (found.code, asked) == (Exit.INVALID_INPUT, [])
    assert f"run {RUN}: the inventory does not have n" in found.err


def test_what_is_not_in_the_inventory_any_more_is_not_clean(dead, project, cli, monkeypatch):
    monkeypatch.setattr("testcell.closing.nodes_of", lambda _run: ["local", "n1"])
    cleaned = {"name": "local", "ok": True, "removed": {}, "runs": [], "errors": []}

    class Outcome:
        signal = 0

    monkeypatch.setattr(jobs.Work, "ask", lambda *_words: ([dict(cleaned)], Outcome()))
    found = cli("cleanup", RUN, "--format", "json")
    assert found.code == Exit.NOT_CLEAN
    assert {one["name"]: (one["ok"], one["errors"]) for one in found.json} == {
        "local": (True, []),
        "n1": (False, ["the inventory does not have n1; give the one that the run had, with -i"]),
    }
