# SPDX-License-Identifier: MIT
"""F63, F64: faults of all kinds, and whoever ought to undo them killed at random moments; nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "testcell/engine-sim:1"
NEVER = ("G1-residual", "G1-dishonest", "G1-F63")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make most of the faults")
def test_no_fault_stays_whoever_is_killed():
    """F63, F64: the short form of `make fault-sweep`, whose seed is in its output"""
    found = subprocess.run(["docker", "images", "-q", IMAGE], capture_output=True, text=True, check=False)
    if not found.stdout.strip():
        pytest.skip(f"the image {IMAGE} is absent (make images)")
    words = [sys.executable, "bench/soak_faults.py", "--short"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    figures = {one["figure"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert {name: figures[name]["value"] for name in NEVER} == dict.fromkeys(NEVER, 0), done.stderr
    assert figures["G1-undone"]["holds"] and figures["G1-felt"]["holds"], done.stdout
    assert len(figures["G1-injected"]["kinds"]) >= 8, figures["G1-injected"]
    assert done.returncode == 0, done.stdout
