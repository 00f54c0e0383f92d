# SPDX-License-Identifier: MIT
"""A copy of the set-up scripts in a small project, with fakes of docker, apt-get and others first on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@dataclass
class Workshop:
    """The small project and its fakes."""

    project: Path
    bin: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> list[str]:
        """Return what the fakes were called with, one line a call."""
        log = self.bin / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def fake(self, name: str, script: str = "") -> None:
        """Put a program on PATH that logs its call and then does the script."""
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.bin}/calls"\nstate={self.bin}\n{script}\n')
        path.chmod(0o755)

    def leave_only_usual_tools(self) -> None:
        """Give the scripts the fakes and the usual tools, without whatever else this machine has."""
        folder = self.bin / "system"
        folder.mkdir()
        for name in ("bash", "dirname", "timeout", "flock", "id", "mktemp", "tail", "rm", "cat", "grep", "awk", "date"):
            (folder / name).symlink_to(f"/usr/bin/{name}")
        self.environment["PATH"] = f"{self.bin}:{folder}"

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a set-up script, or `bash -c` with the library read in when script is `lib`."""
        command = ["bash", "-euc", f'. "{self.project}/setup/lib.sh"; {arguments[0]}'] if script == "lib" else None
        return subprocess.run(
            command or [str(self.project / "setup" / script), *arguments],
            env={**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin", "TMPDIR": str(self.bin), **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    for name in ("DOCKER_HOST", "TESTCELL_BASE"):
        monkeypatch.delenv(name, raising=False)
    project, programs = tmp_path / "project", tmp_path / "bin"
    programs.mkdir()
    shutil.copytree(ROOT / "setup", project / "setup")
    return Workshop(project, programs)


@pytest.fixture
def write(workshop: Workshop) -> Callable[[str, str], None]:
    """Write a file of the small project."""

    def put(path: str, text: str) -> None:
        target = workshop.project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    return put
