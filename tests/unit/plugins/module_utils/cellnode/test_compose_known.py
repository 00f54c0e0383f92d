# SPDX-License-Identifier: MIT
"""Which Compose is there is asked once, and again as soon as a program has changed."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import command, compose_known


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node whose programs write into a file that they were asked."""
    monkeypatch.setattr(command, "DEFAULT_PATH", "/nonexistent")
    monkeypatch.setattr(compose_known, "PLUGIN_FOLDERS", (str(tmp_path / "plugins"),))
    for name in ("bin", "plugins", "home", "root"):
        (tmp_path / name).mkdir()
    return Node(tmp_path)


class Node:
    def __init__(self, folder):
        self.folder = folder
        self.environ = {"PATH": str(folder / "bin"), "HOME": str(folder / "home")}

    def program(self, name, said, version, folder="bin"):
        path = self.folder / folder / name
        path.write_text(f"#!/bin/sh\necho asked >> {self.folder}/asked\necho {said} version {version}\n")
        path.chmod(0o755)

    def detect(self, *, keep=True):
        found = compose_known.detect(self.folder / "root", self.environ, keep=keep)
        return [(one.kind, one.argv, one.version) for one in found]

    @property
    def asked(self):
        path = self.folder / "asked"
        return len(path.read_text().splitlines()) if path.exists() else 0


V1 = ("v1", ("docker-compose",), "1.29.2")


def test_the_same_programs_are_asked_once(node):
    node.program("docker-compose", "docker-compose", "1.29.2")
    assert [node.detect() for _ in range(3)] == [[V1]] * 3
    assert node.asked == 1


def test_where_nothing_may_be_changed_nothing_is_kept(node):
    node.program("docker-compose", "docker-compose", "1.29.2")
    assert [node.detect(keep=False) for _ in range(2)] == [[V1]] * 2
    assert node.asked == 2


def replaced(node):
    node.program("docker-compose", "docker-compose", "1.29.20")


def another_beside_it(node):
    (node.folder / "plugins" / "docker-compose").touch()
    node.program("docker", "Docker Compose", "2.40.0")


def configured(node):
    (node.folder / "home" / ".docker").mkdir()
    (node.folder / "home" / ".docker" / "config.json").write_text("{}")


def spoilt(content):
    return lambda node: (node.folder / "root" / "compose.json").write_text(content)


CHANGES = {
    "replaced": (replaced, [("v1", ("docker-compose",), "1.29.20")]),
    "another beside it": (another_beside_it, [("plugin", ("docker", "compose"), "2.40.0"), V1]),
    "other configuration": (configured, [V1]),
    "no JSON": (spoilt("{"), [V1]),
    "another shape": (spoilt('{"programs": [], "compose": 5}'), [V1]),
    "nothing": (spoilt("null"), [V1]),
}


@pytest.mark.parametrize(("change", "found"), CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_asked_again(node, change, found):
    node.program("docker-compose", "docker-compose", "1.29.2")
    node.detect()
    before = node.asked
    change(node)
    assert node.detect() == found
    assert node.asked > before


def test_a_compose_of_which_no_file_is_known_is_asked_each_time(node):
    node.program("docker", "Docker Compose", "2.40.0")
    assert [node.detect() for _ in range(2)] == [[("plugin", ("docker", "compose"), "2.40.0")]] * 2
    assert node.asked == 2 and not (node.folder / "root" / "compose.json").exists()


def _wrong(node):
    (node.folder / "plugins" / "docker-compose").write_text("#!/bin/sh\nexit 1\n")
    (node.folder / "plugins" / "docker-compose").chmod(0o755)


@pytest.mark.parametrize(
    ("plugin", "direct"),
    [
        pytest.param(lambda node: node.program("docker-compose", "Compose", "2.40.0", "plugins"), True, id="same"),
        pytest.param(lambda node: node.program("docker-compose", "Compose", "2.39.0", "plugins"), False, id="another"),
        pytest.param(_wrong, False, id="does-not-run-by-itself"),
    ],
)
def test_the_plugin_is_called_without_docker_where_it_is_the_same(node, plugin, direct):
    node.program("docker", "Docker Compose", "2.40.0")
    plugin(node)
    argv = (str(node.folder / "plugins" / "docker-compose"),) if direct else ("docker", "compose")
    assert node.detect() == [("plugin", argv, "2.40.0")]


def test_the_first_plugin_is_the_one_that_docker_takes(node):
    node.program("docker", "Docker Compose", "2.40.0")
    node.program("docker-compose", "Compose", "2.40.0", "plugins")
    own = node.folder / "home" / ".docker" / "cli-plugins"
    own.mkdir(parents=True)
    node.program("docker-compose", "Compose", "2.38.0", own)
    assert node.detect() == [("plugin", ("docker", "compose"), "2.40.0")]


def test_none_found_is_not_kept(node):
    assert node.detect() == []
    node.program("docker-compose", "docker-compose", "1.29.2")
    assert node.detect() == [V1]


def test_what_is_kept_names_the_interpreter_of_a_script(node):
    node.program("docker-compose", "docker-compose", "1.29.2")
    node.detect()
    kept = json.loads((node.folder / "root" / "compose.json").read_text())
    assert "/bin/sh" in [path for path, _ in kept["programs"]]
