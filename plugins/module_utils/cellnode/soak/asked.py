# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a soak's samples are asked to hold: the request of the operation, and the same as the one argument of the unit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..beneath import parts
from ..context import RunRef
from ..params import integer, number, refuse, text, texts
from ..request import mappings

LONGEST_S = 30 * 86400.0
CAP_BYTES = 64 << 20
LEAST_CAP_BYTES = 4096
MOST_SERVICES, MOST_SCRAPES, MOST_REPORTS = 1000, 64, 64


@dataclass(frozen=True)
class Reports:
    """Files in which a service reports: a path below the case's scenario folder, wildcards allowed in each component."""

    service: str
    path: str


@dataclass(frozen=True)
class Scrape:
    """Where a service tells its metrics, and patterns of the names that are kept."""

    service: str
    port: int
    path: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What is sampled and for how long. test_unit: the unit that loads the engine from this node, "" where another one does."""

    interval_s: float
    duration_s: float
    services: tuple[str, ...]
    reports: tuple[Reports, ...]
    metrics: tuple[Scrape, ...]
    test_unit: str
    cap_bytes: int


def parse(args: Mapping[str, Any]) -> Asked:
    """Return the checked request; raise config_invalid that names the key."""
    asked = Asked(
        interval_s=number(args, "interval_s", 1.0, 0.05, 3600.0),
        duration_s=number(args, "duration_s", 0.0, 0.0, LONGEST_S),
        services=texts(args, "services"),
        reports=tuple(_reports(item) for item in mappings(args, "reports")),
        metrics=tuple(_scrape(item) for item in mappings(args, "metrics")),
        test_unit=text(args, "test_unit", ""),
        cap_bytes=integer(args, "cap_bytes", CAP_BYTES, LEAST_CAP_BYTES, 1 << 40),
    )
    limits = (("services", MOST_SERVICES), ("reports", MOST_REPORTS), ("metrics", MOST_SCRAPES))
    for key, most in limits:
        if len(getattr(asked, key)) > most:
            raise refuse(key, len(getattr(asked, key)), f"at most {most} entries")
    told = [one.service for one in asked.metrics]
    if len(set(told)) < len(told):
        raise refuse("metrics", told, "each service once")
    return asked


def _reports(item: Mapping[str, Any]) -> Reports:
    path = text(item, "path")
    parts(path)
    return Reports(_name(item), path)


def _scrape(item: Mapping[str, Any]) -> Scrape:
    path = text(item, "path", "/metrics")
    if not path.startswith("/") or any(sign <= " " or sign > "~" for sign in path):
        raise refuse("metrics.path", path, "an absolute path of printable ASCII without spaces")
    names = texts(item, "names")
    if not names:
        raise refuse("metrics.names", list(names), "at least one pattern of metric names")
    return Scrape(_name(item), integer(item, "port", 0, 1, 65535), path, names)


def _name(item: Mapping[str, Any]) -> str:
    """Return the service of an entry, which names a folder as well."""
    name = text(item, "service")
    if len(parts(name)) != 1:
        raise refuse("service", name, "the name of a service")
    return name


def packed(asked: Asked, root: str, run: RunRef) -> str:
    """Return the one argument of the unit."""
    return json.dumps({"root": root, "run": asdict(run), "asked": asdict(asked)}, sort_keys=True)


def unpacked(argument: str) -> tuple[str, RunRef, Asked]:
    """Return (node root, run, what is asked) of the unit's argument."""
    data = json.loads(argument)
    return data["root"], RunRef(**data["run"]), parse(data["asked"])
