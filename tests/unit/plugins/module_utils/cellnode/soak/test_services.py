# SPDX-License-Identifier: MIT
"""The services of a sample: each container as it stands, its figures, and what is told where it has none."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import services
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.boxes import GONE, Box
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.services import Services

ID = "ab" * 32


class Known:
    """What is known of the containers; doubted: those that should be looked at again."""

    def __init__(self, **known):
        self.known, self.restarts, self.doubted = known, dict.fromkeys(known, 0), []

    def doubt(self, box):
        self.doubted.append(box.id)


@pytest.fixture
def node(tmp_path):
    """A node with one container of one process."""
    place = tmp_path / "cgroup" / ID
    place.mkdir(parents=True)
    files = {"memory.current": "9\n", "memory.stat": "anon 5\n", "cgroup.procs": "11\n", "pids.current": "3\n"}
    for name, text in {**files, "cpu.stat": "usage_usec 1000000\n", "memory.swap.current": "0\n"}.items():
        (place / name).write_text(text)
    (tmp_path / "11" / "fd").mkdir(parents=True)
    (tmp_path / "11" / "fd" / "0").symlink_to("socket:[1]")
    (tmp_path / "11" / "statm").write_text("10 4 1 1 0 1 0\n")
    (tmp_path / "11" / "cgroup").write_text(f"0::/{ID}\n")

    class Node:
        folder, proc = place, tmp_path

        def services(self, known):
            return Services(sorted(known.known), known, {"": str(tmp_path / "cgroup")}, str(tmp_path))

    return Node()


def test_a_running_container_is_told_with_all_that_its_processes_use(node):
    known, faults = Known(a=Box(ID, "running", 11, 1000.12345)), {}
    known.restarts["a"] = 2
    found = node.services(known).sample(faults)["a"]
    fds = found.pop("fds")
    stands = {"state": "running", "started": 1000.123, "restarts": 2, "processes": 1, "swap_bytes": 0}
    counts = {
        "rss_bytes": 4 * services.processes.PAGE_BYTES,
        "anon_bytes": 5,
        "memory_bytes": 9,
        "threads": 3,
        "cpu_s": 1.0,
    }
    assert (found, faults, known.doubted) == ({**stands, **counts}, {}, [])
    assert fds >= 1


def test_sockets_are_counted_now_and_then_each_service_in_its_turn(node):
    known = Known(**{name: Box(ID, "running", 11) for name in ("a", "b")})
    told = node.services(known)
    samples = [told.sample({}) for _ in range(22)]
    turns = {name: [n for n, one in enumerate(samples) if "sockets" in one[name]] for name in ("a", "b")}
    assert turns == {"a": [10, 21], "b": [9, 20]}
    assert samples[10]["a"]["sockets"] == 1


@pytest.mark.parametrize("state", ["exited", "created", "dead", "restarting"])
def test_a_container_that_does_not_run_has_no_figures(node, state):
    assert node.services(Known(a=Box(ID, state))).sample({}) == {"a": {"state": state, "restarts": 0}}


def test_a_service_without_a_container_is_told(node):
    faults = {}
    found = node.services(Known(a=Box("", GONE, started=5.0))).sample(faults)
    assert found == {"a": {"state": "gone", "started": 5.0, "restarts": 0}}
    assert faults == {"service:a": "it has no container"}


@pytest.mark.parametrize("how", ["no processes", "no group", "no first process"])
def test_f29_a_container_whose_processes_are_gone_has_ended_whatever_the_engine_last_said(node, how):
    """F29"""
    if how == "no processes":
        (node.folder / "cgroup.procs").write_text("")
    elif how == "no group":
        (node.proc / "11" / "cgroup").write_text("0::/gone\n")
    else:
        (node.proc / "11" / "cgroup").unlink()
    known = Known(a=Box(ID, "running", 11))
    assert node.services(known).sample({}) == {"a": {"state": "exited", "restarts": 0}}
    assert known.doubted == [ID]


def test_a_container_that_is_started_again_is_looked_up_again(node):
    known = Known(a=Box(ID, "running", 11))
    told = node.services(known)
    told.sample({})
    (node.proc / "12" / "fd").mkdir(parents=True)
    (node.proc / "12" / "statm").write_text("10 7 1 1 0 1 0\n")
    (node.proc / "12" / "cgroup").write_text(f"0::/{ID}\n")
    (node.folder / "cgroup.procs").write_text("12\n")
    known.known = {"a": Box(ID, "running", 12)}
    assert told.sample({})["a"]["rss_bytes"] == 7 * services.processes.PAGE_BYTES


def test_one_odd_container_hides_no_other(node):
    (node.proc / "11" / "statm").write_text("what is this\n")
    known, faults = Known(a=Box(ID, "running", 11), b=Box("x", "exited")), {}
    assert node.services(known).sample(faults) == {"b": {"state": "exited", "restarts": 0}}
    assert "ValueError" in faults["service:a"]


def test_a_container_that_the_engine_has_not_told_of_is_left_out(node):
    known, faults = Known(a=Box(ID, "running", 11)), {}
    told = node.services(known)
    known.known = {}
    assert (told.sample(faults), faults) == ({}, {})


def test_too_many_descriptors_are_told(node, monkeypatch):
    monkeypatch.setattr(services.processes, "MOST_LINKS", 0)
    monkeypatch.setattr(services, "SOCKETS_EVERY", 1)
    faults = {}
    assert "sockets" not in node.services(Known(a=Box(ID, "running", 11))).sample(faults)["a"]
    assert faults == {"sockets:a": "over 0 descriptors are open"}
