# SPDX-License-Identifier: MIT
"""The commands of maintenance on a new project, and with a database filled by rows."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rounds
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner
from upkeep_store import fill

from testcell.exits import Exit

OURS = owner.here()
DEAD = f"anna@{OURS.host}:4194303/{OURS.place}/1"


@pytest.fixture
def filled(project):
    """A project with one night of five cases of two models, beside its own scenario that was never run."""
    words = {"a": "pass", "b:x": "gpu_oom", "c:x": "gpu_oom", "d:x": "ssh_timeout", "e": "image_not_found"}
    with open_store(results_dir=project / "results") as store:
        fill(store, "20260101_000000", time.time() - 3600, words)
    return project


def test_a_new_project_has_one_case_that_is_missing(project, cli):
    (found,) = cli("incomplete", "--format", "json").json
    assert (found["scenario"], found["state"], found["next"]["action"]) == ("example", "missing", "rerun")
    (decision,) = cli("maintain", "--dry-run", "--format", "json").json
    assert decision["reason"] == "has not been run"


def test_incomplete_says_whose_fault_and_what_is_next(filled, cli):
    found = {one["case"] or one["scenario"]: one for one in cli("incomplete", "--format", "json").json}
    told = {name: (one["state"], one["owner"], one["next"]["action"]) for name, one in found.items()}
    assert told == {
        "b": ("failing", "engine", "needs_person"),
        "c": ("failing", "engine", "needs_person"),
        "d": ("no_answer", "network", "needs_person"),
        "e": ("no_answer", "image", "needs_person"),
        "example": ("missing", None, "rerun"),
    }
    page = cli("incomplete", "x").out
    assert "a retry cannot help; the engine is to blame" in page and "image_not_found" not in page


def test_incomplete_needs_no_inventory_unless_one_is_named(filled, cli):
    shutil.rmtree(filled / "inventories")
    found = cli("incomplete", "--format", "json")
    assert len(found.json) == 5 and "read without the variables of an inventory" in found.err
    assert cli("incomplete", "-i", "gone").code == Exit.INVALID_INPUT


def test_a_scenario_that_cannot_be_read_keeps_no_others_from_being_run(project, cli):
    """A run that names a broken scenario, or one of another project, refuses all of its cases."""
    other = project / "scenarios" / "002_other"
    shutil.copytree(project / "scenarios" / "001_example", other)
    metadata = other / "metadata.yml"
    metadata.write_text(metadata.read_text().replace("name: example", "name: other"))
    assert {one["action"] for one in cli("maintain", "--dry-run", "--format", "json").json} == {"rerun"}
    metadata.write_text(metadata.read_text() + "bogus: 1\n")
    found = {one["scenario"]: one for one in cli("maintain", "--dry-run", "--format", "json").json}
    assert {name: one["action"] for name, one in found.items()} == {"example": "rerun", "other": "needs_person"}
    assert cli("retest", "--format", "json").json["cases"] == 1
    said = [line for line in cli("incomplete").out.splitlines() if line.startswith("scenario ") and "read" in line]
    assert said == ["scenario other cannot be read, so its cases are taken as they were; next: testcell validate"]


def test_a_scenario_that_was_disabled_before_maintenance_saw_it_is_left(filled, cli):
    """Of one that no project here has, nobody knows whether it is wanted."""
    assert {one["scenario"] for one in cli("incomplete", "--format", "json").json} == {"example", "s"}
    other = filled / "scenarios" / "002_s"
    shutil.copytree(filled / "scenarios" / "001_example", other)
    text = (other / "metadata.yml").read_text().replace("name: example", "name: s")
    assert "enabled: true" in text
    (other / "metadata.yml").write_text(text.replace("enabled: true", "enabled: false"))
    assert {one["scenario"] for one in cli("maintain", "--dry-run", "--format", "json").json} == {"example"}
    assert {one["scenario"] for one in cli("incomplete", "--format", "json").json} == {"example"}


def test_status_tells_groups_by_any_label(filled, cli):
    found = cli("status", "--format", "json").json["maintenance"]
    by_model = {group["labels"]["model"]: group for group in found["groups"]}
    assert by_model["x"]["patterns"]["high_failure"] == "certain" or by_model["x"]["failure"]["count"] == 2
    assert found["next_step"] == "testcell maintain" and found["last_round"] is None
    groups = cli("status", "--by", "model,scenario", "--format", "json").json["maintenance"]["groups"]
    assert {tuple(group["labels"].values()) for group in groups} == {("m", "s"), ("x", "s"), ("", "example")}


def test_status_refuses_a_label_that_no_case_has(filled, cli):
    refused = cli("status", "--by", "model,modle")
    assert refused.code == 2
    assert "no case has the label 'modle' (did you mean 'model'?); known: case, model, scenario" in " ".join(
        refused.err.replace("│", " ").split()
    )


@pytest.mark.parametrize(
    ("words", "cases"),
    [
        (("--auto-maintain",), {"b", "c", "d", "e"}),
        (("--incremental-retest",), {""}),
        (("--models", "x"), {"b", "c", "d"}),
        (("--models", "x,m"), {"b", "c", "d", "e"}),
        (("case=d",), {"d"}),
    ],
)
def test_maintain_looks_at_what_is_wanted(filled, cli, words, cases):
    found = cli("maintain", *words, "--dry-run", "--format", "json").json
    assert {one["case"] for one in found} == cases


def test_the_threshold_decides_what_is_missing(filled, cli):
    found = cli("maintain", "--incremental-retest", "--completion-threshold", "0", "--dry-run", "--format", "json").json
    assert [one["action"] for one in found] == ["leave"]


def test_a_quarantine_is_shown_and_ends_by_command(filled, cli):
    assert cli("quarantine", "add", "s/b", "--owner", "anna", "--reason", "unsteady").code == 0
    (held,) = cli("quarantine", "show", "--format", "json").json
    assert (held["case"], held["owner"], held["reason"]) == ("b", "anna", "unsteady")
    found = next(one for one in cli("incomplete", "--format", "json").json if one["case"] == "b")
    assert found["next"]["action"] == "leave" and "set aside by anna" in found["next"]["reason"]
    assert cli("quarantine", "lift", "s/b", "--format", "json").json["lifted"] is True
    assert cli("quarantine", "show", "--format", "json").json == []


WRONG = [
    (("incomplete", "gpt"), Exit.USAGE, "no case is meant by 'gpt'"),
    (("quarantine", "add", "s/bb", "--owner", "a", "--reason", "b"), Exit.USAGE, "there is no case 's/bb'"),
    (("quarantine", "add", "s/b", "--owner", " ", "--reason", "b"), Exit.USAGE, "'--owner': it is empty"),
    (("quarantine", "add", "s/b", "--owner", "a", "--reason", ""), Exit.USAGE, "'--reason': it is empty"),
    (("maintain", "--completion-threshold", "80", "--dry-run"), Exit.USAGE, "completion-threshold"),
    (("monitor", "--interval", "0"), Exit.USAGE, "interval"),
    (("maintain", "gpt"), Exit.USAGE, "no case is meant by 'gpt'"),
    (("maintain", "modle=x", "--dry-run"), Exit.USAGE, "no case is meant by 'modle='; did you mean model?"),
    (("maintain", "--models", "m,y", "--dry-run"), Exit.USAGE, "no case is meant by 'model=y'"),
    (("maintain", "--models", ",", "--dry-run"), Exit.USAGE, "--models names no model"),
    (("monitor", "--models", "y", "--rounds", "1"), Exit.USAGE, "no case is meant by 'model=y'"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG)
def test_wrong_words_are_named(filled, cli, words, code, said):
    found = cli(*words)
    assert (found.code, said in found.err) == (code, True), found.err


def test_a_wrong_configuration_is_named_by_its_line(project, cli):
    path = project / "config" / "auto_maintenance_config.yaml"
    path.write_text("auto_retest:\n  batch_size: 0\n")
    found = cli("maintain", "--dry-run")
    assert found.code == Exit.INVALID_INPUT
    assert "auto_maintenance_config.yaml:2:15: auto_retest.batch_size: is out of range" in found.err


def test_a_file_that_is_no_script_of_ours_is_left_alone(project, cli):
    path = project / "auto_retest_incomplete.sh"
    path.write_text("#!/bin/sh\necho mine\n")
    assert cli("retest").code == Exit.USAGE and path.read_text().endswith("echo mine\n")
    path.unlink()
    assert cli("retest").code == 0 and cli("retest").code == 0
    assert path.stat().st_mode & 0o100 and "--case example" in path.read_text()


@pytest.mark.parametrize(("named", "want"), [("", "beside"), ("other", "other")])
def test_the_script_runs_the_program_that_wrote_it_without_a_path_to_it(
    project, cli, tmp_path, monkeypatch, named, want
):
    folder = tmp_path / "it's here $HOME"
    folder.mkdir()
    for name, said in (("testcell", "beside"), ("other", "other")):
        (folder / name).write_text(f"#!/bin/sh\necho {said} $1 $2\nexit 4\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python3"))
    assert cli("retest").code == 0
    environment = {"PATH": "/usr/bin:/bin", **({"TESTCELL": str(folder / named)} if named else {})}
    ended = subprocess.run(
        [project / "auto_retest_incomplete.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (4, f"{want} run example\n", "")


def test_what_is_no_file_is_no_script_of_ours_and_keeps_nobody_waiting(project, cli):
    pipe, folder = project / "pipe", project / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        found = cli("retest", "--script", str(path))
        assert (found.code, f"{path} exists, and is no script" in found.err) == (Exit.USAGE, True), found.err


def test_a_script_that_cannot_be_written_leaves_the_old_one_and_nothing_else(project, cli, monkeypatch):
    assert cli("retest").code == 0
    before = sorted(project.iterdir()), (project / "auto_retest_incomplete.sh").read_text()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "rename", full)
    found = cli("retest")
    assert found.code == Exit.INFRASTRUCTURE
    assert "auto_retest_incomplete.sh: cannot be written: No space left on device" in found.err
    assert (sorted(project.iterdir()), (project / "auto_retest_incomplete.sh").read_text()) == before


def test_a_dry_run_says_that_nothing_is_run_where_that_is_switched_off(project, cli):
    path = project / "config" / "auto_maintenance_config.yaml"
    assert "is false" not in cli("maintain", "--dry-run").err
    path.write_text("auto_retest: {enabled: false}\n")
    assert f"{path}: auto_retest.enabled is false, so that none of this is run" in cli("maintain", "--dry-run").err


@pytest.mark.parametrize(("alive", "state"), [(False, "interrupted"), (True, "running")])
def test_status_says_when_the_last_round_was_and_whether_its_process_still_goes_on(project, cli, alive, state):
    holder = owner.of_process(os.getpid()) if alive else DEAD
    with open_store(results_dir=project / "results", clock=lambda: 1_700_000_000.0) as store:
        rounds.begin(store, rounds.MAINTAIN)
        (store.results_dir / rounds.LOCK).write_text(f"{holder}\n")
    assert cli("status", "--format", "json").json["maintenance"]["last_round"]["state"] == state
    assert f"last_round maintain at 2023-11-14 22:13 UTC, {state}" in cli("status").out


def test_a_round_without_work_writes_its_report_and_says_what_is_missed(filled, cli):
    found = cli("maintain", "case=b", "--format", "json")
    assert found.code == Exit.NO_DATA
    report = json.loads(Path(found.json["report"]).read_text())
    assert report["reruns"] == [] and {"model": "x"} in report["missed"]
    assert cli("status", "--format", "json").json["maintenance"]["last_round"]["state"] == "done"
