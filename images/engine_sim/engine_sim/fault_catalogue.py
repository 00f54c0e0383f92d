# SPDX-License-Identifier: MIT
"""The faults the engine can show: name, value, the roles it acts in, and what a client then sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

ROLES = ("single", "router", "prefill", "decode")
ENGINES = ("single", "prefill", "decode")
WRITERS = ("single", "decode")


@dataclass(frozen=True)
class FaultSpec:
    """One fault.

    value names what stands after `=` ("" for a switch), words are its allowed words (else a number of at least 0).
    high bounds the number. second names what may follow the value after a colon: a number, or a word if second_is_word.
    roles may be named as target; default_roles act without one.
    """

    name: str
    value: str
    effect: str
    words: tuple[str, ...] = ()
    second: str = ""
    second_default: float = 0.0
    second_is_word: bool = False
    whole: bool = False
    high: float = math.inf
    roles: tuple[str, ...] = ROLES
    default_roles: tuple[str, ...] = ()

    @property
    def acts_in(self) -> tuple[str, ...]:
        """Return the roles in which the fault acts when it names no target."""
        return self.default_roles or self.roles


PROCESS_FAULTS = (
    FaultSpec("slow_start", "seconds", "/health and requests answer 503 until that long after the start"),
    FaultSpec("never_healthy", "", "/health and requests answer 503 for ever"),
    FaultSpec("hang", "requests", "after that many requests connections are accepted and never answered", whole=True),
    FaultSpec(
        "engine_dead",
        "hang|500",
        "after the second value's requests /health still says 200, and requests hang or get 500 EngineDeadError",
        words=("hang", "500"),
        second="requests",
    ),
    FaultSpec(
        "crash_after_requests",
        "requests",
        "the request after that many kills the process: a traceback on stderr, then the second value as exit code",
        second="exit code",
        second_default=1,
        whole=True,
    ),
    FaultSpec(
        "crash_after_s",
        "seconds",
        "that long after the start the process dies: a traceback on stderr, then the second value as exit code",
        second="exit code",
        second_default=1,
    ),
    FaultSpec(
        "crash_kind",
        "engine|gpu_oom|gpu_fault|nccl",
        "which error the traceback of a crash ends in",
        words=("engine", "gpu_oom", "gpu_fault", "nccl"),
    ),
    FaultSpec("leak_memory_per_request", "bytes", "each request keeps that much resident memory for ever", whole=True),
    FaultSpec("leak_memory_per_s", "bytes", "each second keeps that much resident memory for ever"),
    FaultSpec("leak_fds_per_request", "descriptors", "each request leaves that many descriptors open", whole=True),
    FaultSpec("leak_fds_per_s", "descriptors", "each second leaves that many descriptors open"),
    FaultSpec("leak_threads_per_s", "threads", "each second leaves that many threads waiting"),
    FaultSpec(
        "log_flood",
        "lines a second",
        "that many log lines are written each second, each of the second value's bytes",
        second="bytes",
        second_default=120,
    ),
    FaultSpec(
        "rate_limit",
        "requests a second",
        "requests above that rate are refused with 429 and Retry-After-Ms; the second value's requests may come at once",
        second="requests",
        second_default=1,
        default_roles=("single", "router"),
    ),
    FaultSpec("ignore_term", "", "SIGTERM and SIGINT are logged and ignored"),
    FaultSpec("stall_after_s", "seconds", "from then on committed_height of the epoch reports stands still"),
    FaultSpec("lag", "requests", "network_committed_height of the epoch reports is that far ahead", whole=True),
    FaultSpec("height_goes_back", "", "committed_height of each fifth epoch report is a tenth below the one before"),
    FaultSpec("invariant_breaks_after_s", "seconds", "from then on the epoch reports say that the invariant is broken"),
    FaultSpec(
        "challenge_failures",
        "ratio",
        "that share of the challenges in the epoch reports fails, for the second value's reason",
        second="reason",
        second_is_word=True,
        high=1.0,
    ),
    FaultSpec("no_reports_after_s", "seconds", "from then on no epoch report is written"),
)

REQUEST_FAULTS = (
    FaultSpec(
        "overload",
        "429|503",
        "the request is refused with that status and a Retry-After of the second value's seconds",
        words=("429", "503"),
        second="seconds",
        second_default=1,
        default_roles=("single", "router"),
    ),
    FaultSpec("slow_ttft", "seconds", "the first token comes that much later", roles=ENGINES, default_roles=WRITERS),
    FaultSpec(
        "error_after",
        "tokens",
        "status 200 and that many tokens, then an error event and [DONE]; without streaming a 500",
        whole=True,
        roles=ENGINES,
        default_roles=WRITERS,
    ),
    FaultSpec(
        "reset_after",
        "tokens",
        "status 200 and that many tokens, then a TCP reset; without streaming a reset",
        whole=True,
        roles=ENGINES,
        default_roles=WRITERS,
    ),
    FaultSpec(
        "stall_after",
        "tokens",
        "status 200 and that many tokens, then nothing more and no end",
        whole=True,
        roles=ENGINES,
        default_roles=WRITERS,
    ),
    FaultSpec(
        "zero_tokens",
        "",
        "status 200, finish_reason stop, 0 completion tokens",
        roles=ENGINES,
        default_roles=WRITERS,
    ),
    FaultSpec(
        "garbage",
        "",
        "as many tokens as asked for, all of them meaningless",
        roles=ENGINES,
        default_roles=WRITERS,
    ),
    FaultSpec(
        "wrong_pair",
        "500|garbage",
        "the KV sent is another request's: decode finds the digest wrong and answers 500 kv_transfer_failed, "
        "or writes on from the wrong KV without a word",
        words=("500", "garbage"),
        roles=("prefill", "decode"),
        default_roles=("prefill",),
    ),
    FaultSpec(
        "kv_fail",
        "500|200",
        "the KV never reaches decode, which answers 500 kv_transfer_failed, or 200 with no token and "
        "finish_reason abort",
        words=("500", "200"),
        roles=("prefill", "decode"),
        default_roles=("prefill",),
    ),
)

CATALOGUE = {spec.name: spec for spec in PROCESS_FAULTS + REQUEST_FAULTS}


def describe() -> str:
    """Return the catalogue as a table for a terminal."""
    lines = ["NAME[@TARGET][%PROBABILITY[#SEED]][=VALUE[:SECOND]], joined by commas; a target is a role or a service"]
    for spec in CATALOGUE.values():
        form = spec.name + (f"={spec.value}" if spec.value else "") + (f"[:{spec.second}]" if spec.second else "")
        lines.append(f"{form}\n    {spec.effect}; acts in {', '.join(spec.acts_in)}")
    return "\n".join(lines)
