# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates of what a soak uses and of who lives through it: samples, growth of memory and the like, deaths, restarts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import fit
from .judgement import NO_DATA, Evidence, Gate, Limits
from .model import SERVICE, Series
from .saying import BYTES, Found, failed, length, no_data, not_asked, number, passed, scaled
from .shelf import LIFE, NODE, RESTARTS, RUNNING, Shelf
from .spans import Chaos, Span, holds, merged
from .trust import COVERAGE, Known, fault_of, known, share


@dataclass(frozen=True)
class Growth:
    """A quantity that must not grow for ever. word: what people call it; unit: of its values."""

    metric: str
    word: str
    unit: str
    limit: float | None


def gates(evidence: Evidence, limits: Limits, chaos: Chaos, shelf: Shelf) -> Iterator[Gate]:
    """Yield all gates of all nodes and services."""
    if not evidence.nodes:
        yield no_data("sampling", NODE, "no node is named that should have been sampled", Found())
    loaded = any(one.completed for one in evidence.windows)
    of_services = (
        Growth("rss_bytes", "rss", BYTES, limits.max_rss_slope),
        Growth("anon_bytes", "anonymous memory", BYTES, limits.max_anon_slope),
        Growth("fds", "open descriptors", "descriptors", limits.max_fd_slope),
        Growth("threads", "threads", "threads", limits.max_threads_slope),
    )
    for node, services in evidence.nodes.items():
        one = _Node(node, limits.warmup_secs, loaded, chaos, shelf)
        yield one.sampling()
        for service in services:
            yield one.deaths(service)
            yield one.restarts(service)
            yield from (one.growth(SERVICE + service, what) for what in of_services)
        yield one.growth(NODE, Growth("disk_used_bytes", "used disk", BYTES, limits.max_disk_slope))
        memory = Growth("memory_bytes", "memory", BYTES, limits.max_gpu_memory_slope)
        yield from (one.growth(gpu, memory) for gpu in shelf.gpus(node))


class _Node:
    """What was sampled on one node. loaded: requests were completed, so that what serves them must show it."""

    def __init__(self, node: str, warmup_s: float, loaded: bool, chaos: Chaos, shelf: Shelf) -> None:
        self.node, self.warmup_s, self.loaded = node, warmup_s, loaded
        self.chaos, self.shelf, self.end = chaos, shelf, chaos.ended_s

    def sampling(self) -> Gate:
        """Say whether the node's samples cover the soak."""
        value = share(self.shelf.times(self.node), 0.0, self.end)
        found = Found(value, COVERAGE, "of the time")
        told = f"samples of {self.node} cover {value:.1%} of {length(self.end)}"
        if value < COVERAGE:
            why = f"{told}, expected at least {COVERAGE:.0%}; see the sampler's log in the node's evidence"
            return no_data("sampling", self.node, why, found, "bench_partial" if value else "bench_no_data")
        return passed("sampling", self.node, told, found)

    def deaths(self, service: str) -> Gate:
        """Say whether a service ended, or began anew, at a time when no fault was aimed at it."""
        name, subject = "deaths", f"{self.node}/{service}"
        running = self._life(service, RUNNING)
        if isinstance(running, str):
            return no_data(name, subject, running, Found(None, 0.0))
        excused = self._excused(SERVICE + service)
        down = [at for at, value in running.pairs() if not value]
        moments = [at for at in [*down, *self.shelf.restarts(self.node, service)] if not holds(excused, at)]
        if moments:
            first = min(moments)
            why = f"{service} on {self.node} was down or began anew at {number(first)} s, when no fault was aimed at it"
            found = Found(float(len(moments)), 0.0, "samples", first, self.chaos.during(first))
            return failed(name, subject, why, found, "service_died")
        why = f"{service} on {self.node} was up at all times when no fault was aimed at it"
        return passed(name, subject, why, Found(0.0, 0.0, "samples"))

    def restarts(self, service: str) -> Gate:
        """Say whether the engine restarted a service by itself, which would hide what the soak looks for."""
        name, subject = "restarts", f"{self.node}/{service}"
        counter = self._life(service, RESTARTS)
        if isinstance(counter, str):
            return no_data(name, subject, counter, Found(None, 0.0))
        excused = self._excused(SERVICE + service)
        pairs = counter.pairs()
        grown = [
            (at, now - before)
            for (_, before), (at, now) in zip(pairs, pairs[1:], strict=False)
            if now > before and not holds(excused, at)
        ]
        value = sum(count for _, count in grown)
        if grown:
            first = grown[0][0]
            why = f"{service} on {self.node} was restarted {number(value)} times by its engine, first at {number(first)} s"
            found = Found(value, 0.0, "restarts", first, self.chaos.during(first))
            return failed(name, subject, why, found, "service_flapping")
        why = f"{service} on {self.node} was never restarted by its engine outside faults"
        return passed(name, subject, why, Found(0.0, 0.0, "restarts"))

    def growth(self, subject: str, what: Growth) -> Gate:
        """Hold the slope of a series to its limit (an hour): the whole interval must be within it, or beyond it."""
        name = f"{what.metric.removesuffix('_bytes')}_slope"
        about = f"{self.node}/{subject.removeprefix(SERVICE)}"
        if what.limit is None:
            return not_asked(name, about, f"no limit is set for the growth of {what.word}")
        asked = Found(None, what.limit, f"{what.unit}/h")
        whose = f"{what.word} of {subject.removeprefix(SERVICE)} on {self.node}"
        read = self._steady(subject, what.metric, whose)
        if isinstance(read, str):
            return no_data(name, about, read, asked)
        restarts = self._restarts(subject)
        grows = fit.slope(read.times, read.values, restarts)
        if grows is None:
            why = f"growth of {whose} cannot be told from {len(read.times):,} samples in {length(_span(read))}; soak for longer"
            told = no_data(name, about, why, asked)
        else:
            found = replace(asked, value=grows.per_hour, at_s=grows.began_s)
            told = _judged(name, about, whose, what, grows, found)
        most = fit.most(read.times, read.values, restarts) if told.verdict == NO_DATA else None
        return told if most is None or most > what.limit else _small(told, whose, what, read, most)

    def _life(self, service: str, metric: str) -> Known | str:
        """Return what is known of a service's life, or why it cannot be judged."""
        series = self.shelf.get(self.node, SERVICE + service, metric)
        if series is None:
            return f"no sample of {service} on {self.node} has {metric!r}"
        wrong = fault_of(series)
        if wrong:
            return wrong
        excused = self._excused(SERVICE + service)
        seen = known(series, 0.0, self.end)
        value = share(seen.times, 0.0, self.end, excused)
        if value < COVERAGE:
            return f"{metric!r} of {service} on {self.node} is known for {value:.1%} of the time, expected at least {COVERAGE:.0%}"
        return seen

    def _steady(self, subject: str, metric: str, whose: str) -> Known | str:
        """Return a series after each warm-up and outside its own faults, or why it cannot be judged."""
        series = self.shelf.get(self.node, subject, metric)
        if series is None:
            return f"{whose} was never sampled"
        wrong = fault_of(series)
        if wrong:
            return wrong
        warming = [(at, at + self.warmup_s) for at in [0.0, *self._restarts(subject)]]
        without = merged([*self._excused(subject), *warming])
        seen = known(series, 0.0, self.end, without)
        value = share(known(series, 0.0, self.end).times, 0.0, self.end, without)
        if value < COVERAGE or len(seen.times) < 2:
            return f"{whose} is known for {value:.1%} of the time that counts, expected at least {COVERAGE:.0%}"
        if self.loaded and self._stands_still(subject):
            told = f"neither {whose} nor anything else of it changes in {len(seen.times):,} samples"
            return f"{told}, though requests were answered: the samples are stale"
        return seen

    def _stands_still(self, subject: str) -> bool:
        """Say whether no value of a subject ever changes, as where old samples are given again and again.

        A GPU that is not used may rest for hours, and a disk may fill or not: they are stale where they claim to be busy.
        """
        series = [one for one in self.shelf.of(self.node, subject) if one.metric not in LIFE]
        if subject.startswith(SERVICE):
            return not any(map(_changes, series))
        busy = self.shelf.get(self.node, subject, "utilisation_pct")
        return busy is not None and any(busy.values) and not any(map(_changes, series))

    def _excused(self, subject: str) -> list[Span]:
        return self.chaos.excused_for(self.node, subject)

    def _restarts(self, subject: str) -> list[float]:
        return self.shelf.restarts(self.node, subject.removeprefix(SERVICE)) if subject.startswith(SERVICE) else []


def _changes(series: Series) -> bool:
    return len({value for value in series.values if value is not None}) > 1


def _span(read: Known) -> float:
    return read.times[-1] - read.times[0]


def _small(told: Gate, whose: str, what: Growth, read: Known, most: float) -> Gate:
    """Return the gate of what moved too little to have grown by its limit, whatever its slope is."""
    limit = told.limit or 0.0
    divisor, unit = scaled(what.unit, limit)
    why = (
        f"{whose} moves so little that it grows by {number(most / divisor)} {unit}/h at most, within its limit of "
        f"{number(limit / divisor)} {unit}/h ({len(read.times):,} samples in {length(_span(read))})"
    )
    return passed(told.name, told.subject, why, Found(most, limit, told.unit))


def _judged(name: str, about: str, whose: str, what: Growth, grows: fit.Slope, found: Found) -> Gate:
    """Return the gate of a slope that is known."""
    limit = found.limit or 0.0
    divisor, unit = scaled(what.unit, max(limit, abs(grows.per_hour)))
    value, low, high, most = (number(one / divisor) for one in (grows.per_hour, grows.low, grows.high, limit))
    told = f"{whose} grows by {value} {unit}/h (95 %: {low} to {high})"
    taken = f"({grows.samples:,} samples in {length(grows.ended_s - grows.began_s)})"
    if grows.low > limit:
        return failed(name, about, f"{told}, over its limit of {most} {unit}/h {taken}", found)
    if grows.high > limit:
        why = f"{told}, which does not tell whether it is over its limit of {most} {unit}/h {taken}; soak for longer"
        return no_data(name, about, why, found)
    return passed(name, about, f"{told}, within its limit of {most} {unit}/h {taken}", found)
