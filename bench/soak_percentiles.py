# SPDX-License-Identifier: MIT
"""What percentiles of a soak's samples cost and how far they are off, beside numpy and a sketch: JSON lines.

soak_percentiles.py [--short]: 100,000,000 samples; the short form has a tenth. All in one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator

from rig import ROOT, at_most, line

# one thread of numpy's too, before it is imported
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np
import numpy.typing as npt
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.histogram import Histogram

SEED = 1
SAMPLES, SKETCHED = 100_000_000, 1_000_000
CHUNK = 1_000_000
ROUNDS = 3
PERCENTS = (1.0, 50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
RATE, ERROR, STATE_BYTES, SECONDS = 100e6, 0.002, 2 << 20, 1.0
SKETCH = "ddsketch==3.0.1"
SKETCH_FOLDER = ROOT / ".cache" / "bench-sketch"
# Run apart: a file of float32, the accuracy, and the percentiles; prints the seconds and the values.
SKETCHING = """
import array, json, sys, time
from ddsketch import DDSketch
samples = array.array("f")
with open(sys.argv[1], "rb") as file:
    samples.frombytes(file.read())
sketch = DDSketch(float(sys.argv[2]))
began = time.perf_counter()
for sample in samples:
    sketch.add(sample)
values = [sketch.get_quantile_value(float(percent) / 100) for percent in sys.argv[3:]]
print(json.dumps({"seconds": time.perf_counter() - began, "values": values}))
"""

Floats = npt.NDArray[np.float32]


def latencies(count: int) -> Floats:
    """Return latencies in ms as engines have them: a body, a slow tail, and a few that wait for a time limit."""
    chance = np.random.default_rng(SEED)
    found = np.empty(count, dtype=np.float32)
    for start in range(0, count, CHUNK):
        part = found[start : start + CHUNK]
        part[:] = chance.lognormal(3.0, 0.6, len(part))
        slow = chance.random(len(part), dtype=np.float32) < 0.02
        part[slow] *= np.float32(20.0)
        part[:: len(part) // 100] = chance.uniform(29_000, 30_000, len(part[:: len(part) // 100]))
    return found


def best(call: Callable[[], object]) -> float:
    """Return the median seconds of some calls."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def counted(samples: Floats) -> Histogram:
    """Return the samples' histogram, filled in chunks as they come from files."""
    found = Histogram()
    for start in range(0, len(samples), CHUNK):
        found.add(samples[start : start + CHUNK])
    return found


def gated(samples: Floats) -> list[float | None]:
    """Return all percentiles from the samples."""
    found = counted(samples)
    return [found.percentile(percent) for percent in PERCENTS]


def exact(samples: Floats) -> list[float]:
    """Return the nearest-rank percentiles, by a partition of all samples."""
    ranks = [max(0, int(np.ceil(len(samples) * percent / 100)) - 1) for percent in PERCENTS]
    parted = np.partition(samples, ranks)
    return [float(parted[rank]) for rank in ranks]


def sketched(samples: Floats) -> tuple[float, list[float]]:
    """Return the seconds and percentiles of the sketch, which is installed once in an environment of its own."""
    program = SKETCH_FOLDER / "bin" / "python"
    if not (SKETCH_FOLDER / "ready").is_file():
        subprocess.run([sys.executable, "-m", "venv", SKETCH_FOLDER], check=True)
        subprocess.run([program, "-m", "pip", "install", "-q", SKETCH], check=True, capture_output=True)
        (SKETCH_FOLDER / "ready").touch()
    with tempfile.NamedTemporaryFile() as file:
        file.write(samples.tobytes())
        file.flush()
        command = [str(program), "-c", SKETCHING, file.name, str(ERROR), *map(str, PERCENTS)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told["seconds"], told["values"]


def worst(values: list[float | None] | list[float], true: list[float]) -> float:
    """Return the largest relative error."""
    return max(abs((value or 0.0) - right) / right for value, right in zip(values, true, strict=True))


def peak_bytes(samples: Floats) -> int:
    """Return the most memory that counting a chunk needs at once, the counts included."""
    tracemalloc.start()
    found = Histogram()
    found.add(samples[:CHUNK])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def parts_differ(samples: Floats) -> int:
    """Return in how many bins ten merged histograms of parts differ from the histogram of all."""
    merged = Histogram()
    for part in np.array_split(samples, 10):
        merged.merge(counted(part))
    return int(np.count_nonzero(merged.counts != counted(samples).counts))


def figures(samples: Floats) -> Iterator[dict[str, object]]:
    """Yield all figures."""
    count = len(samples)
    facts: dict[str, object] = {"samples": count, "rounds": ROUNDS, "seed": SEED}
    ours = best(lambda: counted(samples))
    peer = best(lambda: np.percentile(samples, PERCENTS, method="inverted_cdf"))
    rate = count / ours
    yield line("G3-rate", rate, "samples/s", "numpy.percentile", count / peer, target=RATE, holds=rate >= RATE, **facts)
    few = samples[:SKETCHED]
    seconds, values = sketched(few)
    sketch_rate = len(few) / seconds
    beside = {"peer_samples": len(few), "peer_error": round(worst(values, exact(few)), 5)}
    yield line("G3-rate-sketch", rate, "samples/s", SKETCH, sketch_rate, target=None, holds=None, **facts, **beside)
    partition = best(lambda: exact(samples))
    taken = best(lambda: gated(samples))
    limit = at_most(taken, SECONDS * count / SAMPLES)
    yield line("G3-all-percentiles", taken, "s", "numpy.partition", partition, **limit, **facts)
    off = worst(gated(samples), exact(samples))
    errors = {"percents": PERCENTS, "target": ERROR, "holds": off <= ERROR}
    yield line("G3-error", round(off, 6), "of the value", SKETCH, beside["peer_error"], **errors, **facts)
    state = Histogram().counts.nbytes
    held = at_most(state, STATE_BYTES)
    yield line("G3-state", state, "bytes", "all samples", samples.nbytes, **held, peak_bytes=peak_bytes(samples))
    different = parts_differ(samples)
    yield line("G3-merge", different, "bins that differ", "exact", 0, target=0, holds=different == 0, **facts)


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    missed = False
    for figure in figures(latencies(SAMPLES // 10 if "--short" in sys.argv[1:] else SAMPLES)):
        print(json.dumps(figure), flush=True)
        missed |= figure["holds"] is False
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
