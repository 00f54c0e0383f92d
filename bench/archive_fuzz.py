# SPDX-License-Identifier: MIT
"""Archives of a run, damaged by chance and unpacked: one JSON line with how many wrote nothing but a whole run.

archive_fuzz.py [COUNT] [SEED]
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import archive, proof
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef

COUNT = 10_000
FILES = {
    "summary.json": b'{"run_id": "20260102_030405"}\n',
    "s/test_artifacts/results/requests.jsonl": b'{"n": 1}\n' * 300,
    "s/nodes/n1/services/engine.log": b"ready\n" * 50,
    "s/nodes/n1/evidence/empty": b"",
}
RUN_ID = "20260102_030405"


def make(root: Path) -> bytes:
    """Return an archive of a run that is made below root."""
    run = root / "made" / RUN_ID
    for name, content in FILES.items():
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    proof.seal(run, [CaseRef("s", "", 1)], 0.0, known={}, pending={})
    if archive.pack(run, root / "good.tar.gz").findings:
        raise RuntimeError("the archive that is to be damaged is not whole")
    return (root / "good.tar.gz").read_bytes()


def damaged(good: bytes, chance: random.Random) -> bytes:
    """Return an archive with one fault, in its packed bytes or, twice as often, in the tar below."""
    if not chance.randrange(3):
        return _faulty(bytearray(good), chance)
    return gzip.compress(_faulty(bytearray(gzip.decompress(good)), chance), 1)


def _faulty(content: bytearray, chance: random.Random) -> bytes:
    """Flip a bit, cut, swap two blocks, or write over eight bytes."""
    how, at = chance.randrange(4), chance.randrange(len(content))
    other = chance.randrange(len(content))
    if how == 0:
        content[at] ^= 1 << chance.randrange(8)
    elif how == 1:
        del content[at:]
    elif how == 2:
        content[at : at + 64], content[other : other + 64] = content[other : other + 64], content[at : at + 64]
    else:
        content[at : at + 8] = chance.randbytes(8)
    return bytes(content)


def tree(folder: Path) -> dict[str, bytes]:
    """Return path -> content of all files below a folder, and each other thing as it is."""
    found = {}
    for base, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(base) / name
            found[str(path.relative_to(folder))] = (
                path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            )
    return found


def sweep(count: int, seed: int, root: Path) -> tuple[int, list[str]]:
    """Unpack count damaged archives below root; return how many came back as a whole run, and what was wrong."""
    good, chance = make(root), random.Random(seed)
    whole = tree(root / "made" / RUN_ID)
    back = root / "back"
    back.mkdir()
    outside = tree(root)
    unpacked, wrong = 0, []
    for number in range(count):
        bad = root / "bad.tar.gz"
        bad.write_bytes(damaged(good, chance))
        try:
            target, _ = archive.unpack(bad, back)
        except (archive.UnpackError, OSError):
            pass
        else:
            unpacked += 1
            if tree(target) != whole:
                wrong.append(f"archive {number} came back as another run")
            shutil.rmtree(target)
        bad.unlink()
        if tree(root) != outside:
            wrong.append(f"archive {number} left something behind")
            break
    return unpacked, wrong


def main() -> int:
    """Print one line; return 1 unless every archive held."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    with tempfile.TemporaryDirectory(prefix="testcell-fuzz-") as folder:
        unpacked, wrong = sweep(count, seed, Path(folder))
    found = rig.line(
        "D4",
        count - len(wrong),
        "damaged archives that wrote nothing but a whole run",
        "all archives",
        count,
        target=count,
        holds=not wrong,
    )
    print(json.dumps({**found, "whole_all_the_same": unpacked, "seed": seed, "wrong": wrong[:20]}), flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
