# SPDX-License-Identifier: MIT
"""GPU memory through the whole program, with an nvidia-smi that says what a test wants."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.docker

FREE = "0, NVIDIA H100 80GB HBM3, GPU-a, 81559, 4, 0\n"
BUSY = "0, NVIDIA H100 80GB HBM3, GPU-a, 81559, 60000, 100\n"
TOOL = """#!/bin/sh
cd {folder}
case $1 in
*query-gpu*) echo >> asked; if [ "$(wc -l < asked)" -gt "$(cat busy_for)" ]; then cat free; else cat busy; fi;;
*) cat users;;
esac
"""


@pytest.fixture
def gpu(cell, tmp_path):
    """Put the tool on the node's PATH; gpu(n, users) makes the card busy for the next n questions."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "nvidia-smi").write_text(TOOL.format(folder=folder))
    (folder / "nvidia-smi").chmod(0o755)
    (folder / "free").write_text(FREE)
    (folder / "busy").write_text(BUSY)
    cell.env["PATH"] = f"{folder}:{os.environ['PATH']}"

    def busy(questions, users=""):
        (folder / "asked").write_text("")
        (folder / "busy_for").write_text(str(questions))
        (folder / "users").write_text(users)

    return busy


def test_memory_of_the_run_is_named_until_it_is_given_back(cell, gpu):
    gpu(0)
    cell.call("lease", action="acquire", ttl_s=60)
    before = cell.call("snapshot")
    cell.case_dir.mkdir(parents=True)
    cell.call("supervise", action="start", name="test", argv=["/bin/sleep", "600"], timeout_s=300)
    pid = next(one["pid"] for one in cell.call("snapshot")["processes"] if one["cmdline"] == "/bin/sleep 600")
    gpu(999, f"{pid}, /bin/sleep, GPU-a, 59996\n")
    found = cell.call("verify", before=before, settle_s=0)["leftovers"]
    (holder,) = [entry for entry in found if entry["type"] == "gpu_memory"]
    assert (holder["name"], holder["owner"]) == (f"pid {pid}", cell.run["id"])
    assert holder["detail"] == "/bin/sleep holds 59996 MiB on GPU-a"
    assert cell.call("clean")["errors"] == []
    gpu(999)
    (lost,) = cell.call("verify", before=before, settle_s=0)["leftovers"]
    assert (lost["type"], lost["id"]) == ("gpu_memory", "GPU-a")
    gpu(3)
    verdict = cell.call("verify", before=before)
    assert (verdict["clean"], verdict["leftovers"]) == (True, [])
