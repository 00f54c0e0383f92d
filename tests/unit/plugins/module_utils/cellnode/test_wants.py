# SPDX-License-Identifier: MIT
"""What a case takes for granted on a node: there, not there, or nobody knows."""

from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import facts, wants
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context


class Engine:
    """An engine that holds one network and one volume."""

    def networks(self):
        return [{"Name": "bridge"}, {"Name": "lab"}]

    def volumes(self):
        return [{"Name": "models"}]


def test_B51_paths_are_told_by_what_they_are(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "dead").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "fifo")
    kinds = {"file": "file", "link": "directory", "dead": "", "fifo": "special file", "none": "", "bad\0name": ""}
    assert {name: wants.kind(f"{tmp_path}/{name}") for name in kinds} == kinds


def test_B48_networks_and_volumes_are_looked_up_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(wants, "connect", lambda *_: Engine())
    found = wants.wants(Context(tmp_path), {"networks": ["lab", "gone"], "volumes": ["models", "none"]})["wants"]
    assert found["networks"] == {"lab": True, "gone": False}
    assert found["volumes"] == {"models": True, "none": False}


@pytest.mark.parametrize("args", [{"networks": ["lab"]}, {"binds": ["/"]}, {}])
def test_an_engine_that_does_not_answer_knows_nothing(tmp_path, args):
    lonely = Context(tmp_path, environ={"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PATH": "/nonexistent"})
    found = facts.facts(lonely, {"deep": False, **args})["wants"]
    assert found["networks"] == dict.fromkeys(args.get("networks", []))
    assert found["binds"] == dict.fromkeys(args.get("binds", []), "directory")
