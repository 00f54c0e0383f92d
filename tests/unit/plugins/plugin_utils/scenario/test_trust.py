# SPDX-License-Identifier: MIT
from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.trust import distrust


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "defaults.yaml"
    path.write_text("{}\n")
    path.chmod(0o644)
    return path


def test_own_file_that_others_cannot_write_is_trusted(config):
    assert distrust(config, user=os.geteuid()) == []


def test_missing_file_is_no_question_of_trust(tmp_path):
    assert distrust(tmp_path / "none.yaml", user=os.geteuid()) == []


def test_B68_world_writable_file_says_chmod(config):
    config.chmod(0o666)
    (problem,) = distrust(config, user=os.geteuid())
    assert "mode 0666" in problem.message and f"owner uid {os.geteuid()}" in problem.message
    assert f"chmod o-w {config}" in problem.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_B68_file_of_another_user_names_both_users(config):
    os.chown(config, 12345, -1)
    (problem,) = distrust(config, user=0)
    assert "belongs to another user than you (uid 0; mode 0644, owner uid 12345)" in problem.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_folder_and_file_of_one_other_user_are_trusted(config):
    os.chown(config, 12345, -1)
    os.chown(config.parent, 12345, -1)
    assert distrust(config, user=0) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_B68_unreadable_file_names_its_mode(config):
    config.chmod(0o200)
    (problem,) = distrust(config, user=os.geteuid())
    assert "mode 0200" in problem.message


def test_B68_folder_that_cannot_be_entered_is_named(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (problem,) = distrust(loop / "defaults.yaml", user=os.geteuid())
    assert "cannot be read" in problem.message
