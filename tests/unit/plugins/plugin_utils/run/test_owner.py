# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import pwd
import subprocess
import sys

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

HERE = owner.Here("anna", "ctl", "abcd1234-4026531836", "0a1b2c3d")
BEFORE = HERE._replace(place="ffff0000-4026531836")


def test_this_process_is_named_with_its_start_and_lives():
    name = owner.of_process(os.getpid())
    assert f":{os.getpid()}/" in name and owner.pid_of(name) == os.getpid()
    assert not owner.is_dead(name, owner.here(), owner.lives)


def test_a_number_that_another_process_has_got_is_no_sign_of_life():
    """The number cannot be had again at will, so a living process stands for the one that got it."""
    living = owner.of_process(os.getpid())
    found = owner.PATTERN.fullmatch(living)
    before, start = living[: found.start("start") - 1], found["start"]
    assert owner.is_dead(f"{before}/{int(start) - 1}", owner.here(), owner.lives)
    assert not owner.is_dead(before, owner.here(), owner.lives), "an old name does not tell them apart"


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
        (owner.name(HERE, 77, "500"), True),
        (owner.name(HERE, 78, "500"), False),
        (owner.name(HERE, 78, "499"), True),
        (owner.name(HERE._replace(user="bob"), 77), True),
        (owner.name(HERE._replace(host="other"), 77), False),
        (owner.name(HERE._replace(host="other"), 77, "500"), False),
        (owner.name(BEFORE, 78, "500"), True),
        (owner.name(BEFORE._replace(user="bob"), 78, "500"), True),
        (owner.name(BEFORE._replace(machine="ffffffff"), 77, "500"), False),
        (owner.name(BEFORE._replace(host="other"), 77, "500"), False),
        (owner.name(BEFORE._replace(machine=""), 77, "500"), False),
        (owner.name(BEFORE, 77), False),
        ("anna@ctl:77", False),
        ("", False),
        ("anna@ctl:x/abcd1234-4026531836", False),
        ("anna@ctl:77/abcd1234-4026531836/x", False),
    ],
    ids=[
        "gone, old name", "alive, old name", "gone", "alive", "number used again", "gone, other user",
        "F12 other host, old name", "F12 other host", "this machine before its restart", "the same, other user",
        "F12 another machine of this name", "F12 other host with the id of this", "container", "other boot, old name", "old form", "empty", "no number", "no start",
    ],
)  # fmt: skip
def test_only_a_process_that_was_here_and_is_gone_counts_as_dead(name, dead):
    def lives(pid, start):
        return pid == 78 and start in ("", "500")

    assert owner.is_dead(name, HERE, lives) is dead


def test_a_machine_that_cannot_be_told_from_others_proves_no_owner_of_another_boot_dead():
    assert not owner.is_dead(owner.name(BEFORE, 77, "500"), HERE._replace(machine=""), lambda pid, start: False)


@pytest.mark.parametrize(
    ("told", "space", "machine"),
    [
        ("0123456789abcdef0123456789abcdef\n", "pid:[4026531836]", "dbbcb280"),
        ("0123456789abcdef0123456789abcdef\n", "pid:[4026532171]", ""),
        ("uninitialized\n", "pid:[4026531836]", ""),
        ("", "pid:[4026531836]", ""),
        (None, "pid:[4026531836]", ""),
    ],
    ids=["machine", "container", "never started", "empty", "none"],
)
def test_a_machine_is_known_by_a_digest_of_its_own_id(monkeypatch, tmp_path, told, space, machine):
    if told is not None:
        (tmp_path / "machine-id").write_text(told)
    monkeypatch.setattr(owner, "MACHINE_ID", tmp_path / "machine-id")
    monkeypatch.setattr(os, "readlink", lambda path: space)
    assert owner.here().machine == machine


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (owner.name(HERE, 77), "anna on ctl (process 77)"),
        (owner.name(HERE, 77, "500"), "anna on ctl (process 77)"),
        ("tester", "tester"),
    ],
)
def test_an_owner_is_told_by_user_host_and_process(name, words):
    assert owner.words(name) == words


# It prints its number, and its worker what it takes its controller for; the end of both ends the output.
CONTROLLER = """
import multiprocessing, os, signal, sys
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

def work(parent):
    if sys.argv[1] == "dies":
        os.kill(parent, signal.SIGKILL)
        while os.getppid() == parent:
            pass
    print(owner.controller(), flush=True)

print(os.getpid(), flush=True)
process = multiprocessing.get_context("fork").Process(target=work, args=(os.getpid(),))
process.start()
process.join()
"""


@pytest.mark.parametrize("parent", ["lives", pytest.param("dies", id="F01-dies")])
def test_a_worker_knows_its_controller_by_its_own_number_whatever_becomes_of_it(tmp_path, parent):
    script = tmp_path / "controller.py"
    script.write_text(CONTROLLER)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, str(script), parent]
    done = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, check=False, timeout=60)
    number, taken_for = done.stdout.split()
    assert number == taken_for


@pytest.mark.parametrize(
    ("environ", "known", "user"),
    [
        ({"LOGNAME": "anna"}, {}, "anna"),
        ({"USER": "anna"}, {}, "anna"),
        ({}, {os.getuid(): "bench"}, "bench"),
        ({}, {}, str(os.getuid())),
    ],
    ids=["cron", "shell", "container", "a user without a name"],
)
def test_an_owner_has_a_name_for_people(monkeypatch, environ, known, user):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: (known[uid],))
    assert owner.here().user == user
