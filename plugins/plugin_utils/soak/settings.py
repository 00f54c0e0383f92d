# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a soak: what its profile says, under what the layers and the scenario say, under what `-e` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..problems import InputError, KeyPath, Problem, describe, format_path, listing, nearest
from ..scenario.model import Origin, Scenario, SoakSpec
from ..scenario.setting import GLOBAL, OVERRIDE, SCENARIO
from ..scenario.soak_spec import CHAOS, PROFILES, TOPOLOGIES
from . import profiles

# A warm-up that nobody asked for takes at most this part of a soak that was made short.
LARGEST_WARMUP = 0.25
# What the layers say of one profile alone, among the layers of `_layers`.
_OF_PROFILE = 2
# What no profile has a value for.
_UNSAID: Mapping[str, Any] = {
    "chaos_plan": "",
    "negative_control": False,
    "out_dir": "",
    "reports": (),
    "metrics": (),
}


@dataclass(frozen=True)
class SoakSettings:
    """What counts for the soak of one scenario, as plain JSON types. Times in seconds, sizes in bytes, slopes an hour.

    missing: `warn` or `fail`, what a gate without data means. chaos_plan: "" for none; out_dir: "" for the results of the project.
    topologies: in the order of their cases; one with the suffix `_chaos` has the plan. negative_control: of the plan
    everything happens but the injections. gates: name -> limit of those asked for.
    """

    profile: str
    missing: str
    topologies: tuple[str, ...]
    chaos_plan: str
    duration_secs: int
    max_stall_secs: int
    max_lag_p95: float
    max_failure_ratio: float
    max_rss_slope: int
    enable_chaos: bool
    negative_control: bool
    out_dir: str
    sample_interval_secs: int
    warmup_secs: int
    reports: tuple[dict[str, Any], ...]
    metrics: tuple[dict[str, Any], ...]
    gates: dict[str, Any]

    @property
    def limits(self) -> dict[str, Any]:
        """Return what the gates are held to, by the names of their limits; those that nobody asks for are absent."""
        own = ("max_stall_secs", "max_lag_p95", "max_failure_ratio", "max_rss_slope", "warmup_secs", "missing")
        return {**{name: getattr(self, name) for name in own}, **self.gates}


def of_data(data: Mapping[str, Any]) -> SoakSettings:
    """Return settings from plain data, as a run's plan keeps them."""
    lists = {name: tuple(data[name]) for name in ("topologies", "reports", "metrics")}
    return SoakSettings(**{**data, **lists})


def profile_problem(profile: str) -> Problem | None:
    """Return what is wrong with the name of a profile."""
    if profile in PROFILES:
        return None
    near, known = nearest(profile, PROFILES), listing(PROFILES)
    return Problem(
        "-e", key="soak_profile", message="unknown profile", got=describe(profile), allowed=known, suggestion=near
    )


def effective(scenario: Scenario, profile: str) -> SoakSettings:
    """Return what counts for a scenario in a profile that exists, or raise InputError with all that cannot be."""
    layers = _layers(scenario.soak, profile)
    merged = {path: value for layer in layers for path, value in layer.items()}
    found = _built(merged, profile)
    asked = {path for layer in layers[1:] for path in layer}
    if ("warmup_secs",) not in asked:
        found = replace(found, warmup_secs=min(found.warmup_secs, int(found.duration_secs * LARGEST_WARMUP)))
    if _rank(layers, "enable_chaos") >= _rank(layers, "topologies"):
        found = replace(found, topologies=_as_enabled(found))
    found = replace(found, enable_chaos=any(name.endswith(CHAOS) for name in found.topologies))
    problems = list(_contradictions(scenario, found))
    if problems:
        raise InputError(problems)
    return found


def _layers(spec: SoakSpec, profile: str) -> tuple[Mapping[KeyPath, Any], ...]:
    """Return the layers, each of which beats the one before."""
    return profiles.values(profile), spec.base, spec.profiles.get(profile, {}), spec.overrides


def _built(merged: Mapping[KeyPath, Any], profile: str) -> SoakSettings:
    plain: dict[str, Any] = {}
    for path, value in merged.items():
        inner = plain
        for part in path[:-1]:
            inner = inner.setdefault(str(part), {})
        inner[str(path[-1])] = value
    fields: dict[str, Any] = {**_UNSAID, **plain}
    lists = {name: tuple(fields[name]) for name in ("topologies", "reports", "metrics")}
    return SoakSettings(**{**fields, **lists, "profile": profile, "missing": profiles.MISSING[profile]})


def _rank(layers: tuple[Mapping[KeyPath, Any], ...], name: str) -> int:
    """Return the number of the highest layer that sets name."""
    return max(number for number, layer in enumerate(layers) if (name,) in layer)


def _as_enabled(found: SoakSettings) -> tuple[str, ...]:
    """Return the topologies without those that have the plan, or with one at least, as `enable_chaos` says."""
    plain = tuple(name for name in found.topologies if not name.endswith(CHAOS))
    if not found.enable_chaos:
        return plain
    return found.topologies if len(plain) < len(found.topologies) else (*plain, f"{plain[-1]}{CHAOS}")


def _contradictions(scenario: Scenario, found: SoakSettings) -> Iterator[Problem]:
    if not found.topologies:
        message = "no topology is left, since enable_chaos is false and all of them have the plan"
        allowed = listing([name for name in TOPOLOGIES if not name.endswith(CHAOS)])
        yield problem(scenario, found.profile, ("topologies",), message, allowed=allowed)
    with_plan = [name for name in found.topologies if name.endswith(CHAOS)]
    if with_plan and not found.chaos_plan:
        message = f"topology {with_plan[0]} has faults, but no plan is named; name one, or set enable_chaos to false"
        yield problem(scenario, found.profile, ("chaos_plan",), message)
    if found.negative_control and not with_plan:
        message = "without a topology with faults there is nothing to control"
        allowed = listing([name for name in TOPOLOGIES if name.endswith(CHAOS)])
        yield problem(scenario, found.profile, ("negative_control",), message, allowed=f"a topology such as {allowed}")
    if found.warmup_secs >= found.duration_secs:
        message = "leaves nothing to look at"
        allowed = f"less than the {found.duration_secs} s of the soak"
        got = describe(found.warmup_secs)
        yield problem(scenario, found.profile, ("warmup_secs",), message, got=got, allowed=allowed)


def problem(
    scenario: Scenario, profile: str, path: KeyPath, message: str, *, got: str = "", allowed: str = ""
) -> Problem:
    """Return a problem at the place where the value that counts was written; at the scenario where that is the profile."""
    spec = scenario.soak
    layers = _layers(spec, profile)
    number = max((number for number, layer in enumerate(layers) if path in layer), default=0)
    parent = _parents(profile)[number]
    file, line, column = _place(spec, (*parent, *path))
    key = format_path(("soak", *(parent if number == _OF_PROFILE else ()), *path))
    return Problem(file or str(scenario.metadata_file), line, column, key, message, got, allowed)


def origins(scenario: Scenario, profile: str) -> list[Origin]:
    """Return where each setting of a soak comes from in a profile, with what it hides in the layers below, sorted by key."""
    spec, layers = scenario.soak, _layers(scenario.soak, profile)
    paths = {path: None for layer in layers for path in layer}
    own = str(scenario.metadata_file)

    def at(number: int, path: KeyPath) -> Origin:
        key = format_path(("soak", *path))
        if number == 0:
            return Origin(key, layers[0][path], f"profile {profile}")
        file, line, _ = _place(spec, (*_parents(profile)[number], *path))
        layer = OVERRIDE if number == len(layers) - 1 else SCENARIO if file == own else GLOBAL
        return Origin(key, layers[number][path], layer, file, line)

    found = []
    for path in paths:
        first, *hidden = [at(number, path) for number in reversed(range(len(layers))) if path in layers[number]]
        found.append(replace(first, shadows=tuple(hidden)))
    return sorted(found, key=lambda origin: origin.key)


def _parents(profile: str) -> tuple[KeyPath, ...]:
    """Return, for each of the layers, below what its places are kept."""
    return (), (), ("profiles", profile), ("overrides",)


def _place(spec: SoakSpec, path: KeyPath) -> tuple[str, int, int]:
    """Return where a value was written; the parts of a mapping stand where it does."""
    return next((spec.places[path[:end]] for end in range(len(path), 0, -1) if path[:end] in spec.places), ("", 0, 0))
