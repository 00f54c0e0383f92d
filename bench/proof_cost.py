# SPDX-License-Identifier: MIT
"""What the proof of a run costs: sealing and verifying beside sha256sum over the same files, one JSON line each."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import proof, verify
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef

SETS = {"four files of 128 MiB": (4, 128 << 20), "10,000 files of 4 KiB": (10_000, 4096)}
ROUNDS = 3
PEER = ("sha256sum", "--quiet", "-c", "SHA256SUMS")


def make(run: Path, count: int, size: int) -> None:
    """Write a run of one case with count files of size bytes each."""
    folder = run / "s" / "test_artifacts"
    folder.mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps({"run_id": run.name}))
    block = os.urandom(min(size, 1 << 20))
    for number in range(count):
        with (folder / f"f{number}").open("wb") as stream:
            for _ in range(max(size >> 20, 1)):
                stream.write(block)


def fastest(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the shortest of a few rounds of each work in seconds; they take turns, so that noise meets all of them."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = time.monotonic()
            work()
            found[name] = min(found[name], time.monotonic() - began)
    return found


def main() -> None:
    """Print a line for sealing and one for verifying, for each set of files."""
    for what, (count, size) in SETS.items():
        with tempfile.TemporaryDirectory(prefix="testcell-proof-") as folder:
            run = Path(folder) / "20260102_030405"
            make(run, count, size)
            took = fastest(
                {
                    "seal": partial(proof.seal, run, [CaseRef("s", "", 1)], 0.0, known={}, pending={}),
                    "verify": partial(verify.folder, run),
                    "sha256sum": partial(subprocess.run, PEER, cwd=run, check=True, timeout=300),
                }
            )
            for name in ("seal", "verify"):
                found = rig.line(
                    f"{name} {what}", took[name], "s", "sha256sum -c", took["sha256sum"], target=None, holds=None
                )
                rate = {"mb_per_s": round(count * size / took[name] / 1e6), "files_per_s": round(count / took[name])}
                print(json.dumps({**found, **rate}), flush=True)


if __name__ == "__main__":
    main()
