# SPDX-License-Identifier: MIT
"""What a gigabyte costs in memory at both ends, measured as the most that their processes ever held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import frames
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package

COLLECTIONS = Path(__file__).parents[5] / "collections"
GIB = 1 << 30
MIB = 1 << 20
# Takes the stream on standard input and prints the most that it held, in KiB: what getrusage says of a child holds its
# parent's memory as well.
RECEIVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.receiver import Receiver
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.staging import Large, Staging

Large.write = lambda self, piece: setattr(self, "offset", self.offset + len(piece))  # a test needs no gigabyte of disk
staging = Staging(Path(sys.argv[2]))
receiver = Receiver(staging, "size", lambda size: None, [])
while count := os.readv(0, [receiver.space()]):
    receiver.filled(count)
assert receiver.result().stats.raw == 1 << 30
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
NODE = """
import sys
sys.path.insert(0, sys.argv[1])
from cellnode.main import main
main(["send"])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


def frame(kind, payload, flags=0):
    return frames.HEADER.pack(kind, flags, len(payload)) + payload


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_d5_the_controller_holds_less_than_100_mib_whatever_the_size(tmp_path, compressed):
    words = [sys.executable, "-c", RECEIVER, str(COLLECTIONS), str(tmp_path / "s")]
    block = zlib.compress(bytes(MIB), 1) if compressed else bytes(MIB)
    data = frame(frames.DATA, block, frames.ZLIB if compressed else 0)
    row = ["zeros", GIB, 0o644, 1, 1, ""]
    sums = {"files": 1, "bytes": GIB, "manifest": "", "more": False, "sent": 0, "raw": GIB, "seconds": 0, "check": ""}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        begin = frames.packed({"files": 1, "bytes": GIB, "algorithm": "none", "same": 0})
        process.stdin.write(
            frames.MAGIC + frame(frames.PLAN, begin) + frame(frames.BEGIN, frames.packed([*row[:5], 0]))
        )
        for _ in range(GIB // MIB):
            process.stdin.write(data)
        process.stdin.write(
            frame(frames.FILE_END, frames.packed({"digest": ""})) + frame(frames.END, frames.packed(sums))
        )
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert int(said) < 100 << 10


def test_d5_the_node_holds_less_than_64_mib_whatever_the_size(tmp_path):
    program = tmp_path / "cellnode.pyz"
    program.write_bytes(package.build("cellnode").content)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "sparse").touch()
    os.truncate(tmp_path / "base" / "sparse", GIB // 4)
    for number in range(500):
        (tmp_path / "base" / f"{number}").write_bytes(bytes(10_000))
    args = {"base": str(tmp_path / "base"), "patterns": [""], "algorithms": {"sha256": 1.0}, "compress": "always"}
    request = {"op": "send", "root": str(tmp_path / "root"), "run": None, "args": args}
    words = [sys.executable, "-I", "-S", "-c", NODE, str(program)]
    line = json.dumps(request).encode() + b"\n"
    done = subprocess.run(words, input=line, capture_output=True, check=True, timeout=120)
    assert done.stdout[:5] == frames.MAGIC and b'"files":501' in done.stdout[-400:]
    assert int(done.stderr) < 64 << 10
