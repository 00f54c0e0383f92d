# SPDX-License-Identifier: MIT
"""The client as it runs on a node: one zip file, isolated, without site packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package


def run(tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "cellload.pyz"
    program.write_bytes(package.build("cellload").content)
    argv = [sys.executable, "-I", "-S", "-E", str(program), *args]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env={}, check=False)


def test_the_zip_runs_isolated(cell: Any, wire: Any, tmp_path: Path) -> None:
    with cell.Engine(wire.says(wire.streamed(wire.token("a", "stop"), "[DONE]"))) as engine:
        (tmp_path / "c.json").write_text(
            f'{{"base_url": "http://127.0.0.1:{engine.port}", "model": "m", "num_prompts": 2}}'
        )
        done = run(tmp_path, "--config", str(tmp_path / "c.json"), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 sent, 2 completed" in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"benchmark.json", "requests.jsonl"}


def test_the_zip_names_a_missing_file(tmp_path: Path) -> None:
    done = run(tmp_path, "--config", str(tmp_path / "no.json"), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("no.json: cannot be read: No such file or directory\n")


def test_the_client_needs_nothing_beside_the_standard_library() -> None:
    allowed = set(sys.stdlib_module_names) | {"__future__"}
    for file in sorted((package.MODULE_UTILS / "cellload").rglob("*.py")):
        for line in file.read_text().splitlines():
            if line.startswith("import ") or (line.startswith("from ") and not line.startswith("from .")):
                assert line.split()[1].split(".")[0] in allowed, f"{file.name}: {line}"
