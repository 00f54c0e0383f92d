# SPDX-License-Identifier: MIT
"""Programs are run with a limit that holds for their children too."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import command

ENV = {"PATH": os.environ["PATH"]}


def test_both_streams_and_the_code_come_back():
    done = command.run(["sh", "-c", "echo out; echo err >&2; exit 3"], ENV, 10)
    assert (done.code, done.out, done.err, done.ok, done.timed_out) == (3, "out\n", "err\n", False, False)


def test_a_limit_ends_the_whole_group_and_keeps_what_was_said():
    began = time.monotonic()
    done = command.run(["sh", "-c", "echo begun; sleep 60 & wait"], ENV, 0.2)
    assert (done.timed_out, done.ok, done.out) == (True, False, "begun\n")
    assert time.monotonic() - began < 5


def test_a_program_that_is_not_there_ends_with_127():
    assert command.run(["/nonexistent/program"], ENV, 1).code == 127


def test_a_file_that_is_no_program_ends_with_127(tmp_path):
    (tmp_path / "data").write_text("x")
    assert command.run([str(tmp_path / "data")], ENV, 1).code == 127


def test_output_that_is_not_text_does_not_break():
    assert command.run(["sh", "-c", r"printf '\377x'"], ENV, 5).out == "\ufffdx"


@pytest.mark.parametrize(
    ("given", "first"),
    [({"PATH": "/opt/x:/bin"}, "/opt/x"), ({}, "/usr/local/sbin"), ({"PATH": ""}, "/usr/local/sbin")],
)
def test_the_usual_folders_are_always_searched(given, first):
    folders = command.search_path(given).split(":")
    assert folders[0] == first
    assert folders.count("/bin") == 1
    assert "/usr/sbin" in folders
