# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.packages import PackagesError, choose, named

ROLE = Path(__file__).resolve().parents[5] / "roles" / "node_prep"
KNOWN = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__node_prep_known"]


def node(distribution, version, family="Debian"):
    major = version.partition(".")[0]
    return {
        "distribution": distribution,
        "distribution_version": version,
        "distribution_major_version": major,
        "os_family": family,
    }


BOTH = {"parts": ["engine", "compose"]}
COMPOSE = {"parts": ["compose"]}
RED_HAT = ["docker-ce", "docker-ce-cli", "containerd.io", "docker-compose-plugin"]


@pytest.mark.parametrize(
    ("facts", "missing", "expected"),
    [
        pytest.param(node("Debian", "11.9"), BOTH, ["docker.io", "docker-compose"], id="Debian 11"),
        pytest.param(node("Debian", "12.5"), BOTH, ["docker.io", "docker-compose"], id="Debian 12"),
        pytest.param(
            node("Debian", "13.1"), BOTH, ["docker.io", "docker-cli", "docker-compose"], id="Debian 13, client apart"
        ),
        pytest.param(node("Debian", "n/a"), COMPOSE, ["docker-compose", "docker-cli"], id="Debian without a number"),
        pytest.param(node("Debian", "12.5"), {"parts": ["engine"]}, ["docker.io"], id="only what is missing"),
        pytest.param(node("Ubuntu", "22.04"), BOTH, ["docker.io", "docker-compose-v2"], id="Ubuntu"),
        pytest.param(node("Rocky", "9.4", "RedHat"), BOTH, RED_HAT, id="Red Hat's family"),
        pytest.param(
            node("Debian", "12.5"),
            {**COMPOSE, "engine_vendor": "Docker"},
            ["docker-compose-plugin"],
            id="beside an engine of Docker's own",
        ),
    ],
)
def test_the_packages_are_those_of_the_distribution(facts, missing, expected):
    assert choose(missing, facts, KNOWN, {}) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"compose": ["my-compose"]}, ["docker.io", "my-compose"]),
        ({"compose": "my-compose"}, ["docker.io", "my-compose"]),
        ('{"engine": ["e1", "e2"], "compose": ["e2"]}', ["e1", "e2"]),
        ("{'engine': ['e=1.2']}", ["e=1.2", "docker-compose"]),
        (" ", ["docker.io", "docker-compose"]),
    ],
    ids=["list", "one name", "JSON, each once", "as Ansible reads INI files", "empty text"],
)
def test_what_the_user_names_beats_what_is_known(given, expected):
    assert choose(BOTH, node("Debian", "12.5"), KNOWN, given) == expected


@pytest.mark.parametrize(
    "facts", [node("Arch", "n/a", "Archlinux"), node("Linux Mint", "21.3"), node("Debian", "10.2"), {}]
)
def test_where_nothing_is_known_the_variable_is_named(facts):
    with pytest.raises(PackagesError, match=r"brings compose on .*; name it in testcell_install_packages"):
        choose(COMPOSE, facts, KNOWN, {})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param("docker.io", "no mapping", id="name alone"),
        pytest.param(["docker.io"], "no mapping", id="list"),
        pytest.param('{"compose": ', "no mapping", id="broken JSON"),
        pytest.param({"podman": ["x"]}, "'podman' is no part of a node; known: engine, compose", id="part"),
        pytest.param({"compose": []}, "compose names no package", id="empty list"),
        pytest.param({"compose": 3}, "compose names no package", id="number"),
        pytest.param({"compose": ["-oDir=x"]}, "'-oDir=x', which is no package name", id="option"),
        pytest.param({"compose": ["a b"]}, "'a b', which is no package name", id="space"),
        pytest.param({"engine": [7]}, "7, which is no package name", id="number in the list"),
    ],
)
def test_names_of_another_form_are_refused(given, words):
    with pytest.raises(PackagesError, match=words):
        named(given)
