# SPDX-License-Identifier: MIT
"""The docker command of a unit, run in front of one that prints what it was given."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import labelling

LABEL = "--label testcell.run=r1"
GIVEN = {
    "run -d image sh -c 'docker run'": f"run {LABEL} -d image sh -c 'docker run'",
    "create image": f"create {LABEL} image",
    "container run --rm image": f"container run {LABEL} --rm image",
    "container create image": f"container create {LABEL} image",
    "network create net": f"network create {LABEL} net",
    "volume create": f"volume create {LABEL}",
    "-H unix:///x.sock --debug run image": f"-H unix:///x.sock --debug run {LABEL} image",
    "--host=unix:///x.sock -l error run image": f"--host=unix:///x.sock -l error run {LABEL} image",
    "--context run ps": "--context run ps",
    "exec run sh": "exec run sh",
    "network ls": "network ls",
    "container": "container",
    "compose run web": "compose run web",
    "": "",
}


@pytest.fixture
def docker(tmp_path):
    """Return a function that runs a command line of the unit's docker and returns what the real one was given."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "docker").write_text("#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done\nexit 7\n")
    (real / "docker").chmod(0o755)
    unit = tmp_path / "unit"
    unit.mkdir()
    folder_fd = os.open(unit, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(2):  # a start that failed is repeated
        path = labelling.put(folder_fd, unit, "r1", f"{real}:/usr/bin:/bin")
    os.close(folder_fd)

    def call(line):
        done = subprocess.run(
            ["/bin/sh", "-c", f"docker {line}"], env={"PATH": path}, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout.splitlines()

    return call


@pytest.mark.parametrize(("line", "passed_on"), GIVEN.items(), ids=GIVEN)
def test_what_is_made_gets_the_label_and_all_else_is_passed_on_as_it_is(docker, line, passed_on):
    words = subprocess.run(
        ["/bin/sh", "-c", f"for word in {passed_on}; do printf '%s\\n' \"$word\"; done"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert docker(line) == (7, words)


def test_a_node_without_docker_gets_no_command(tmp_path):
    folder_fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    assert labelling.put(folder_fd, tmp_path, "r1", str(tmp_path)) == str(tmp_path)
    os.close(folder_fd)
    assert list(tmp_path.iterdir()) == []
