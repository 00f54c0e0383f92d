# SPDX-License-Identifier: MIT
"""What ssh makes of its arguments, as ssh itself says; no node is contacted."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import ssh

ROOT = Path(__file__).resolve().parents[5]


def settings(arguments):
    """Return what ssh would do with these arguments."""
    command = ["ssh", "-G", "-F", "/dev/null", *arguments.split(), "node1"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    return dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)


GIVEN = {
    "nothing": (None, "2"),
    "what Ansible takes by itself": ("-C -o ControlMaster=auto -o ControlPersist=60s", "2"),
    "a socket of the user's own": ("-o ControlMaster=auto -S /tmp/mine -o ControlPath=/tmp/mine", "2"),
    "longer limits": ("-o ServerAliveInterval=30", "30"),
}


@pytest.mark.parametrize(("given", "interval"), GIVEN.values(), ids=GIVEN)
def test_no_connection_is_shared_and_each_has_limits_whatever_else_is_given(given, interval):
    found = settings(ssh.arguments(given))
    assert found.get("controlpath", "none") == "none"
    assert (found["serveraliveinterval"], found["serveralivecountmax"], found["connecttimeout"]) == (interval, "3", "5")


@pytest.mark.parametrize("name", ["ansible.cfg", "src/testcell/starter/ansible.cfg.in"])
def test_ordinary_tasks_of_ansible_have_the_same(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / name)
    assert parser["ssh_connection"]["ssh_args"] == ssh.arguments(None)
    assert parser["defaults"].getboolean("host_key_checking") is True


def test_what_noticing_a_silent_node_takes_is_less_than_15_seconds():
    found = {key: int(value) for key, value in settings(ssh.arguments(None)).items() if value.isdigit()}
    silence_s = found["serveraliveinterval"] * (found["serveralivecountmax"] + 1)
    assert silence_s + found["connecttimeout"] < 15
