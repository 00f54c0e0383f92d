# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the section `soak` of a scenario or of config/defaults.yaml may hold; what it leaves out comes from the profile."""

from __future__ import annotations

import importlib

from ..problems import listing, nearest
from . import names
from ._measures import Measure, Size
from .schema import Bool, Choice, Float, Int, Key, MapOf, Mapping, Seq, Spec, Str

LONGEST_S = 604_800
PROFILES = ("soak_smoke", "soak_endurance", "soak_release")
CHAOS = "_chaos"
TOPOLOGIES = ("single", "distributed", "single_chaos", "distributed_chaos")
LATENCIES = ("ttft_ms", "itl_ms", "e2e_ms")
PERCENTILES = ("p50", "p90", "p95", "p99", "p999")
MONOTONIC = ("progress", "network", "checks_total", "checks_failed")


def _wrong_profile(name: str) -> str:
    near = nearest(name, PROFILES)
    return "" if name in PROFILES else f"is no profile{f', did you mean {near}?' if near else ''}"


def _wrong_mapping(text: str) -> str:
    # Few scenarios have reports, and the language takes time to load.
    language = importlib.import_module("jmespath")
    try:
        language.compile(text)
    except language.exceptions.JMESPathError as exc:
        return f"is no JMESPath expression: {str(exc).splitlines()[0]}"
    return ""


def _one_of(known: tuple[str, ...], what: str) -> Str:
    return Str(test=lambda word: "" if word in known else f"is no {what}", rule=listing(known))


_seconds = Measure(Int(1, LONGEST_S, unit="seconds"))
_ratio = Float(0, 1)
_service = Str(max=255)
_expression = Str(max=4096, test=_wrong_mapping, rule="a JMESPath expression")
_name = Str(test=names.wrong_label_name, rule=names.LABEL_NAME)
_latency = MapOf(
    MapOf(Float(0, 86_400_000, unit="ms"), key=_one_of(PERCENTILES, "percentile")), key=_one_of(LATENCIES, "latency")
)

REPORT = Mapping({
    "service": Key(_service, required=True),
    "path": Key(Str(test=names.wrong_pattern, rule=names.PATTERN), required=True),
    "progress": _expression,
    "network": _expression,
    "checks": Mapping({
        "total": Key(_expression, required=True),
        "failed": Key(_expression, required=True),
        "reasons": _expression,
    }),
    "invariants": MapOf(_expression, key=_name),
    "monotonic": Seq(Choice(*MONOTONIC), unique=True),
})  # fmt: skip

METRICS = Mapping({
    "service": Key(_service, required=True),
    "port": Key(Int(1, 65_535), required=True),
    "path": Str(pattern=r"/[!-~]*", rule="a path that starts with '/', of ASCII characters without spaces"),
    "names": Key(Seq(Str(max=256), min=1, max=200, unique=True), required=True),
})  # fmt: skip

GATES = Mapping({
    "max_fd_slope": Float(0, 1e9, unit="an hour"),
    "max_threads_slope": Float(0, 1e9, unit="an hour"),
    "max_gpu_memory_slope": Size(),
    "max_anon_slope": Size(),
    "max_disk_slope": Size(),
    "max_rto_secs": _seconds,
    "max_report_gap_secs": _seconds,
    "burst_windows": Int(1, 1000),
    "min_success_ratio": _ratio,
    "min_success_ratio_in_fault": _ratio,
    "latency": _latency,
    "latency_in_fault": _latency,
})  # fmt: skip

_KEYS: dict[str, Key | Spec] = {
    "topologies": Seq(Choice(*TOPOLOGIES), min=1, unique=True, words=True),
    "chaos_plan": Str(test=names.wrong_path, rule=names.RELATIVE_PATH),
    "duration_secs": _seconds,
    "max_stall_secs": _seconds,
    "max_lag_p95": Float(0, 1e12),
    "max_failure_ratio": _ratio,
    "max_rss_slope": Size(),
    "enable_chaos": Bool(),
    "negative_control": Bool(),
    "out_dir": Str(test=names.wrong_base_path, rule=names.BASE_PATH),
    "sample_interval_secs": Measure(Int(1, 3600, unit="seconds")),
    "warmup_secs": Measure(Int(0, LONGEST_S, unit="seconds")),
    "reports": Seq(REPORT, max=64),
    "metrics": Seq(METRICS, max=64),
    "gates": GATES,
}
PROFILE = Mapping(_KEYS)
SOAK = Mapping({
    **_KEYS,
    "profiles": MapOf(PROFILE, key=Str(test=_wrong_profile, rule=listing(PROFILES))),
})  # fmt: skip
