# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.errors import ArtifactError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.policy import AGAIN, Pace, Policy, Tries
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError


def tries(retries=3, chance=1.0):
    pauses = []
    return Tries(Policy(retries=retries), Pace(pauses.append, lambda: chance)), pauses


def failures(kind):
    return ArtifactError(kind, "why", ["a"]) if kind.startswith("artifact_") else NodeError(kind, "why")


ONCE = ["artifact_unsafe_path", "artifact_too_large", "ssh_hostkey", "ssh_auth", "disk_full", "privilege", "lock_held"]


@pytest.mark.parametrize("kind", ONCE)
def test_what_another_connection_cannot_cure_is_tried_once_and_told_as_it_is(kind):
    found, pauses = tries()
    with pytest.raises((NodeError, ArtifactError), match=r"^why$") as caught:
        found.failed(failures(kind))
    assert (caught.value.kind, pauses, found.again) == (kind, [], 0)


LAST = {
    "artifact_corrupt": ("artifact_corrupt", "the files did not come home whole, tried 4 times: why"),
    "ssh_dropped": ("transfer_failed", "the transfer broke off, tried 4 times: why"),
    "transfer_failed": ("transfer_failed", "the transfer broke off, tried 4 times: why"),
    "ssh_refused": ("ssh_refused", "why"),
    "dns_failure": ("dns_failure", "why"),
}


@pytest.mark.parametrize("kind", LAST)
def test_a_connection_and_damage_are_tried_as_often_as_was_asked_for(kind):
    found, pauses = tries()
    for _ in range(3):
        found.failed(failures(kind))
    with pytest.raises((NodeError, ArtifactError)) as caught:
        found.failed(failures(kind))
    assert (caught.value.kind, str(caught.value), found.again) == (*LAST[kind], 3)
    assert pauses == [0.25, 1.0, 4.0]


def test_every_kind_that_is_tried_again_has_its_case():
    assert {*LAST, "ssh_timeout"} == AGAIN


def test_a_silent_node_is_tried_once_more_only():
    found, pauses = tries()
    found.failed(failures("ssh_timeout"))
    with pytest.raises(NodeError) as caught:
        found.failed(failures("ssh_timeout"))
    assert (caught.value.kind, len(pauses)) == ("ssh_timeout", 1)


@pytest.mark.parametrize(("retries", "told"), [(0, "tried once"), (1, "tried 2 times")])
def test_the_number_of_tries_is_the_users(retries, told):
    found, _ = tries(retries)
    for _ in range(retries):
        found.failed(failures("ssh_dropped"))
    with pytest.raises(ArtifactError, match=told):
        found.failed(failures("ssh_dropped"))


def test_pauses_grow_to_a_limit_and_half_of_each_is_left_to_chance():
    least, most = (tries(20, chance)[0] for chance in (0.0, 1.0))
    for _ in range(20):
        assert 0 < least.pause_s() == most.pause_s() / 2
        assert most.pause_s() <= 10.0
        least.failed(failures("ssh_dropped"))
        most.failed(failures("ssh_dropped"))
    assert most.pause_s() == 10.0
