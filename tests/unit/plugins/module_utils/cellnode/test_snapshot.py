# SPDX-License-Identifier: MIT
"""A snapshot lists what is there, and each list that failed by its error."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import snapshot
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


class Engine:
    def containers(self):
        labels = {"testcell.run": "r", "org.other": "x" * 9999}
        ports = [{"PublicPort": 80, "PrivatePort": 1}, {"PublicPort": 80, "PrivatePort": 1}]
        return [
            {
                "Id": "c",
                "Names": ["/n"],
                "State": "exited",
                "Image": "i",
                "Created": 5,
                "Labels": labels,
                "Ports": ports,
            }
        ]

    def networks(self):
        return [{"Id": "n", "Name": "net", "Labels": None, "Created": "1970-01-01T00:00:05Z"}]

    def images(self):
        return [{"Id": "sha256:1", "RepoTags": ["e:1"], "Size": 7}, {"Id": "sha256:2", "RepoTags": None, "Size": 0}]

    def volumes(self):
        raise CellError("docker_timeout", "no answer")


@pytest.fixture
def taken(tmp_path):
    (tmp_path / "runs/r1").mkdir(parents=True)
    return snapshot.take(Context(tmp_path, environ={"PATH": "/nonexistent"}), Engine())


def test_objects_are_listed_with_our_labels_only(taken):
    assert taken["containers"][0]["labels"] == {"testcell.run": "r"}
    assert taken["containers"][0]["ports"] == [80]
    assert taken["networks"] == [{"id": "n", "name": "net", "labels": {}, "created": 5.0}]
    assert [folder["name"] for folder in taken["files"]] == ["r1"]


def test_a_list_that_failed_is_empty_and_told(taken):
    assert taken["volumes"] == []
    assert taken["errors"] == [{"what": "volumes", "error_kind": "docker_timeout", "error": "no answer"}]


def test_a_root_that_is_not_there_yet_is_an_empty_one(tmp_path):
    found = snapshot.take(Context(tmp_path / "later", environ={"PATH": "/nonexistent"}), Engine())
    assert (found["files"], found["groups"], found["processes"], found["mounts"]) == ([], [], [], [])
