# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of faults that a plan may ask for: what each needs to be told, what it does to a service, how it is undone."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ..scenario import schema
from ..scenario._measures import Measure, Renamed, Size

Aims = Literal["service", "node", "either", "load"]
Does = Literal["dies", "stalls", "slows"]

LONGEST_JUMP_S = 315_360_000
# Less is not told from the time that asking for the time takes.
LEAST_JUMP_S = 5
# Who loses so much of all packets is as good as cut off.
CUT_PCT = 95
# What has a meaning only for a fault of a node itself.
OF_WHOLE_NODES = ("interfaces", "probe", "keep_ports")
PLACES = ("node", "engine")
_DIED = "start the same container again"


@dataclass(frozen=True)
class Kind:
    """A kind of fault. aims: what is hit; does: what a service is while it lasts; undo: how it ends, "" where it does not.

    ends_itself: it may last 0 s; any other kind must be told how long. group: faults of one group
    cannot be on one target at once. params: its parameters; one_of: of these exactly one must be given.
    whole: aimed at services, and at a node itself where the plan says so. example: parameters with which a node can be asked.
    """

    name: str
    aims: Aims
    does: Does
    undo: str
    group: str
    params: Mapping[str, schema.Key | schema.Spec] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()
    ends_itself: bool = False
    whole: bool = False
    example: Mapping[str, Any] = field(default_factory=dict)

    def doing(self, params: Mapping[str, Any]) -> Does:
        """Return what a service is while it lasts with these parameters."""
        return "stalls" if params.get("loss_pct", 0) >= CUT_PCT else self.does

    @property
    def spec(self) -> schema.Mapping:
        """Return the schema of its parameters."""
        return schema.Mapping(self.params)


def _needed(number: schema.Int | schema.Float) -> schema.Key:
    return schema.Key(Measure(number), required=True)


def _wrong_place(text: str) -> str:
    return "" if text in PLACES or text.startswith("/") else "is no place"


def _wrong_address(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return "is no IPv4 address"
    return ""


_percent = schema.Float(0.5, 100, unit="percent")
_in_percent = Renamed("loss_pct", "a loss is given in percent")
_interface = schema.Str(max=15, pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*", rule="the name of an interface, such as eth0")
_direction: dict[str, schema.Key | schema.Spec] = {
    "direction": schema.Key(schema.Choice("both", "in", "out"), default="both"),
}
_network: dict[str, schema.Key | schema.Spec] = {
    **_direction,
    "interfaces": schema.Seq(_interface, min=1, max=64, unique=True),
    "probe": schema.Str(test=_wrong_address, rule="an IPv4 address"),
    "keep_ports": schema.Seq(schema.Int(1, 65_535), min=1, max=64, unique=True),
}

_ALL = (
    Kind("kill", "service", "dies", _DIED, "life"),
    Kind("stop", "service", "stalls", "continue each process of the container", "life"),
    Kind("pause", "service", "stalls", "unpause the container", "life"),
    Kind("restart", "service", "dies", _DIED, "life", ends_itself=True,
         params={"grace_s": Measure(schema.Int(0, 20, unit="seconds"))}),
    Kind("dockerd_restart", "node", "dies", "start the engine and the containers of the run again", "life", ends_itself=True),
    Kind("network_cut", "service", "stalls", "take the rules out again", "network", params=_network, whole=True),
    Kind("network_loss", "service", "slows", "take the loss out again", "network", whole=True, example={"loss_pct": 20.0},
         params={**_network, "loss_pct": _needed(_percent), "probability": _in_percent, "loss": _in_percent}),
    Kind("network_rate", "service", "slows", "take the limit out again", "network", whole=True, example={"rate_kbit": 1000},
         params={**_network, "rate_kbit": _needed(schema.Int(32, 10_000_000, unit="kbit/s"))}),
    Kind("network_delay", "service", "slows", "take the delay out again", "network", example={"delay_ms": 100.0},
         params={**_direction,
                 "delay_ms": _needed(schema.Float(1, 60_000, unit="ms")),
                 "jitter_ms": Measure(schema.Float(0, 60_000, unit="ms")),
                 "seed": schema.Int(0, 2**53 - 1),
                 "delay": Renamed("delay_ms", "a delay is given in milliseconds")}),
    Kind("disk_fill", "either", "slows", "remove the file that fills the disk", "disk", one_of=("bytes", "fill_pct"),
         example={"fill_pct": 50.0},
         params={"bytes": Size(), "fill_pct": Measure(schema.Float(1, 99, unit="percent")),
                 "where": schema.Str(test=_wrong_place, rule=f"{', '.join(PLACES)}, or a path in the container that starts with '/'"),
                 "leave_bytes": Size()}),
    Kind("cpu_stress", "either", "slows", "end the processes that burn time", "cpu", example={"cores": 1},
         params={"cores": _needed(schema.Int(1, 1024))}),
    Kind("memory_stress", "either", "slows", "end the process that holds memory", "memory", example={"memory": 2**26},
         params={"memory": schema.Key(Size(), required=True), "leave_bytes": Size()}),
    Kind("clock_jump", "service", "slows", "put the clock of the container back", "clock", example={"jump_s": 60},
         params={"jump_s": _needed(schema.Int(-LONGEST_JUMP_S, LONGEST_JUMP_S, unit="seconds"))}),
    Kind("pressure", "load", "slows", "end the extra load", "load", example={"requests_per_s": 1.0},
         params={"requests_per_s": _needed(schema.Float(0.1, 100_000)),
                 "concurrency": schema.Key(schema.Int(1, 10_000), default=16)}),
)  # fmt: skip
KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})
