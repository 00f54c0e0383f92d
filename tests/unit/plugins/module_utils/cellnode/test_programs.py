# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import procs, programs

NOW = 5_000_000.0
DAY = 86400.0
MINE = "cellnode-aaaaaaaaaaaa.pyz"


def lay(root, name, age_s):
    path = root / name
    path.write_bytes(b"")
    os.utime(path, (NOW - age_s, NOW - age_s))
    return path


@pytest.mark.parametrize(
    ("name", "age_s", "stays"),
    [
        pytest.param("cellnode-bbbbbbbbbbbb.pyz", 8 * DAY, False, id="a-week-unused"),
        pytest.param("cellload-bbbbbbbbbbbb.pyz", 8 * DAY, False, id="load-client"),
        pytest.param("cellnode-bbbbbbbbbbbb.pyz", 6 * DAY, True, id="used-in-this-week"),
        pytest.param("cellnode-bbbbbbbbbbbb.pyz", -DAY, True, id="time-stamp-in-the-future"),
        pytest.param(MINE, 800 * DAY, True, id="the-running-one"),
        pytest.param("cellnode-bbbbbbbbbbbb.pyz.sig", 8 * DAY, True, id="another-name"),
        pytest.param("cellnode-mine.pyz", 8 * DAY, True, id="no-digest"),
        pytest.param("lease.json", 8 * DAY, True, id="lease"),
    ],
)
def test_versions_that_nobody_used_for_a_week_are_removed(tmp_path, name, age_s, stays):
    running = lay(tmp_path, MINE, 0.0)
    path = lay(tmp_path, name, age_s)
    programs.tidy(tmp_path, running, NOW)
    assert path.exists() is stays


def test_the_running_version_is_marked_as_used(tmp_path):
    running = lay(tmp_path, MINE, 8 * DAY)
    programs.tidy(tmp_path, running, NOW)
    assert running.stat().st_mtime == NOW


def test_only_files_are_removed(tmp_path):
    running, stranger = lay(tmp_path, MINE, 0.0), lay(tmp_path, "stranger", 8 * DAY)
    folder, link = tmp_path / "cellnode-bbbbbbbbbbbb.pyz", tmp_path / "cellnode-cccccccccccc.pyz"
    folder.mkdir()
    link.symlink_to(stranger)
    os.utime(folder, (0.0, 0.0))
    programs.tidy(tmp_path, running, NOW)
    assert folder.is_dir() and link.is_symlink() and stranger.exists()


@pytest.mark.parametrize("running", ["/elsewhere/cellnode-aaaaaaaaaaaa.pyz", "/usr/bin/python3"])
def test_a_program_that_runs_from_elsewhere_removes_nothing(tmp_path, running):
    old = lay(tmp_path, "cellnode-bbbbbbbbbbbb.pyz", 8 * DAY)
    programs.tidy(tmp_path, type(tmp_path)(running), NOW)
    assert old.exists()


def test_what_cannot_be_read_is_left_for_the_next_time(tmp_path):
    programs.tidy(tmp_path / "gone", tmp_path / "gone" / MINE, NOW)
    assert list(tmp_path.iterdir()) == []


def test_taking_the_node_removes_old_versions_but_never_one_that_a_supervisor_runs(cell, cellnode_zip, eventually):
    old = replace(cell, program=cell.root / "cellnode-bbbbbbbbbbbb.pyz")
    new = replace(cell, program=cell.root / MINE)
    for version in (old, new):
        shutil.copy(cellnode_zip, version.program)
    old.start("sleep", "60")
    for path in (old.program, new.program):
        os.utime(path, (0.0, 0.0))
    new.call("lease", action="show")
    assert new.program.stat().st_mtime == 0.0 and old.program.exists()
    new.call("lease", action="acquire", ttl_s=60)
    assert new.program.stat().st_mtime > 0.0 and old.program.exists()
    assert new.call("supervise", action="kill", name="test")["state"] == "killed"
    supervisor = procs.Proc(old.status()["supervisor_pid"], old.status()["supervisor_start"])
    eventually(lambda: not procs.alive(supervisor), "the supervisor ends after its last word")
    new.call("lease", action="acquire", ttl_s=60)
    assert not old.program.exists() and new.program.exists()


def test_a_check_removes_nothing(cell, cellnode_zip):
    checking = replace(cell, program=cell.root / MINE, check=True)
    shutil.copy(cellnode_zip, checking.program)
    old = lay(cell.root, "cellnode-bbbbbbbbbbbb.pyz", 8 * DAY)
    checking.call("lease", action="acquire", ttl_s=60)
    assert old.exists()
