# SPDX-License-Identifier: MIT
"""A process that asks for it ends with its starter."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import starter

FOLDER = str(Path(starter.__file__).parent)
CHILD = "import os, sys, time; sys.path.insert(0, {folder!r}); import starter; starter.end_with({{'TESTCELL_STARTER': {number!r}}}); print(os.getpid(), flush=True); time.sleep(60)"
PARENT = "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1].replace('PARENT', str(os.getpid()))]); sys.stdin.read()"


def test_it_ends_when_its_starter_is_killed():
    child = CHILD.format(folder=FOLDER, number="PARENT")
    words = [sys.executable, "-c", PARENT, child]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline()
        parent.kill()
        parent.communicate(timeout=30)  # which ends when the last process that could write has ended


def test_it_ends_at_once_when_its_starter_was_gone_before():
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(folder=FOLDER, number="1")], capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, b"")


@pytest.mark.parametrize("environ", [{}, {"TESTCELL_STARTER": ""}, {"TESTCELL_STARTER": "x"}])
def test_without_a_starter_that_wants_it_nothing_is_asked_of_the_kernel(monkeypatch, environ):
    def refuse(_name):
        raise AssertionError("the kernel was asked")

    monkeypatch.setattr(starter.ctypes, "CDLL", refuse)
    starter.end_with(environ)
