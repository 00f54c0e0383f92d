# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

HERE = owner.Here("anna", "ctl", "abcd1234-4026531836")


def test_this_process_is_named_and_lives():
    name = owner.name(owner.here(), os.getpid())
    assert f":{os.getpid()}/" in name
    assert not owner.is_dead(name, owner.here(), owner.lives)


def test_a_process_that_was_killed_and_not_reaped_yet_is_dead():
    process = subprocess.Popen(["sleep", "60"])
    assert owner.lives(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not owner.lives(process.pid)
    process.wait(timeout=10)
    assert not owner.lives(process.pid)


@pytest.mark.parametrize(
    ("name", "dead"),
    [
        (owner.name(HERE, 77), True),
        (owner.name(HERE, 78), False),
        (owner.name(replace(HERE, user="bob"), 77), True),
        (owner.name(replace(HERE, host="other"), 77), False),
        (owner.name(replace(HERE, place="ffff0000-4026531836"), 77), False),
        ("anna@ctl:77", False),
        ("", False),
        ("anna@ctl:x/abcd1234-4026531836", False),
    ],
    ids=["gone", "alive", "gone, other user", "F12 other host", "other boot", "old form", "empty", "no number"],
)
def test_only_a_process_that_was_here_and_is_gone_counts_as_dead(name, dead):
    assert owner.is_dead(name, HERE, lambda pid: pid != 77) is dead
