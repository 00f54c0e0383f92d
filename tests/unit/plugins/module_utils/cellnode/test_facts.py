# SPDX-License-Identifier: MIT
"""Facts: what does not answer is a fact too."""

from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import command, facts
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context


@pytest.fixture
def lonely(tmp_path):
    """A node without an engine and without programs."""
    return Context(tmp_path / "root", environ={"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PATH": "/nonexistent"})


def test_a_node_without_an_engine_is_described_all_the_same(lonely):
    found = facts.facts(lonely, {"paths": ["/tmp"], "deep": False})
    assert (found["engine"]["ok"], found["engine"]["error_kind"]) == (False, "docker_daemon_down")
    assert (found["leftovers"], "none.sock" in found["leftovers_error"]) == ([], True)
    assert (found["compose"], found["gpus"], found["listening"]) == ([], [], [])
    assert found["lease"]["held"] is False
    assert found["uid"] == os.geteuid()
    assert found["memory_bytes"] > 0
    assert not lonely.root.exists()


@pytest.mark.parametrize(
    ("root_dir", "told"),
    [
        pytest.param("", [], id="no-engine"),
        pytest.param(".", [], id="one-disk-is-told-once"),
        pytest.param("/proc", ["/proc"], id="another-disk"),
    ],
)
def test_the_engine_s_disk_is_told_where_it_is_another_one(lonely, monkeypatch, root_dir, told):
    place = str(lonely.root.parent) if root_dir == "." else root_dir
    monkeypatch.setattr(facts, "engine_facts", lambda ctx: {"ok": True, "root_dir": place})
    found = facts.facts(lonely, {"deep": False})["disks"]
    assert [disk["path"] for disk in found] == [str(lonely.root), *told]


@pytest.mark.parametrize("there", [True, False])
def test_an_engine_that_does_not_answer_is_told_from_one_that_is_absent(monkeypatch, tmp_path, there):
    monkeypatch.setattr(command, "DEFAULT_PATH", str(tmp_path))
    if there:
        (tmp_path / "dockerd").touch(0o755)
    ctx = Context(tmp_path / "root", environ={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    found = facts.engine_facts(ctx)
    assert (found["ok"], found["installed"]) == (False, there)


@pytest.mark.parametrize(
    ("version", "platform"),
    [
        ({"Platform": {"Name": "Docker Engine - Community"}}, "Docker Engine - Community"),
        ({"Platform": {"Name": ""}}, ""),
        ({"Platform": None}, ""),
        ({}, ""),
    ],
)
def test_an_engine_says_who_made_it(monkeypatch, lonely, version, platform):
    class Answering:
        path = "/run/docker.sock"

        def version(self, _limit):
            return version

        def info(self, _limit):
            return {}

    monkeypatch.setattr(facts, "connect", lambda *_: Answering())
    assert facts.engine_facts(lonely)["platform"] == platform


def test_the_disk_of_a_folder_that_is_not_there_yet_is_its_parents(tmp_path):
    there, later = facts.disk(str(tmp_path)), facts.disk(str(tmp_path / "a/b"))
    assert later["path"].endswith("a/b")
    assert (later["total_bytes"], later["error"]) == (there["total_bytes"], "")


@pytest.mark.parametrize(("text", "size"), [("MemTotal:       2 kB\nMemFree: 1 kB\n", 2048), ("", 0)])
def test_memory_is_read_in_bytes(text, size):
    assert facts.memory_bytes(text) == size


def test_a_user_without_a_name_is_a_number(monkeypatch, lonely):
    def nobody(_uid):
        raise KeyError

    monkeypatch.setattr(facts.pwd, "getpwuid", nobody)
    assert facts.machine(lonely)["user"] == str(os.geteuid())
