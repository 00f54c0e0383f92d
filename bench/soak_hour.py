# SPDX-License-Identifier: MIT
"""One long soak of three nodes with a fault each minute: JSON lines.

The scenario 002_pd_disaggregated in the profile soak_endurance on the lab's nodes, with the plan chaos_minutely.yml. The run stays
in `results/`. `--seconds N` makes it shorter; what its profile asks for and it is too short to tell is then no pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import rig
from rig import INVENTORY, ROOT, line

SCENARIO, PLAN = "002_pd_disaggregated", "chaos_minutely.yml"
LEAST_S = 3600
SECONDS = 3660
MARGIN_S = 900
FELT = "injected"


def soak(seconds: int, results: Path) -> dict[str, Any]:
    """Run the soak and return its summary."""
    before = set(_summaries(results))
    words = ["soak", SCENARIO, "-i", str(INVENTORY), "--profile", "soak_endurance", "--duration-secs", str(seconds)]
    more = ["--topologies", "distributed_chaos", "--chaos-plan", PLAN, "--wait", "600", "--out-dir", str(results)]
    command = [sys.executable, "-m", "testcell", "-C", str(ROOT), *words, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + MARGIN_S)
    new = set(_summaries(results)) - before
    if len(new) != 1:
        raise SystemExit(
            f"the soak left no summary (exit {done.returncode}): {done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    (found,) = new
    return {**json.loads(found.read_text()), "run": str(found.relative_to(results)).split("/")[0]}


def _summaries(results: Path) -> list[Path]:
    return list(results.glob(f"2*/{SCENARIO}/*/soak/summary.json"))


def figures(seconds: int, results: Path) -> Iterator[dict[str, object]]:
    """Yield how long a soak was under load, what became of its faults, and whether it passed."""
    found = soak(seconds, results)
    lasted = found["lasted_s"]
    yield line("G6-lasted", lasted, "s under load", "the least", LEAST_S, target=LEAST_S, holds=lasted >= LEAST_S)
    faults = found["faults"]
    right = [one["id"] for one in faults if one["outcome"] == FELT and one["effect"] and one["nothing_left"]]
    rest = {"target": len(faults), "holds": bool(faults) and len(right) == len(faults)}
    kinds = sorted({one["kind"] for one in faults})
    yield line(
        "G6-faults", len(right), "faults felt, undone and proved gone", "planned", len(faults), **rest, kinds=kinds
    )
    passed = int(found["verdict"] == "pass")
    facts = {"verdict": found["verdict"], "why": found["why"], "run": found["run"], **found["headline"]}
    yield line("G6-passed", passed, "soaks", "soaks", 1, target=1, holds=bool(passed), **facts)


def main(words: Sequence[str]) -> int:
    """Print the figures; return 1 when a target does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    asked = parser.parse_args(words)
    with rig.lab():
        return rig.show(figures(asked.seconds, asked.results.absolute()))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
