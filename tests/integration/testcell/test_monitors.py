# SPDX-License-Identifier: MIT
"""`testcell monitor` as a process: it outlives what is in its way, shares its rounds with another one, and ends when asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "testcell"
OFF = "auto_retest:\n  enabled: false\n"


@pytest.fixture
def project(tmp_path):
    """A new project in which maintenance looks and runs nothing."""
    folder = tmp_path / "project"
    subprocess.run([PROGRAM, "init", folder], check=True, capture_output=True, timeout=60)
    next(folder.glob("config/auto_maintenance_config.*")).write_text(OFF)
    return folder


class Monitor:
    """A monitor that looks every second, and what it says."""

    def __init__(self, project, *words):
        self.log = project / f"monitor{time.monotonic_ns()}.log"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [PROGRAM, "monitor", "--interval", "1", *words], cwd=project, stdin=subprocess.DEVNULL,
                stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip

    def said(self, text):
        return self.log.read_text().count(text)

    def wait_for(self, text, more_than=0):
        until = time.monotonic() + 60
        while self.said(text) <= more_than:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def end(self, number):
        os.killpg(self.process.pid, number)
        return self.process.wait(timeout=60)


@pytest.fixture
def monitor(project):
    begun = []

    def start(*words):
        begun.append(Monitor(project, *words))
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def test_a_monitor_outlives_what_is_in_its_way_and_ends_when_asked(project, monitor):
    config = next(project.glob("config/auto_maintenance_config.*"))
    one = monitor()
    one.wait_for("round over")
    config.write_text("auto_retest:\n  batch_size: 0\n")
    one.wait_for("auto_retest.batch_size: is out of range")
    config.write_text(OFF)
    (project / "scenarios" / "broken").mkdir()
    (project / "scenarios" / "broken" / "metadata.yml").write_text("name: [\n")
    one.wait_for("scenario broken cannot be read")
    for path in (project / "results").glob("testcell.db*"):
        path.unlink()
    one.wait_for("round over", more_than=one.said("round over"))
    assert one.end(signal.SIGTERM) == 143


def test_a_monitor_goes_on_after_it_was_killed_and_two_share_their_rounds(project, monitor):
    killed = monitor()
    killed.wait_for("round over")
    killed.end(signal.SIGKILL)
    pair = [monitor("--rounds", "1"), monitor("--rounds", "1")]
    assert [one.process.wait(timeout=60) for one in pair] == [0, 0], [one.log.read_text() for one in pair]
    assert [one.said("round over") for one in pair] == [1, 1]


def test_a_monitor_that_cannot_begin_says_why(project, monitor):
    next(project.glob("config/auto_maintenance_config.*")).write_text("auto_retest:\n  batch_size: 0\n")
    one = monitor()
    assert one.process.wait(timeout=60) == 3 and one.said("batch_size: is out of range") == 1
