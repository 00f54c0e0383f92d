# SPDX-License-Identifier: MIT
"""Whether a leak is found, and none where there is none, in a soak of 20 minutes: JSON lines.

The scenario 002_pd_disaggregated is soaked on this machine; one of its five services, which all work on requests, leaks memory, and
another one descriptors, at rates that are given. The gates are held to half of each rate. `--seconds N` makes it shorter, and the
rates higher in the same measure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rig
from rig import ROOT, at_most, line

SCENARIO, LEAKING, OPENING = "002_pd_disaggregated", "decode-1", "prefill-2"
SERVICES = ("prefill-1", "prefill-2", "decode-1", "decode-2", "router")
MEMORY_BYTES_AN_HOUR = 48 << 20
DESCRIPTORS_AN_HOUR = 120
SECONDS = 1200
MARGIN_S = 600


@dataclass(frozen=True)
class Leaks:
    """What leaks an hour: bytes of memory, and descriptors."""

    memory: float
    descriptors: float

    @classmethod
    def within(cls, seconds: int) -> Leaks:
        """Return leaks by which a soak of so many seconds gains as much as one of SECONDS."""
        return cls(MEMORY_BYTES_AN_HOUR * SECONDS / seconds, DESCRIPTORS_AN_HOUR * SECONDS / seconds)


def soak(results: Path, seconds: int, leaks: Leaks) -> dict[str, Any]:
    """Run the soak and return its checks by name."""
    faults = (
        f"leak_memory_per_s@{LEAKING}={round(leaks.memory / 3600)},"
        f"leak_fds_per_s@{OPENING}={leaks.descriptors / 3600:.5f}"
    )
    limits = {
        "duration_secs": seconds,
        "topologies": "single",
        "max_rss_slope": f"{round(leaks.memory / (2 << 20))}MiB",
        "soak.gates.max_fd_slope": leaks.descriptors / 2,
        "soak.warmup_secs": seconds // 10,
        "testcell_environment": json.dumps({"TESTCELL_SIM_FAULTS": faults}),
    }
    extra = [word for key, value in limits.items() for word in ("-e", f"{key}={value}")]
    words = ["soak", SCENARIO, "--profile", "soak_endurance", "--out-dir", str(results), "--wait", "600", *extra]
    command = [sys.executable, "-m", "testcell", "-C", str(ROOT), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + MARGIN_S)
    found = list(results.glob(f"2*/{SCENARIO}/*/result_summary.json"))
    if len(found) != 1:
        raise SystemExit(f"the soak left no result (exit {done.returncode}): {done.stdout}{done.stderr}")
    result = json.loads(found[0].read_text())
    if not result["checks"]:
        raise SystemExit(f"the soak was never judged: {result['reasons']}")
    return {check["name"]: check for check in result["checks"]}


def figures(results: Path, seconds: int) -> Iterator[dict[str, object]]:
    """Yield how near the measured leaks are to the true ones, and how many gates of growth say what is true."""
    leaks = Leaks.within(seconds)
    checks = soak(results, seconds, leaks)
    for name, metric, service, true, unit in (
        ("memory", "rss_slope", LEAKING, leaks.memory / (1 << 20), "MiB/h"),
        ("descriptors", "fds_slope", OPENING, leaks.descriptors, "1/h"),
    ):
        check = checks[f"{metric} local/{service}"]
        scale = 1 << 20 if metric == "rss_slope" else 1
        value = (check["value"] or 0.0) / scale
        rest = {"said": check["message"], **at_most(abs(value / true - 1), 0.1)}
        yield line(f"G5-{name}-found", value, unit, "the true leak", true, **rest)
    leaking = {("rss_slope", LEAKING), ("fds_slope", OPENING)}
    gates = [(metric, service) for metric in ("rss_slope", "fds_slope") for service in SERVICES]
    answers = {(metric, service): checks[f"{metric} local/{service}"] for metric, service in gates}
    wrong = [check["message"] for gate, check in answers.items() if check["ok"] is (gate in leaking)]
    yield line("G5-wrong", len(wrong), "gates", "gates of growth", len(gates), said=wrong, **at_most(len(wrong), 0))


def main(words: Sequence[str]) -> int:
    """Print the figures; return 1 when a target does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    seconds = parser.parse_args(words).seconds
    with tempfile.TemporaryDirectory(prefix="testcell-bench-") as folder:
        return rig.show(figures(Path(folder), seconds))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
