# SPDX-License-Identifier: MIT
"""Which Compose is there, and what it prints."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import compose_cli
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.compose_cli import PLUGIN, V1
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(
            "docker-compose version 1.29.2, build unknown\ndocker-py version: 5.0.3\n", (V1, "1.29.2"), id="v1"
        ),
        pytest.param("docker-compose version 1.25.0, build 0a186604\n", (V1, "1.25.0"), id="v1-upstream"),
        pytest.param("Docker Compose version 2.26.1-4\n", (PLUGIN, "2.26.1-4"), id="debian"),
        pytest.param("Docker Compose version v2.39.4\n", (PLUGIN, "2.39.4"), id="upstream"),
        pytest.param("Docker Compose version v5.6.1\n", (PLUGIN, "5.6.1"), id="major-5"),
        pytest.param("v5.6.1\n", (PLUGIN, "5.6.1"), id="short"),
        pytest.param("2.26.1-4\n", (PLUGIN, "2.26.1-4"), id="short-debian"),
        pytest.param(
            "\x1b[1mDocker Compose version v2.29.7-desktop.1\x1b[0m\n", (PLUGIN, "2.29.7-desktop.1"), id="colours"
        ),
        pytest.param("docker: 'compose' is not a docker command.\nSee 'docker --help'\n", None, id="no-plugin"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_kind_is_v1_or_the_plugin_whatever_its_major(text, found):
    assert compose_cli.parse_version(text) == found


def program(folder, name: str, body: str):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def only(monkeypatch, tmp_path):
    """A PATH with nothing but what the test puts there."""
    monkeypatch.setattr(
        "ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.command.DEFAULT_PATH", "/nonexistent"
    )
    return {"PATH": str(tmp_path)}


def test_both_kinds_are_found_with_the_plugin_first(only, tmp_path):
    program(tmp_path, "docker", "[ $1 = compose ] && echo Docker Compose version v5.6.1")
    program(tmp_path, "docker-compose", "echo docker-compose version 1.29.2, build unknown")
    found = compose_cli.detect(only)
    assert [(one.kind, one.argv, one.version) for one in found] == [
        (PLUGIN, ("docker", "compose"), "5.6.1"),
        (V1, ("docker-compose",), "1.29.2"),
    ]
    assert compose_cli.choose(only, []).kind == PLUGIN
    assert compose_cli.choose(only, ["docker-compose"]).kind == V1


def test_a_standalone_program_of_the_new_kind_is_no_v1(only, tmp_path):
    program(tmp_path, "docker-compose", "echo Docker Compose version v2.39.4")
    assert [one.kind for one in compose_cli.detect(only)] == [PLUGIN]


def test_a_docker_without_the_plugin_is_no_compose(only, tmp_path):
    program(tmp_path, "docker", "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1")
    with pytest.raises(CellError, match="tried: docker compose and docker-compose"):
        compose_cli.choose(only, [])


def test_what_facts_tell_of_a_compose_is_taken_as_it_is():
    found = {"kind": V1, "argv": ["docker-compose"], "version": "1.29.2"}
    assert compose_cli.told(found) == compose_cli.Compose(V1, ("docker-compose",), "1.29.2")
    assert compose_cli.told({}) is None


@pytest.mark.parametrize("wrong", [{"kind": "v3"}, {"argv": []}, {"argv": "docker"}])
def test_a_compose_that_cannot_be_is_refused(wrong):
    with pytest.raises(CellError, match="args"):
        compose_cli.told({"kind": V1, "argv": ["docker-compose"], "version": "1", **wrong})


def test_the_environment_holds_our_engine_and_nothing_that_bends_the_project():
    environ = {
        "PATH": "/a",
        "HOME": "/h",
        "DOCKER_CONFIG": "/d",
        "LD_PRELOAD": "x",
        "COMPOSE_FILE": "y",
        "AWS_KEY": "z",
    }
    own = {"MODEL": "tiny", "COMPOSE_PROJECT_NAME": "other"}
    env = compose_cli.environment(environ, own, "/run/e.sock", "k:r:compose:n", 600)
    assert env["PATH"].split(":")[0] == "/a"
    assert (env["HOME"], env["DOCKER_CONFIG"], env["MODEL"]) == ("/h", "/d", "tiny")
    assert (env["DOCKER_HOST"], env["TESTCELL_UNIT"]) == ("unix:///run/e.sock", "k:r:compose:n")
    assert not {"LD_PRELOAD", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "AWS_KEY"} & set(env)


V1_CONFIG = """networks:
  default:
    labels:
      image: not-a-service
services:
  decode-0:
    command: --image x
    environment:
      image: not-this
    image: reg.example:5000/team/engine:1.2
    labels:
      testcell.run: r
  router:
    image: testcell/sim@sha256:0123
  built:
    build:
      context: /x
version: '3.7'
volumes:
  data: {}
"""


def test_images_are_read_from_what_v1_prints():
    assert compose_cli.images(V1, V1_CONFIG) == {
        "decode-0": "reg.example:5000/team/engine:1.2",
        "router": "testcell/sim@sha256:0123",
        "built": "",
    }


def test_images_are_read_from_what_the_plugin_prints():
    text = '{"name": "p", "services": {"a": {"image": "x:1"}, "b": {"build": {}}}}'
    assert compose_cli.images(PLUGIN, text) == {"a": "x:1", "b": ""}


def test_warnings_are_told_once():
    text = (
        'time="2026-01-01T00:00:00Z" level=warning msg="the attribute `version` is obsolete"\n'
        'time="2026-01-01T00:00:00Z" level=warning msg="the attribute `version` is obsolete"\n'
        "WARNING: Some services (a) use the 'deploy' key\nWARN[0000] The \"X\" variable is not set.\n Container a  Created\n"
    )
    assert compose_cli.warnings(text) == [
        "the attribute `version` is obsolete",
        "Some services (a) use the 'deploy' key",
        'The "X" variable is not set.',
    ]
