# SPDX-License-Identifier: MIT
"""How fast the command line answers, beside `ansible-playbook --version`: JSON lines, medians of interleaved rounds."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
ROUNDS = 9
TARGET_S = 0.4
PEER = ("ansible-playbook", "--version")
OURS = {
    "A-scenarios": ("testcell", "scenarios"),
    "A-help": ("testcell", "--help"),
    "A-validate": ("testcell", "validate"),
}


def seconds(command: tuple[str, ...]) -> float:
    """Return the wall time of one call; CalledProcessError when it fails."""
    began = time.perf_counter()
    subprocess.run([str(BIN / command[0]), *command[1:]], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    commands = {"peer": PEER, **OURS}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            times[name].append(seconds(command))
    median = {name: statistics.median(values) for name, values in times.items()}
    for figure in OURS:
        value, peer = median[figure], median["peer"]
        line = {
            "figure": figure,
            "value": round(value, 3),
            "unit": "s",
            "peer": " ".join(PEER),
            "peer_value": round(peer, 3),
        }
        print(json.dumps({**line, "ratio": round(value / peer, 2), "target": TARGET_S, "holds": value <= TARGET_S}))
    return 0 if all(median[figure] <= TARGET_S for figure in OURS) else 1


if __name__ == "__main__":
    raise SystemExit(main())
