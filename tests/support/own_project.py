# SPDX-License-Identifier: MIT
"""A starter project that disturbs nobody: its node keeps its files in a folder of its own, its engine has a free port."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from testcell import engine, starting

IMAGE = "testcell/engine-sim:1"


def made(folder: Path) -> Path:
    """Return a new project below folder; skip the test where its engine cannot run."""
    if not engine.ask().answers:
        pytest.skip("no Docker engine answers here")
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False, timeout=30).returncode:
        pytest.skip(f"{IMAGE} is not there; make it with `make images`")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    project = folder / "p"
    starting.start(project)
    for path in (project / "scenarios" / "001_example").iterdir():
        path.write_text(path.read_text().replace("18100", port))
    hosts = project / "inventories" / "local"
    hosts.write_text(hosts.read_text().rstrip() + f" testcell_node_root={folder / 'node'}\n")
    return project
