# SPDX-License-Identifier: MIT
"""A service that ends with an error where its engine's disk is full has failed by the disk."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import store
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.readiness import State

EXITED = State("failed", "container x exited with code 3", "container_exited", exit_code=3)


@pytest.fixture
def folder(tmp_path):
    """An engine's folder on a disk of its own, of 1 MiB."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("mounts are not allowed here")
    yield str(tmp_path)
    subprocess.run(["umount", "-l", tmp_path], check=True)


def fill(folder):
    subprocess.run(["sh", "-c", "cat /dev/zero > filler"], cwd=folder, check=False)


def test_f25_an_exit_with_an_error_on_a_full_disk_is_the_disks(folder):
    assert store.blamed(folder, EXITED) == EXITED
    fill(folder)
    end = store.blamed(folder, EXITED)
    assert (end.error_kind, end.exit_code) == ("disk_full", 3)
    assert end.detail == "container x exited with code 3; the disk of its engine is full (0 bytes are free)"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(State("failed", "x", "container_exited", exit_code=0), id="ended-well"),
        pytest.param(State("failed", "x", "container_oom", exit_code=137, oom=True), id="killed-for-memory"),
        pytest.param(State("failed", "x", "health_timeout"), id="runs-on"),
        pytest.param(State("ready"), id="ready"),
    ],
)
def test_other_ends_are_not_the_disks(folder, end):
    fill(folder)
    assert store.blamed(folder, end) == end


@pytest.mark.parametrize("folder", ["", "/nonexistent"])
def test_a_disk_that_cannot_be_asked_is_not_blamed(folder):
    assert store.blamed(folder, EXITED) == EXITED
