# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import shutil

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import access
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.access import Access, access_problems

PRIVATE = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
ENCRYPTED = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHxk"


class Ssh:
    """Stands in for `ssh -G`: says what it was told to, and remembers what it was asked."""

    def __init__(self, **settings):
        self.settings = settings
        self.asked = []

    def __call__(self, arguments):
        self.asked.append(list(arguments))
        return self.settings


def key_file(folder, name, text, mode=0o600):
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def said(tmp_path, facts, *, ssh=None, checking=False, agent=False):
    ways = Access(tmp_path, str(tmp_path / "home"), agent, checking, ssh or Ssh())
    return [problem.render() for problem in access_problems({"n1": facts}, ways)]


@pytest.mark.parametrize("variable", access.KEY_KEYS)
@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        pytest.param(
            PRIVATE, 0o644, "has mode 0644, others may read it and ssh refuses it; run: chmod 600", id="B64-mode"
        ),
        pytest.param("ssh-ed25519 AAAA me\n", 0o600, "is a public key; name the private one", id="B64-public"),
        pytest.param(ENCRYPTED, 0o600, "is encrypted and nobody is there", id="B64-encrypted"),
        pytest.param("hello\n", 0o600, "is not a private key that ssh can read", id="B64-other-file"),
        pytest.param(PRIVATE, 0o600, "", id="B64-right"),
    ],
)
def test_a_key_that_ssh_cannot_use_is_named_with_path_and_fix(tmp_path, variable, text, mode, words):
    path = key_file(tmp_path, "key", text, mode)
    lines = said(tmp_path, {"ansible_host": "h", variable: str(path)})
    assert len(lines) == int(words != "")
    assert all(line.startswith(f"inventory: n1.{variable}: ") and words in line and str(path) in line for line in lines)


def test_a_key_that_is_missing_is_looked_for_where_ssh_would(tmp_path):
    """B64"""
    (tmp_path / "home").mkdir()
    key_file(tmp_path / "home", "key", PRIVATE)
    key_file(tmp_path, "own", PRIVATE)
    assert said(tmp_path, {"ansible_private_key_file": "~/key"}) == []
    assert said(tmp_path, {"ansible_private_key_file": "own"}) == []
    (line,) = said(tmp_path, {"ansible_private_key_file": "~/none"})
    assert f"key file {tmp_path}/home/none does not exist; make one with: ssh-keygen" in line


def test_an_agent_may_hold_an_encrypted_key(tmp_path):
    path = key_file(tmp_path, "key", ENCRYPTED)
    assert said(tmp_path, {"ansible_private_key_file": str(path)}, agent=True) == []


@pytest.mark.parametrize("facts", [{"ansible_connection": "local"}, {"ansible_private_key_file": "{{ key }}"}])
def test_what_is_not_ssh_s_or_not_known_yet_is_passed_over(tmp_path, facts):
    assert said(tmp_path, {"ansible_private_key_file": "none", **facts}) == []


def test_a_host_key_that_is_not_known_is_named_with_the_way_to_add_it(tmp_path):
    """B65: the message never says to turn checking off."""
    known = tmp_path / "known_hosts"
    ssh = Ssh(userknownhostsfile=f"{known} /none", globalknownhostsfile="/none", hostname="h")
    (line,) = said(tmp_path, {"ansible_host": "h", "ansible_port": "2222"}, ssh=ssh, checking=True)
    assert line.startswith(f"inventory: n1.ansible_host: known_hosts file {known} does not exist; add its key with: ")
    assert f"ssh-keyscan -p 2222 -t ed25519 h >> {known}" in line
    assert "checking" not in line.lower() and "StrictHostKeyChecking" not in line
    known.write_text(f"[h]:2222 {HOST_KEY}\n")
    assert said(tmp_path, {"ansible_host": "h", "ansible_port": "2222"}, ssh=ssh, checking=True) == []


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        pytest.param({"stricthostkeychecking": "accept-new"}, {}, id="ssh-adds-it"),
        pytest.param({"stricthostkeychecking": "false"}, {}, id="ssh-does-not-check"),
        pytest.param({"knownhostscommand": "/bin/x"}, {}, id="a-command-knows-it"),
        pytest.param({"verifyhostkeydns": "true"}, {}, id="dns-knows-it"),
        pytest.param({"userknownhostsfile": "none", "globalknownhostsfile": "none"}, {}, id="no-file-at-all"),
        pytest.param({}, {"ansible_host_key_checking": "false"}, id="host-is-not-checked"),
        pytest.param({}, {"ansible_host": "{{ x }}"}, id="template"),
        pytest.param({}, {"ansible_host": "-oProxyCommand=x"}, id="host-that-is-wrong-anyway"),
        pytest.param({}, {"ansible_port": "abc"}, id="port-that-is-wrong-anyway"),
    ],
)
def test_what_ssh_does_not_check_by_files_is_no_problem(tmp_path, settings, facts):
    ssh = Ssh(
        userknownhostsfile=str(tmp_path / "none"), **{k: v for k, v in settings.items() if k != "userknownhostsfile"}
    )
    ssh.settings.update(settings)
    assert said(tmp_path, {"ansible_host": "h", **facts}, ssh=ssh, checking=True) == []


def test_ssh_is_asked_with_the_words_that_ansible_adds_and_never_takes_a_host_for_an_option(tmp_path):
    ssh = Ssh()
    facts = {
        "ansible_host": "h",
        "ansible_ssh_common_args": "-o UserKnownHostsFile='/a b'",
        "ansible_ssh_extra_args": "-4",
    }
    said(tmp_path, facts, ssh=ssh, checking=True)
    said(tmp_path, {"ansible_host": "h", "ansible_ssh_args": "-o 'never closed"}, ssh=ssh, checking=True)
    assert ssh.asked == [
        ["-o", "UserKnownHostsFile=/a b", "-4", "-p", "22", "--", "h"],
        ["-p", "22", "--", "h"],
    ]


def test_another_name_of_the_host_is_looked_up(tmp_path):
    known = tmp_path / "known_hosts"
    known.write_text(f"alias {HOST_KEY}\n")
    ssh = Ssh(userknownhostsfile=str(known), globalknownhostsfile="/none", hostname="h", hostkeyalias="alias")
    assert said(tmp_path, {"ansible_host": "h"}, ssh=ssh, checking=True) == []


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs an ssh client")
def test_ssh_itself_says_what_it_would_do(tmp_path):
    settings = access.ask_ssh(["-F", "none", "-o", f"UserKnownHostsFile={tmp_path}/k", "-p", "2222", "--", "h"])
    assert (settings["hostname"], settings["port"], settings["userknownhostsfile"]) == ("h", "2222", f"{tmp_path}/k")
    assert access.ask_ssh(["-o", "NoSuchOption=1", "--", "h"]) == {}


def test_no_ssh_client_says_nothing(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert access.ask_ssh(["--", "h"]) == {}


def test_what_a_process_has_is_taken_from_its_environment(tmp_path):
    environ = {"HOME": "/h", "SSH_AUTH_SOCK": "/s", "ANSIBLE_HOST_KEY_CHECKING": "false"}
    found = access.access_of(environ, tmp_path)
    assert (found.home, found.agent, found.host_key_checking, found.base) == ("/h", True, True, tmp_path)
    assert access.access_of({}, tmp_path).home == os.path.expanduser("~")
