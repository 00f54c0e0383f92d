# SPDX-License-Identifier: MIT
"""The files that a short soak leaves, made up."""

from __future__ import annotations

import json

from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import left, settings
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.profiles import values

LASTS_S = 60


def settings_of(**changed):
    plain = {}
    for path, value in values("soak_endurance").items():
        inner = plain
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    plain |= {
        "profile": "soak_endurance",
        "missing": "fail",
        "chaos_plan": "",
        "negative_control": False,
        "out_dir": "",
        "reports": (),
        "metrics": (),
    }
    plain |= {"duration_secs": LASTS_S, "warmup_secs": 0, "gates": {"min_success_ratio": 0.9}}
    return settings.of_data({**plain, **changed})


def write_node(folder, node="n1", boottime=500.0, seconds=LASTS_S + 1, service="a"):
    """Write what a node measures: one sample a second from five before the load."""
    home = folder / left.NODES / node
    home.mkdir(parents=True)
    (home / "begin.json").write_text(json.dumps({"t": 1e6, "b": boottime, "boot_id": "x", "duration_s": LASTS_S}))
    figures = {"state": "running", "started": 9.0, "restarts": 0, "rss_bytes": 1 << 20, "fds": 9, "threads": 2}
    lines = [
        {
            "t": 1e6 + at,
            "b": boottime + at,
            "i": 1.0,
            "node": {"memory_used_bytes": 1},
            "services": {service: {**figures, "cpu_s": 9 + at}},
        }
        for at in range(-5, seconds)
    ]
    (home / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_load(path, boottime=500.0, windows=LASTS_S // 10, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"t0": 1.0, "t1": 2.0, "b0": boottime + 10 * n, "b1": boottime + 10 * (n + 1), "sent": 5, "completed": 5, "failed": 0,
         "errors": {}, **more}
        for n in range(windows)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_faults(folder, name, at_s, node="n1", boottime=500.0):
    """Write what a node tells of a fault that went as planned: from at_s for two seconds."""
    phases = {"record": 0.0, "injected": 0.1, "effect": 0.2, "undone": 2.0, "verified": 2.1, "recovered": 2.2}
    lines = [
        {
            "t": 1e6,
            "b": boottime + at_s + after,
            "id": name,
            "phase": phase,
            "kind": "kill",
            "target": {},
            "applied": True,
        }
        for phase, after in phases.items()
    ]
    path = folder / left.NODES / node / "chaos.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
