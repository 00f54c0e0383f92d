# SPDX-License-Identifier: MIT
"""setup/docker: nothing is done when an engine and Compose answer, and what cannot be mended is told."""

from __future__ import annotations

from typing import Any

import pytest


def test_nothing_is_done_when_engine_and_compose_answer(workshop: Any) -> None:
    workshop.fake("docker")
    workshop.fake("apt-get", "exit 100")
    assert workshop.run("docker").returncode == 0
    assert [call.split(" --")[0] for call in workshop.calls] == ["docker version", "docker compose version"]


def test_compose_v1_is_enough(workshop: Any) -> None:
    workshop.fake("docker", "[ $1 != compose ]")
    workshop.fake("docker-compose")
    workshop.fake("apt-get", "exit 100")
    assert workshop.run("docker").returncode == 0


@pytest.mark.parametrize(
    ("script", "environment", "message"),
    [
        ("exit 1", {"DOCKER_HOST": "tcp://127.0.0.1:1"}, "DOCKER_HOST=tcp://127.0.0.1:1 does not answer"),
        ("echo permission denied while trying to connect >&2; exit 1", {}, "this user may not use the Docker engine"),
    ],
    ids=["named engine", "no right"],
)
def test_engine_of_others_is_not_replaced(
    workshop: Any, script: str, environment: dict[str, str], message: str
) -> None:
    workshop.fake("docker", script)
    workshop.fake("apt-get", "exit 100")
    workshop.environment.update(environment)
    done = workshop.run("docker")
    assert done.returncode == 5
    assert message in done.stderr
    assert not [call for call in workshop.calls if call.startswith("apt-get")]


def test_starting_an_engine_needs_root_and_says_so(workshop: Any) -> None:
    workshop.fake("docker", "exit 1")
    for name in ("dockerd", "iptables"):
        workshop.fake(name)
    workshop.fake("id", "echo 1000")
    done = workshop.run("docker")
    assert done.returncode == 5
    assert "starting the Docker engine needs root" in done.stderr


def test_absent_engine_is_installed_from_packages(workshop: Any) -> None:
    workshop.leave_only_usual_tools()
    workshop.fake("apt-get", "exit 100")
    done = workshop.run("docker")
    assert done.returncode == 5
    assert "apt-get could not install: docker.io" in done.stderr
