# SPDX-License-Identifier: MIT
"""The lab of three nodes, and projects made for one test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cellruns import LAB_INVENTORY, NODES, ROOT, run_command


@pytest.fixture(scope="session")
def lab():
    """The lab of three nodes; one that was there before the tests stays."""
    was_there = LAB_INVENTORY.exists()
    up = run_command("lab", "up", "--nodes", len(NODES))
    assert up.returncode == 0, up.stdout + up.stderr
    yield LAB_INVENTORY
    if not was_there:
        down = run_command("lab", "down")
        assert down.returncode == 0, down.stdout + down.stderr


@pytest.fixture(autouse=True)
def forgetful_nodes():
    """Let no node of the lab, nor this machine, remember what a test did to it: three such tests would lock it."""
    here = Path(f"/var/tmp/testcell-{os.getuid()}/quarantine.json")
    before = here.read_bytes() if here.exists() else None
    yield
    here.unlink(missing_ok=True)
    if before is not None:
        here.write_bytes(before)
    for node in NODES if LAB_INVENTORY.exists() else ():
        words = ["docker", "exec", f"testcell-lab-{node}", "rm", "-f", "/var/tmp/testcell-0/quarantine.json"]
        subprocess.run(words, check=False, capture_output=True)


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def project(tmp_path):
    """A project of one scenario, made from 002 with one simulated engine; project(faults=..., script=...) returns its folder."""

    def make(name="probe", faults="", script="", **test):
        folder = tmp_path / "project"
        scenario = folder / "scenarios" / name
        scenario.mkdir(parents=True)
        shutil.copy(ROOT / "site.yml", folder)
        template = Path(__file__).parent / "probe"
        for source in template.iterdir():
            shutil.copy(source, scenario / source.name)
        meta = (scenario / "metadata.yml").read_text().replace("name: probe", f"name: {name}")
        for key, value in test.items():
            meta = meta.replace(f"  {key}: ", f"  {key}: {value}  # was ", 1)
        (scenario / "metadata.yml").write_text(meta)
        compose = (scenario / "docker-compose.yml").read_text()
        (scenario / "docker-compose.yml").write_text(compose.replace("FAULTS_HERE", faults))
        if script:
            (scenario / "run_test.sh").write_text("#!/bin/sh\nset -eu\n" + script)
        return folder

    return make
