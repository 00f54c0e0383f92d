# SPDX-License-Identifier: MIT
"""Whether a leak is found, and none where there is none, in a soak of 20 minutes: JSON lines.

The scenario 002_pd_disaggregated is soaked on this machine; one of its five services, which all work on requests, leaks memory, and
another one descriptors, at rates that are given. The gates are held to half of each rate. `--seconds N` makes it shorter.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
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


def soak(results: Path, seconds: int) -> dict[str, Any]:
    """Run the soak and return its gates: (name, service) -> the check."""
    faults = (
        f"leak_memory_per_s@{LEAKING}={round(MEMORY_BYTES_AN_HOUR / 3600)},"
        f"leak_fds_per_s@{OPENING}={DESCRIPTORS_AN_HOUR / 3600:.5f}"
    )
    limits = {
        "duration_secs": seconds,
        "topologies": "single",
        "max_rss_slope": f"{MEMORY_BYTES_AN_HOUR >> 21}MiB",
        "soak.gates.max_fd_slope": DESCRIPTORS_AN_HOUR / 2,
        "soak.warmup_secs": seconds // 10,
        "testcell_environment": f"TESTCELL_SIM_FAULTS={faults}",
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


def figures(checks: dict[str, Any]) -> Iterator[dict[str, object]]:
    """Yield how near the measured leaks are to the true ones, and how many gates of growth say what is true."""
    for name, metric, service, true, unit in (
        ("memory", "rss_slope", LEAKING, MEMORY_BYTES_AN_HOUR / (1 << 20), "MiB/h"),
        ("descriptors", "fds_slope", OPENING, float(DESCRIPTORS_AN_HOUR), "1/h"),
    ):
        check = checks[f"{metric} local/{service}"]
        scale = 1 << 20 if metric == "rss_slope" else 1
        value = (check["value"] or 0.0) / scale
        rest = {"said": check["message"], **at_most(abs(value / true - 1), 0.1)}
        yield line(f"G5-{name}-found", value, unit, "the true leak", true, **rest)
    leaks = {("rss_slope", LEAKING), ("fds_slope", OPENING)}
    gates = [(metric, service) for metric in ("rss_slope", "fds_slope") for service in SERVICES]
    wrong = [
        f"{metric} {service}"
        for metric, service in gates
        if checks[f"{metric} local/{service}"]["ok"] is ((metric, service) in leaks)
    ]
    yield line("G5-wrong", len(wrong), "gates", "gates of growth", len(gates), wrong=wrong, **at_most(len(wrong), 0))


def main(words: Sequence[str]) -> int:
    """Print the figures; return 1 when a target does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    seconds = parser.parse_args(words).seconds
    print(json.dumps(rig.background()), flush=True)
    with tempfile.TemporaryDirectory(prefix="testcell-bench-") as folder:
        found = list(figures(soak(Path(folder), seconds)))
    for one in found:
        print(json.dumps(one), flush=True)
    return int(not all(one["holds"] for one in found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
