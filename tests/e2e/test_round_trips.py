# SPDX-License-Identifier: MIT
"""What a step may cost on the way to a node: one command, and two round trips."""

from __future__ import annotations

import json
import sys
from itertools import pairwise

import pytest
from cellruns import ROOT, run_site
from deployments import NAME, make_project, service

pytestmark = pytest.mark.docker

TOLLGATE = ROOT / "tests" / "support" / "tollgate.py"
STEPS = {"lease", "prep", "upload", "deploy", "ready", "test", "collect", "stop", "clean", "verify"}


def node_with_a_tollgate(folder):
    """Write an inventory of one node, reached without ssh, whose interpreter notes what comes through."""
    python, notes = folder / "python3", folder / "notes.jsonl"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {TOLLGATE} {notes} "$@"\n')
    python.chmod(0o755)
    inventory = folder / "hosts"
    inventory.write_text(
        f"there ansible_connection=local ansible_python_interpreter={python} testcell_node_root={folder}/root\n"
    )
    return inventory, notes


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def round_trips(notes, journal):
    """Return step -> how many batches of requests were sent during it, one batch waiting for the answers of the other."""
    begins = [(entry["t"], entry["step"]) for entry in journal if entry["phase"] == "begin"]
    through = [note for note in notes if note["what"] != "exec"]
    batches = [
        now
        for before, now in pairwise([{"what": "answered"}, *through])
        if (before["what"], now["what"]) == ("answered", "asked")
    ]
    found = dict.fromkeys((step for _, step in begins), 0)
    for batch in batches:
        # The journal's moments are rounded to milliseconds.
        step = [step for t, step in begins if t <= batch["t"] + 0.002][-1]
        found[step] += 1
    return found


def test_a_step_costs_no_command_and_at_most_two_round_trips(results, tmp_path):
    inventory, notes = node_with_a_tollgate(tmp_path)
    folder = make_project(
        tmp_path / "project",
        {"a": service(node="there"), "b": service(node="there", needs=["a"])},
        test={"node": "there"},
    )
    first = run_site(inventory, results, testcell_project_dir=folder, scenario=NAME)
    assert first.summary["verdict"] == "pass", first.screen
    notes.unlink()
    run = run_site(inventory, results, testcell_project_dir=folder, scenario=NAME)
    assert run.summary["verdict"] == "pass", run.screen
    seen = read(notes)
    assert [note["words"][-1] for note in seen if note["what"] == "exec"] == ["serve"], (
        "one command for all steps of a run"
    )
    found = round_trips(seen, read(run.folder / "journal.jsonl"))
    assert set(found) == STEPS
    assert {step: trips for step, trips in found.items() if not 1 <= trips <= 2} == {}
