# SPDX-License-Identifier: MIT
"""A lab as a whole, on an engine in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.lab import lab
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.errors import LabError
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.model import Wanted

ENGINE_IMAGE = "testcell/engine-llama:1"


def test_first_up_makes_everything(docker: Any, wanted: Wanted) -> None:
    outcome = lab.up(docker, wanted, check=False)
    assert sorted(docker.containers) == ["testcell-lab-node1", "testcell-lab-node2", "testcell-lab-node3"]
    assert sorted(docker.volumes) == sorted(docker.containers)
    assert all(ENGINE_IMAGE in images for images in docker.inner.values())
    assert wanted.inventory.read_text().count("ansible_host=127.0.0.1") == 3
    assert wanted.known_hosts.read_text().count("KEY-OF-testcell-lab-node") == 3
    assert outcome.actions[:2] == ("make a key pair", "create network 172.31.0.0/24")


def test_second_up_changes_nothing(docker: Any, wanted: Wanted) -> None:
    lab.up(docker, wanted, check=False)
    assert lab.up(docker, wanted, check=False).actions == ()


def test_check_mode_names_the_work_and_does_none(docker: Any, wanted: Wanted) -> None:
    outcome = lab.up(docker, wanted, check=True)
    assert outcome.actions == (
        "make a key pair",
        "create network 172.31.0.0/24",
        "create node1",
        "create node2",
        "create node3",
    )
    assert not docker.containers
    assert not wanted.state_dir.exists()


@pytest.mark.parametrize(
    ("harm", "action"),
    [
        (lambda docker: docker.containers.pop("testcell-lab-node2"), "create node2"),
        (lambda docker: docker.containers["testcell-lab-node2"]["State"].update(Running=False), "start node2"),
        (lambda docker: docker.containers["testcell-lab-node2"]["State"].update(Paused=True), "unpause node2"),
        (lambda docker: docker("network", "disconnect", "testcell-lab", "testcell-lab-node2"), "attach node2"),
        (lambda docker: docker.inner["testcell-lab-node2"].clear(), f"load {ENGINE_IMAGE} into node2"),
    ],
    ids=["removed", "stopped", "paused", "cable out", "image gone"],
)
def test_harm_to_one_node_is_mended_there_alone(docker: Any, wanted: Wanted, harm: Any, action: str) -> None:
    lab.up(docker, wanted, check=False)
    harm(docker)
    assert action in lab.up(docker, wanted, check=False).actions
    assert lab.up(docker, wanted, check=False).actions == ()


def test_new_engine_image_is_loaded_again(docker: Any, wanted: Wanted) -> None:
    lab.up(docker, wanted, check=False)
    docker.images[ENGINE_IMAGE]["RootFS"] = {"Layers": ["sha256:new"]}
    docker.inner = {
        name: {ENGINE_IMAGE: {**docker.images[ENGINE_IMAGE], "RootFS": {"Layers": ["old"]}}} for name in docker.inner
    }
    assert len(lab.up(docker, wanted, check=False).actions) == 3


def test_new_node_image_makes_the_nodes_anew(docker: Any, wanted: Wanted) -> None:
    lab.up(docker, wanted, check=False)
    docker.images["testcell/node:1"]["Config"] = {"Labels": {"testcell.inputs": "i2"}}
    assert lab.up(docker, wanted, check=False).actions[:3] == ("recreate node1", "recreate node2", "recreate node3")


def test_fewer_nodes_remove_the_last_ones(docker: Any, wanted: Wanted) -> None:
    lab.up(docker, wanted, check=False)
    actions = lab.up(docker, replace(wanted, nodes=1), check=False).actions
    assert actions[:2] == ("remove container testcell-lab-node2", "remove container testcell-lab-node3")
    assert sorted(docker.containers) == ["testcell-lab-node1"]
    assert sorted(docker.volumes) == ["testcell-lab-node1"]


def test_image_that_this_machine_lacks_is_named(docker: Any, wanted: Wanted) -> None:
    del docker.images[ENGINE_IMAGE]
    assert lab.up(docker, wanted, check=False).images_missing == (ENGINE_IMAGE,)


def test_without_the_node_image_the_next_step_is_told(docker: Any, wanted: Wanted) -> None:
    docker.images.clear()
    with pytest.raises(LabError, match="testcell/node:1 of the nodes is absent; make it with setup/images"):
        lab.up(docker, wanted, check=False)


def test_node_that_never_answers_is_named(docker: Any, wanted: Wanted) -> None:
    docker.silent.add("testcell-lab-node2")
    with pytest.raises(LabError, match=r"node2: .*not ready after 5 s"):
        lab.up(docker, wanted, check=False)


def test_down_leaves_nothing(docker: Any, wanted: Wanted) -> None:
    lab.up(docker, wanted, check=False)
    actions = lab.down(docker, wanted, check=False).actions
    assert len(actions) == 3 + 3 + 1 + 4
    assert (docker.containers, docker.volumes, list(docker.networks)) == ({}, {}, ["bridge"])
    assert not wanted.state_dir.exists()
    assert lab.down(docker, wanted, check=False).actions == ()


def test_down_touches_only_what_has_the_label_of_this_lab(docker: Any, wanted: Wanted) -> None:
    other = replace(wanted, name="other", first_host=41)
    lab.up(docker, wanted, check=False)
    docker("volume", "create", "--label", "somebody=else", "testcell-lab-node9")
    lab.up(docker, replace(other, inventory=wanted.inventory.with_name("other")), check=False)
    lab.down(docker, wanted, check=False)
    assert all(name.startswith("testcell-other-") for name in docker.containers)
    assert "testcell-lab-node9" in docker.volumes
    assert sorted(docker.networks) == ["bridge", "testcell-other"]


def test_down_in_check_mode_removes_nothing(docker: Any, wanted: Wanted) -> None:
    lab.up(docker, wanted, check=False)
    assert lab.down(docker, wanted, check=True).actions
    assert len(docker.containers) == 3
    assert wanted.inventory.exists()


def test_what_will_not_go_is_an_error_and_not_a_success(docker: Any, wanted: Wanted) -> None:
    lab.up(docker, wanted, check=False)
    docker.stubborn = True
    with pytest.raises(LabError, match="the engine still lists: testcell-lab"):
        lab.down(docker, wanted, check=False)
