# SPDX-License-Identifier: MIT
"""Strangers that look nearly like the run stay through cleaning, emergency cleaning and reaping on a real engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import emergency, procs

pytestmark = pytest.mark.docker

TEXT = """
services:
  a:
    image: IMAGE
    command: sleep 600
    volumes: ["data:/data"]
volumes:
  data: {}
"""


@pytest.fixture
def neighbours(cell):
    """Processes whose environment or arguments are nearly those of the run; {name: process}."""
    cell.root.mkdir(mode=0o700, exist_ok=True)
    key, run = procs.root_key(cell.root), cell.run["id"]
    tokens = {
        "another root": {"TESTCELL_UNIT": f"{key[::-1]}:{run}:test:1"},
        "longer key": {"TESTCELL_UNIT": f"{key}0:{run}:test:1"},
        "no token": {"TESTCELL_UNIT": f"{key}:{run}"},
        "other name": {"TESTCELL_UNITS": f"{key}:{run}:test:1", "MY_TESTCELL_UNIT": f"{key}:{run}:test:1"},
        "inside a value": {"X": f"TESTCELL_UNIT={key}:{run}:test:1"},
        "words": {"TESTCELL_RUN_ID": run},
    }
    words = f"testcell {run} {cell.case_dir} TESTCELL_UNIT={key}:{run}:test:1"
    running = {
        name: subprocess.Popen(["/bin/sh", "-c", "sleep 600; :", words], env=env, start_new_session=True)
        for name, env in tokens.items()
    }
    yield running
    for process in running.values():
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture
def likenesses(cell, decoys):
    """Objects whose labels, projects and names are nearly those of the run; the function that lists what is there."""
    run, project = cell.run["id"], cell.project
    labels = {
        "longer": f"testcell.run={run}0",
        "shorter": f"testcell.run={run[:-1]}",
        "key": f"testcell.runs={run}",
        "upper": f"testcell.run={run.upper()}",
        "project": f"com.docker.compose.project={project}2",
        "scenario": f"testcell.scenario={cell.run['scenario']}",
    }
    beside = cell.root.parent / "root-other" / "runs" / run
    beside.mkdir(parents=True)
    (beside / "file").write_text("x")
    for name, label in labels.items():
        mounts = ["-v", f"{beside}:/data"] if name == "longer" else []
        decoys.container(f"{project}-{name}-1", "--label", label, *mounts)
        decoys.network(f"{project}_{name}", "--label", label)
        decoys.volume(f"{project}_{name}", "--label", label)

    def there():
        return {**decoys.there(), "files": sorted(str(path) for path in (cell.root.parent / "root-other").rglob("*"))}

    return there


def test_nothing_of_strangers_goes_by_cleaning_emergency_or_reaping(
    cell, any_compose, decoys, likenesses, neighbours, nothing
):
    cell.up(TEXT, any_compose)
    guest = decoys.container(f"guest-{decoys.mark[:8]}", "--network", f"{cell.project}_default")
    before = likenesses()
    assert {kind: len(found) for kind, found in before.items()} == {
        "containers": 7,
        "networks": 6,
        "volumes": 6,
        "files": 3,
    }
    report = cell.call("clean")
    assert report["emergency"] is True, "the guest holds the network of the run, so that a second pass was made"
    assert [error["error_kind"] for error in report["errors"]] == ["docker_leftover"]
    assert likenesses() == before and guest[:12] in before["containers"]
    epoch = cell.call("lease", action="acquire", ttl_s=60, run={**cell.run, "id": f"{cell.run['id']}z"})["epoch"]
    reaper = {**cell.run, "id": f"{cell.run['id']}z", "epoch": epoch}
    reaped = cell.call("reap", run=reaper)["reaped"]
    assert list(reaped) == [cell.run["id"]]
    assert reaped[cell.run["id"]]["emergency"] is True
    assert likenesses() == before
    assert [name for name, process in neighbours.items() if process.poll() is not None] == []
    cell.call("lease", action="release", run=reaper)
    decoys.remove()
    assert cell.call("clean")["errors"] == []
    assert cell.left() == nothing


def test_f32_what_the_script_makes_with_docker_goes_and_what_it_hides_goes_when_it_holds_the_folder_or_is_named(
    cell, image, decoys, docker_cli
):
    cell.call("lease", action="acquire", ttl_s=60)
    before = cell.call("snapshot")
    cell.case_dir.mkdir(parents=True)
    plain, holding, loose = (f"{name}-{decoys.mark[:8]}" for name in ("plain", "holding", "loose"))
    hidden = f"env -i {shutil.which('docker')} run -d --label {decoys.label}"
    script = f"""set -e
docker network create --label {decoys.label} {plain}
docker volume create --label {decoys.label} {plain}
docker --log-level error container run -d --label {decoys.label} --name {plain} --network {plain} {image} sleep 600
{hidden} --name {holding} -v {cell.case_dir}:/data {image} sleep 600
{hidden} --name {loose} {image} sleep 600
touch started
exec sleep 600
"""
    argv = ["/bin/sh", "-c", script]
    cell.call("supervise", action="start", name="test", argv=argv, cwd_rel="work", dirs_rel=["work"], timeout_s=300)
    deadline = time.monotonic() + 60
    while not (cell.case_dir / "work/started").exists():
        assert time.monotonic() < deadline, "the script's containers run"
        time.sleep(0.05)
    report = cell.call("clean")
    assert report["errors"] == []
    assert [report["removed"][kind] for kind in ("containers", "networks", "volumes")] == [2, 1, 1]
    assert docker_cli("ps", "-a", "--filter", f"label={decoys.label}", "--format", "{{.Names}}") == loose
    verdict = cell.call("verify", before=before)
    assert (verdict["clean"], verdict["leftovers"]) == (True, [])
    assert loose in {entry["name"] for entry in verdict["foreign"] if entry["type"] == "container"}


def test_the_processes_of_one_container_are_killed_without_the_engine(cell, any_compose, decoys, docker_cli):
    cell.up(TEXT, any_compose)
    stranger = decoys.container(f"stranger-{decoys.mark[:8]}")
    ours = docker_cli("ps", "-q", "--no-trunc", "--filter", f"label=testcell.run={cell.run['id']}")
    emergency.kill_inside(ours)
    assert docker_cli("wait", ours) == "137"
    assert stranger[:12] in decoys.there()["containers"]
    assert docker_cli("inspect", "-f", "{{.State.Running}}", stranger) == "true"


def test_the_namespaces_of_running_containers_are_nobodys_leavings(cell, decoys):
    before = cell.call("snapshot")
    decoys.container(f"stranger-{decoys.mark[:8]}")
    assert len(cell.call("snapshot")["namespaces"]) > len(before["namespaces"])
    verdict = cell.call("verify", before=before)
    assert (verdict["clean"], {entry["type"] for entry in verdict["foreign"]} & {"netns", "interface"}) == (True, set())
