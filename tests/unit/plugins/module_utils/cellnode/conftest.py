# SPDX-License-Identifier: MIT
"""The node program as it is really run: a zip file, one process a request, on a node root of its own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import cgroup, procs

PACKAGE = Path(procs.__file__).parent
MAIN = "from cellnode.main import main\nraise SystemExit(main())\n"
RUN = {"id": "20260102_030405", "scenario": "001_baseline", "case": "", "attempt": 1}


def _answer(out: bytes) -> dict[str, Any]:
    """Return the last answer line."""
    lines = [line for line in out.decode().splitlines() if line.startswith("@cell ")]
    return json.loads(lines[-1].removeprefix("@cell "))


@dataclass
class Cell:
    """One node root and the program that works on it."""

    program: Path
    root: Path
    run: dict[str, Any] = field(default_factory=lambda: dict(RUN))
    owner: str = "tester"
    check: bool = False

    @property
    def case_dir(self) -> Path:
        """Return the case's folder."""
        return self.root / "runs" / self.run["id"] / self.run["scenario"] / f"a{self.run['attempt']}"

    def unit_dir(self, name: str = "test") -> Path:
        """Return a unit's folder."""
        return self.case_dir / "unit" / name

    def begin(self, op: str, **args: Any) -> subprocess.Popen[bytes]:
        """Start a request without waiting for its answer."""
        request = {
            "op": op,
            "root": str(self.root),
            "run": self.run,
            "owner": self.owner,
            "check": self.check,
            "args": args,
        }
        command = [sys.executable, "-I", "-S", "-E", str(self.program)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin
        process.stdin.write(json.dumps(request).encode())
        process.stdin.close()
        process.stdin = None
        return process

    def answer(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Return the answer of a started request: {result} or {error}."""
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        return _answer(out)

    def call(self, op: str, **args: Any) -> dict[str, Any]:
        """Return the result of a request."""
        answer = self.answer(self.begin(op, **args))
        assert "result" in answer, answer
        return answer["result"]

    def fail(self, op: str, **args: Any) -> dict[str, Any]:
        """Return the error of a request."""
        answer = self.answer(self.begin(op, **args))
        assert "error" in answer, answer
        return answer["error"]

    def start(self, *argv: str, name: str = "test", **args: Any) -> dict[str, Any]:
        """Start a unit whose working folder is `work`."""
        args = {"cwd_rel": "work", "dirs_rel": ["work"], "timeout_s": 60, "grace_s": 5, **args}
        return self.call("supervise", action="start", name=name, argv=list(argv), **args)

    def poll(self, name: str = "test", **args: Any) -> dict[str, Any]:
        """Return one poll of a unit."""
        return self.call("supervise", action="poll", name=name, **args)

    def follow(self, name: str = "test", limit_s: float = 60.0, wait_s: float = 5.0) -> tuple[dict[str, Any], bytes]:
        """Return the last poll of a unit and all its output."""
        log, offset, deadline = [], 0, time.monotonic() + limit_s
        while time.monotonic() < deadline:
            answer = self.poll(name, offset=offset, wait_s=wait_s, max_bytes=4 << 20)
            log.append(base64.b64decode(answer["log_b64"]))
            offset = answer["offset"]
            if answer["state"] != "running" and offset == answer["log_bytes"]:
                return answer, b"".join(log)
        raise AssertionError(f"unit {name} has not ended: {answer}")

    def run_unit(self, *argv: str, **args: Any) -> tuple[dict[str, Any], bytes]:
        """Start a unit and follow it to its end."""
        self.start(*argv, **args)
        return self.follow()

    def status(self, name: str = "test") -> dict[str, Any]:
        """Return a unit's status file."""
        return json.loads((self.unit_dir(name) / "status.json").read_text())


def wait_until(check: Callable[[], Any], what: str, limit_s: float = 20.0) -> Any:
    """Return the first true answer of check; fail when there is none in time."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not in {limit_s} s: {what}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def cellnode_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as one zip file."""
    path = tmp_path_factory.mktemp("program") / "cellnode.pyz"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("__main__.py", MAIN)
        for source in sorted(PACKAGE.rglob("*.py")):
            bundle.write(source, f"cellnode/{source.relative_to(PACKAGE)}")
    return path


@pytest.fixture
def cell(cellnode_zip: Path, tmp_path: Path) -> Iterator[Cell]:
    """A node of its own; whatever a test leaves running on it is ended."""
    node = Cell(cellnode_zip, tmp_path / "node")
    node.root.mkdir(mode=0o700)
    yield node
    procs.end_ours(node.root)
    for group in cgroup.groups_left(node.root):
        cgroup.remove(group)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """wait_until for tests."""
    return wait_until


@pytest.fixture
def folder_fd(tmp_path: Path) -> Iterator[int]:
    """An open empty folder."""
    path = tmp_path / "folder"
    path.mkdir()
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with the artifacts of a test below `results`."""
    path = tmp_path / "base"
    (path / "results").mkdir(parents=True)
    return path
