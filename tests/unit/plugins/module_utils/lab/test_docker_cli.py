# SPDX-License-Identifier: MIT
"""Calls of the docker command line and its failures, with small programs in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.docker_cli import Docker
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.errors import LabError


def program(folder: Path, script: str) -> str:
    """Return the path of a shell program."""
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_output_is_returned_and_a_file_is_fed(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("fed")
    docker = Docker(program(tmp_path, 'echo "$@"; cat'))
    assert docker("load", "--quiet", stdin=tmp_path / "in") == "load --quiet\nfed"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no such thing >&2; exit 1", "docker rm ended with 1: no such thing"),
        ("echo only on stdout; exit 125", "docker rm ended with 125: only on stdout"),
        ("exec sleep 5", "docker rm did not end within 0 s"),
    ],
    ids=["stderr", "stdout", "hangs"],
)
def test_failure_is_told_in_a_sentence(tmp_path: Path, script: str, message: str) -> None:
    with pytest.raises(LabError, match=message):
        Docker(program(tmp_path, script), timeout_s=0.3)("rm", "x")


def test_absent_program_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="docker command is absent; run setup/docker"):
        Docker(str(tmp_path / "nothing"))("ps")


def test_absent_objects_are_left_out_of_inspect(tmp_path: Path) -> None:
    script = """echo '[{"Name": "a"}]'; echo 'Error: No such image: b' >&2; exit 1"""
    assert Docker(program(tmp_path, script)).inspect("image", ["a", "b"]) == [{"Name": "a"}]


def test_inspect_of_an_engine_that_is_down_is_an_error(tmp_path: Path) -> None:
    script = "echo '[]'; echo 'Cannot connect to the Docker daemon' >&2; exit 1"
    with pytest.raises(LabError, match="Cannot connect to the Docker daemon"):
        Docker(program(tmp_path, script)).inspect("image", ["a"])
