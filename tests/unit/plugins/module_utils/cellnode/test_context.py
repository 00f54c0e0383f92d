# SPDX-License-Identifier: MIT
"""The node root is private and ours, and the case's folder is below it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import context
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


@pytest.mark.parametrize(
    ("run", "folder"),
    [
        (RunRef("r", "s"), "/root/runs/r/s/a1"),
        (RunRef("r", "s", "case-1", 3), "/root/runs/r/s/case-1/a3"),
    ],
)
def test_the_case_folder_is_below_the_root(run, folder):
    assert str(Context(Path("/root"), run).case_dir) == folder


def test_folders_need_what_they_are_named_after():
    with pytest.raises(CellError, match="needs a run"):
        _ = Context(Path("/root")).run_dir
    with pytest.raises(CellError, match="needs a scenario"):
        _ = Context(Path("/root"), RunRef("r")).case_dir


def test_a_root_is_made_private(tmp_path):
    root = context.ensure_root(tmp_path / "a/root")
    assert root.stat().st_mode & 0o777 == 0o700
    root.chmod(0o755)
    assert context.ensure_root(root).stat().st_mode & 0o777 == 0o700


def test_a_root_that_is_a_link_or_a_file_is_refused(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "file").write_text("x")
    for name in ("link", "file"):
        with pytest.raises(CellError):
            context.ensure_root(tmp_path / name)
    with pytest.raises(CellError, match="absolute"):
        context.ensure_root(Path("relative"))


def test_a_root_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(context.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(CellError, match="belongs to uid"):
        context.ensure_root(tmp_path)


def test_a_request_names_its_run():
    run = context.parse_run({"id": "r", "scenario": "s", "case": None, "attempt": "2", "epoch": 7})
    assert run == RunRef("r", "s", "", 2, 7)
    assert context.parse_run(None) is None


def test_waiting_ends_with_the_truth_or_with_the_time():
    now = [0.0]
    clock = Clock(monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    answers = iter([False, False, True])
    assert clock.until(lambda: next(answers), 10.0)
    assert now[0] < 0.1
    assert not clock.until(lambda: False, 1.0)
    assert now[0] >= 1.0
