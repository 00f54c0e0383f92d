# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""benchmark.json: the figures of a load with everything needed to judge and to repeat it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from . import NAME, VERSION
from .book import Book
from .config import LoadConfig
from .loop import Load
from .redact import by_key

SCHEMA_VERSION = 1
LENGTH_TOLERANCE = 0.2


@dataclass(frozen=True)
class Circumstances:
    """What surrounds a load: start in Unix time, the client's CPU and wall seconds, the signal that stopped it."""

    started_at: float
    cpu_s: float
    wall_s: float
    interrupted: str | None = None


def build(config: LoadConfig, load: Load, book: Book, around: Circumstances) -> dict[str, Any]:
    """Return the content of benchmark.json. book: closed, with all requests of the load."""
    figure = book.figures()
    stamp = config.stamp
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": stamp.run_id,
        "scenario": stamp.scenario,
        "case": stamp.case,
        "attempt": stamp.attempt,
        "labels": dict(config.labels),
        "client": _client(load, book, around),
        "config": by_key(dict(config.values)),
        "started_at": datetime.fromtimestamp(around.started_at, timezone.utc).isoformat(timespec="milliseconds"),
        "interrupted": around.interrupted,
        "requested": {
            "num_prompts": config.wanted,
            "duration_s": config.seconds,
            "request_rate": config["request_rate"],
            "max_concurrency": config.max_concurrency,
        },
        "warmup": {"requested": config["warmup"], "completed": load.warmed},
        **figure,
        "adaptive_rate": load.turnstile.facts(load.start) if load.turnstile else None,
        "soak": book.soak_facts(load),
        "files": book.files(),
        "warnings": warnings(config, load, figure),
    }


def _client(load: Load, book: Book, around: Circumstances) -> dict[str, Any]:
    return {
        "name": NAME,
        "version": VERSION,
        "python": platform.python_version(),
        "cpu_s": round(around.cpu_s, 3),
        "cpu_share": round(around.cpu_s / around.wall_s, 3) if around.wall_s > 0 else None,
        "loop_lag_ms": book.lag(),
        "stale_retries": load.client.stale_retries,
        "held_back": load.held_back,
    }


def warnings(config: LoadConfig, load: Load, figure: Mapping[str, Any]) -> list[str]:
    """Return what a reader should know and no figure shows by itself."""
    found = []
    achieved, tokens = figure["achieved"], figure["tokens"]
    full = achieved["completed"] - achieved["without_tokens"]
    wanted, inputs = config["prompt_tokens"], (tokens["input"] or 0) / (full or 1)
    if tokens["estimated_requests"]:
        without = f"{tokens['estimated_requests']} of {full} answers had no usage"
        found.append(f"{without}: their tokens are counted by content chunks")
    if inputs and abs(inputs / wanted - 1) > LENGTH_TOLERANCE:
        factor = inputs * config["tokens_per_word"] / wanted
        found.append(f"prompts had {inputs:.0f} tokens instead of {wanted}; set tokens_per_word to {factor:.2f}")
    if load.turnstile and figure["throttled"] and figure["throttled"]["refused"]:
        found.append(throttling(config["request_rate"], figure, load.turnstile.facts(load.start)))
    if config["burst"] and config.burst is None:
        found.append("burst is of soaks only; this load had none")
    if load.held_back:
        found.append(f"max_concurrency {config.max_concurrency} made {load.held_back} requests wait, so they were late")
    if load.warmed < config["warmup"]:
        found.append(f"{config['warmup'] - load.warmed} of {config['warmup']} warm-up requests failed")
    return found


def throttling(asked: float | None, figure: Mapping[str, Any], course: Mapping[str, Any]) -> str:
    """Return in words what the server's refusals did to a load. asked: the requested rate, None in a closed loop."""
    counts, achieved = figure["throttled"], figure["achieved"]
    wanted = "no rate" if asked is None else f"{asked:g} requests/s"
    rates = f"asked for {wanted}, achieved {achieved['rate'] or 0:g}, last allowed {course['final_rate'] or 0:g}"
    refused = f"the server refused {counts['refused']} of {counts['attempts']} attempts for overload"
    return f"{refused}; {rates}; requests were held for {counts['held_s']:g} s together"
