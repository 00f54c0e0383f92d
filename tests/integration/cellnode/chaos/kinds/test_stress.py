# SPDX-License-Identifier: MIT
"""F13, F65: processor time and memory taken away, within the limits of a container or of the node, and given back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import cgroup, procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import boxed, stress, workers
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Gone
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

MIB = 1 << 20
KINDS = [("cpu_stress", {"cores": 2}), ("memory_stress", {"memory": "32MiB"})]


@pytest.mark.parametrize(("kind", "params"), KINDS)
@pytest.mark.parametrize("aimed", ["service", "node"])
def test_it_is_felt_and_ended(container, event, kind, params, aimed):
    target = container() if aimed == "service" else ""
    load = event(kind, target, **params)
    measured = load.felt().measured
    if kind == "memory_stress":
        assert 32 * MIB <= measured["resident_bytes"] < 96 * MIB
    found = procs.ours(load.place.ctx.root, load.place.ctx.run.id)
    assert len(found) == (3 if kind == "cpu_stress" else 1)
    assert all(one.marked for one in found)
    load.ended()
    assert procs.ours(load.place.ctx.root) == ()
    assert cgroup.groups_left(load.place.ctx.root) == []
    assert not load.effect().applied


def test_memory_counts_for_the_container(container, event, eventually):
    """Its own limit is felt: the worker's memory is in the container's group."""
    target = container("--memory", "128m")
    load = event("memory_stress", target, memory="48MiB")
    box = boxed.of(load.aim.pid)
    before = box.memory_room()
    load.felt()  # most of it is there then, and the rest comes
    eventually(lambda: before - box.memory_room() >= 40 * MIB, "the memory counts")
    load.ended()
    eventually(lambda: before - box.memory_room() < 20 * MIB, "the kernel has taken it back")


def test_memory_leaves_some_of_the_containers(container, event):
    """1 GiB is asked of a container with 192 MiB."""
    load = event("memory_stress", container("--memory", "192m"), memory="1GiB")
    measured = load.felt().measured
    assert measured["wanted_bytes"] == 1 << 30
    assert measured["resident_bytes"] < (192 - 60) * MIB + 16 * MIB
    load.ended()


def test_the_worker_is_the_first_to_die_when_memory_ends(container, event, docker_cli):
    """F13: the container's own program lives, and the fault is not called felt."""
    target = container("--memory", "96m")
    load = event("memory_stress", target, memory="60MiB", leave_bytes=0)
    load.prepare()
    load.record["bytes"] = 120 * MIB
    load.inject()
    effect = load.effect()
    assert not effect.applied
    assert effect.why == "no worker runs; where one was started, the kernel has ended it for want of memory"
    assert docker_cli("inspect", "-f", "{{.State.Running}}", target) == "true"
    load.ended()


def test_processor_time_counts_for_the_container(container, event):
    """The workers are in its groups, which have its share and its set of processors."""
    target = container("--cpuset-cpus", "0")
    load = event("cpu_stress", target, cores=2)
    load.felt()
    for proc in workers.running(load.record["token"]):
        with open(f"/proc/{proc.pid}/cgroup") as file:
            text = file.read()
        assert all(f":{name}:/docker/{target}" in text for name in ("cpu", "cpuset", "memory")) or "0::/docker" in text
        with open(f"/proc/{proc.pid}/status") as file:
            assert "Cpus_allowed_list:\t0\n" in file.read()
    load.ended()


@pytest.mark.parametrize(("kind", "params"), KINDS)
def test_it_ends_by_itself_at_expiry(container, event, kind, params):
    """F63: nobody undoes it."""
    load = event(kind, container(), **params)
    load.prepare()
    clock = load.place.ctx.clock
    load.place = replace(load.place, expires=clock.boottime() + 2)
    load.inject()
    assert clock.until(lambda: not workers.running(load.record["token"]), 20)
    assert clock.boottime() >= load.place.expires
    load.ended()


@pytest.mark.parametrize(("kind", "params"), KINDS)
@pytest.mark.parametrize("end", ["rm", "restart"])
def test_it_ends_with_its_container(container, event, docker_cli, kind, params, end):
    """F65: the engine can remove and restart a container in whose groups we are."""
    target = container()
    load = event(kind, target, **params)
    load.felt()
    docker_cli(*{"rm": ("rm", "-f", target), "restart": ("restart", "-t", "0", target)}[end])
    assert load.place.ctx.clock.until(lambda: not workers.running(load.record["token"]), 10)
    if end == "restart":
        assert docker_cli("inspect", "-f", "{{.State.Running}}", target) == "true"
    load.ended()


def test_a_killed_leader_takes_its_workers_along(event):
    """F64: whoever is left ends, although nobody undoes it."""
    load = event("cpu_stress", cores=2)
    load.prepare()
    load.inject()
    token = load.record["token"]
    leader = min(workers.running(token), key=lambda proc: proc.start)
    procs.send(leader, 9)
    assert load.place.ctx.clock.until(lambda: not workers.running(token), 10)
    load.ended()


@pytest.mark.parametrize(("kind", "params"), KINDS)
def test_a_target_that_does_not_run_is_gone(container, event, docker_cli, kind, params):
    target = container()
    docker_cli("kill", target)
    with pytest.raises(Gone):
        event(kind, target, **params).prepare()


def test_too_little_memory_is_said(container, event):
    with pytest.raises(
        CellError, match=r"bytes of memory can be had, and params\.leave_bytes must stay free"
    ) as caught:
        event("memory_stress", container("--memory", "64m"), memory="1GiB").prepare()
    assert caught.value.kind == "chaos_unsupported"


def test_the_containers_quota_is_what_can_be_reached(container, event, monkeypatch):
    """This kernel may not have quotas: the number is given, the rest is real."""
    monkeypatch.setattr(boxed.Boxed, "cores", lambda self: 0.5)
    load = event("cpu_stress", container(), cores=2)
    assert load.prepare()["reachable_cores"] == 0.5
    assert stress.KINDS["cpu_stress"].lacking(load.place, {"cores": 2}) == ""


BAD = [
    ("cpu_stress", {"cores": 0}, "params.cores is 0; allowed: a number from 1 to 1024"),
    ("cpu_stress", {"cores": 1.5}, "params.cores is 1.5; allowed: a whole number from 1 to 1024"),
    ("memory_stress", {}, "params.memory is None; allowed: bytes, as a number or with a unit (512MiB)"),
    ("memory_stress", {"memory": "512 M"}, "params.memory is '512 M'; allowed: bytes from 0 to "),
]


@pytest.mark.parametrize(("kind", "params", "message"), BAD)
def test_a_bad_parameter_is_named(event, kind, params, message):
    assert event(kind, **params).lacking().startswith(message)
