# SPDX-License-Identifier: MIT
from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.script import wrong_script


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "001_a"
    inside.mkdir()
    outside = tmp_path / "outside.sh"
    outside.write_text("#!/bin/sh\n")
    outside.chmod(0o755)
    good = inside / "good.sh"
    good.write_text("#!/bin/sh\n")
    good.chmod(0o755)
    (inside / "plain.sh").write_text("#!/bin/sh\n")
    (inside / "plain.sh").chmod(0o644)
    (inside / "dir.sh").mkdir()
    os.mkfifo(inside / "fifo.sh", 0o755)
    (inside / "out.sh").symlink_to(outside)
    (inside / "gone.sh").symlink_to(inside / "nothing.sh")
    (inside / "loop.sh").symlink_to(inside / "loop.sh")
    (inside / "link.sh").symlink_to(good)
    for name, content in {"crlf.sh": b"#!/bin/bash\r\nls\r\n", "bare.sh": b"echo 1\n", "empty.sh": b""}.items():
        (inside / name).write_bytes(content)
        (inside / name).chmod(0o755)
    return inside


@pytest.mark.parametrize("script", ["good.sh", "link.sh"])
def test_script_of_the_scenario_is_taken(folder, script):
    assert wrong_script(folder, script) == ""


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("none.sh", "does not exist"),
        ("plain.sh", "is not executable (mode 0644); run: chmod +x"),
        ("dir.sh", "is a directory"),
        ("fifo.sh", "is not a regular file"),
        ("out.sh", "is a link that leads out of the scenario, to "),
        ("gone.sh", "is a link to a file that does not exist"),
        ("loop.sh", "cannot be reached"),
        ("good.sh/x", "cannot be reached"),
        ("crlf.sh", "has Windows line ends"),
        ("bare.sh", "does not say how to run it"),
        ("empty.sh", "is empty"),
    ],
)
def test_B24_script_that_cannot_be_started_is_named(folder, script, reason):
    assert reason in wrong_script(folder, script)
