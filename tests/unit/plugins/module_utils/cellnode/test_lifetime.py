# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lifetime, procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock


def test_each_life_of_an_engine_has_its_own_word(tmp_path, monkeypatch):
    """The process behind the socket; where that is the first one of the machine, the one that the engine has noted."""
    place = str(tmp_path / "engine.sock")
    assert lifetime.life(place) == ""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        first = lifetime.life(place)
        assert first.startswith(f"{os.getpid()}.") and lifetime.life(place) == first
        (tmp_path / "pid").write_text("1\n")
        monkeypatch.setattr(lifetime, "PID_NOTE", str(tmp_path / "pid"))
        monkeypatch.setattr(lifetime, "PEER", SimpleNamespace(size=12, unpack=lambda _: (1, 0, 0)))
        assert lifetime.life(place) not in ("", first)


@pytest.mark.parametrize(
    ("before", "now", "another"),
    [("7.1", "9.5", True), ("7.1", "7.1", False), ("7.1", "", False), ("", "9.5", False), ("7.1", "7.5", True)],
)
def test_only_words_that_could_be_told_differ(before, now, another):
    assert lifetime.differ(before, now) is another


def test_the_begin_of_a_process_is_told_to_some_hundredths_of_a_second():
    before = time.time()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        after = time.time()
        found = procs.identify(process.pid)
        process.stdin.close()
    assert before - 0.05 <= lifetime.began(f"{found.pid}.{found.start}", Clock()) <= after + 0.05
