# SPDX-License-Identifier: MIT
"""A node whose Docker engine has its images and containers on a disk that is full."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest
from cellruns import leavings, on_node, run_site
from deployments import IMAGE, NAME, UP, make_project, service
from node_engine import KEEPER, wait_for_engine

pytestmark = [pytest.mark.docker, pytest.mark.lab]

ROOT_DIR = "/var/lib/docker"
# A shell and what it needs, under the name of the image that is too large for the small disk.
SHELL = "$(ldd /bin/sh /bin/sleep /usr/bin/head | grep -o '/[^ :]*' | sort -u)"
MIB = 1 << 20


@contextmanager
def small_engine_disk(node):
    """Give the node's Docker engine a disk of 64 MiB with one small image on it; in the end it has its own again."""
    with engine_away(node):
        on_node(node, f"mount -t tmpfs -o size=64m tmpfs {ROOT_DIR}")
    try:
        on_node(node, f"tar -ch --hard-dereference -f - {SHELL} 2>/dev/null | docker import - {IMAGE}")
        yield
    finally:
        with engine_away(node):
            on_node(node, f"umount -l {ROOT_DIR}")


@contextmanager
def engine_away(node):
    """End the node's Docker engine, and let it be started again at the end."""
    on_node(node, f"kill -STOP {KEEPER}")
    try:
        on_node(node, "pkill -x dockerd; while [ -e /var/run/docker.pid ]; do sleep 0.1; done")
        yield
    finally:
        on_node(node, f"kill -CONT {KEEPER}")
        wait_for_engine(node)


HOG = f"echo filling; head -c {128 * MIB} /dev/zero >/hog || exit 3; {UP}"
# Repeats are asked for, of services and of cases.
STUBBORN = {"retry_strategy": {"service_level_retries": 10, "retry_delay": 0}}
REPEATS = {"testcell_inter_scenario_retry_count": 1}


@pytest.fixture
def project(tmp_path):
    """A project of two scenarios: one fills the disk of node2's engine, one is on node1."""
    services = {"hog": service(HOG, node="node2")}
    folder = make_project(tmp_path / "project", services, deployment=STUBBORN, test={"node": "node2"})
    other = folder / "scenarios" / "other"
    shutil.copytree(folder / "scenarios" / NAME, other)
    for file in ("metadata.yml", "docker-compose.yml"):
        text = (other / file).read_text().replace(f"name: {NAME}", "name: other")
        (other / file).write_text(text.replace("node2", "node1").replace(HOG, UP))
    return folder


@pytest.mark.tries(3)
def test_f25_a_node_whose_engine_has_a_full_disk_is_named_not_tried_again_and_held(lab, results, project):
    words = {"testcell_project_dir": project, "testcell_min_free_bytes": 8 * MIB, **REPEATS}
    with small_engine_disk("node2"):
        first = run_site(lab, results, scenario=f"{NAME},other", **words)
        on_node("node2", f"head -c {128 * MIB} /dev/zero >{ROOT_DIR}/filler || true")
        later = [run_site(lab, results.parent / f"later{n}", scenario=NAME, **words) for n in (2, 3, 4)]
    assert_the_disk("deploy", "container testcell-", first)
    assert "3 runs" not in first.screen
    assert next(case["verdict"] for case in first.summary["cases"] if case["scenario"] == "other") == "pass"
    for run in later[:2]:
        assert_the_disk("prep", f"{ROOT_DIR} has 0.00 GiB free", run)
    assert "3 runs failed within a day by a fault of this node" in later[1].screen
    assert_the_disk("lease", "quarantined", later[2])
    assert {node: leavings(node) for node in ("node1", "node2")} == {"node1": [], "node2": []}


def assert_the_disk(step, told, run):
    """The disk of the node is to blame after one try of the case and of its service."""
    (failure,) = [case["failure"] for case in run.summary["cases"] if case["scenario"] == NAME]
    assert (failure["error_kind"], failure["node"], failure["step"]) == ("disk_full", "node2", step), run.screen
    assert told in failure["message"]
    assert run.screen.count("hog failed") <= 1
