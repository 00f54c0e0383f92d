# SPDX-License-Identifier: MIT
"""What ssh makes of its arguments, as ssh itself says; no node is contacted."""

from __future__ import annotations

import configparser
import subprocess
import threading
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


# ---- a connection that carries much


FAST = ("-o", "Compression=no", "-o", "Ciphers=^aes128-gcm@openssh.com")


def chosen(options, host, fast):
    """Return the ciphers that ssh would offer."""
    return ssh.ask_ssh([*options, *fast, host])["ciphers"].split(",")


@pytest.mark.parametrize("options", [["-F", "/dev/null"], ["-F", "/dev/null", "-o", "Port=2222"]])
def test_a_stream_takes_the_fast_cipher_first_and_leaves_the_others(options):
    fast = ssh.for_a_stream(options, "node")
    assert fast == FAST
    first, *others = chosen(options, "node", fast)
    assert first == "aes128-gcm@openssh.com" and len(others) > 1


def test_ciphers_that_a_user_has_chosen_in_a_file_stay(tmp_path):
    config = tmp_path / "config"
    config.write_text("Host node\n  Ciphers aes256-ctr\n")
    fast = ssh.for_a_stream(["-F", str(config)], "node")
    assert fast == ("-o", "Compression=no")
    assert ssh.for_a_stream(["-F", str(config)], "other") == FAST


def test_ciphers_that_a_user_has_given_as_an_argument_stay():
    options = ["-F", "/dev/null", "-o", "Ciphers=aes256-ctr"]
    assert chosen(options, "node", ssh.for_a_stream(options, "node")) == ["aes256-ctr"]


OWN = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com"
SAID = {
    "chosen by nobody": (OWN, OWN, FAST),
    "chosen by the user": (f"{OWN},aes128-cbc", OWN, FAST[:2]),
    "chosen, and another order": (",".join(reversed(OWN.split(","))), OWN, FAST[:2]),
    "unknown to this ssh": ("aes128-ctr", "aes128-ctr", FAST[:2]),
    "a longer name": ("aes128-gcm@openssh.com.example", "aes128-gcm@openssh.com.example", FAST[:2]),
    "chosen where ssh says nothing": ("", OWN, FAST[:2]),
    "nothing of its own": (OWN, "", FAST[:2]),
    "nothing at all": ("", "", FAST[:2]),
}


@pytest.mark.parametrize(("chosen", "own", "taken"), SAID.values(), ids=SAID)
def test_ssh_is_asked_twice_at_once_and_no_choice_is_overridden(chosen, own, taken):
    said = {("-p", "22", "node"): chosen, ("-F", "none", "node"): own}
    together = threading.Barrier(2, timeout=60)

    def ask(words):
        together.wait()
        return {"ciphers": said[tuple(words)]} if said[tuple(words)] else {}

    assert ssh.for_a_stream(["-p", "22"], "node", ask) == taken


def test_a_stream_is_not_compressed_by_ssh_whatever_ansible_gives():
    options = ["-F", "/dev/null", "-C", "-o", "ControlMaster=auto"]
    (setting,) = {ssh.ask_ssh([*words, "node"])["compression"] for words in (options, [*options, *ssh.UNCOMPRESSED])}
    assert setting == "yes"
    bare = ssh.uncompressed(options)
    assert ssh.ask_ssh([*bare, *ssh.for_a_stream(bare, "node"), "node"])["compression"] == "no"
