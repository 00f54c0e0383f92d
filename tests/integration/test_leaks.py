# SPDX-License-Identifier: MIT
"""G5: a real soak of an engine that leaks, in the short form of `make long-soak`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "testcell/engine-sim:1"


def test_leaks_are_found_where_they_are_and_nowhere_else():
    """In two minutes: what leaks gains as much as in the long form, and how near the rate is told is left to that."""
    found = subprocess.run(["docker", "images", "-q", IMAGE], capture_output=True, text=True, check=False)
    if not found.stdout.strip():
        pytest.skip(f"the image {IMAGE} is absent (make images)")
    words = [sys.executable, "bench/soak_leak.py", "--seconds", "120"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    figures = {one["figure"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert figures["G5-wrong"]["holds"], done.stdout + done.stderr
