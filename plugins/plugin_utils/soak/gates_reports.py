# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates of the reports that services write: do they come, does their height grow and keep up, do they hold."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from . import bursts
from .judgement import Evidence, Gate, Limits, Reports
from .model import REPORT, Series
from .saying import Found, failed, no_data, not_asked, number, passed
from .shelf import Shelf
from .spans import Chaos, holds, longest, steps, touches
from .trust import COVERAGE, Known, fault_of, known

# The 95th percentile of fewer is their largest.
LEAST_LAGS = 20


def gates(evidence: Evidence, limits: Limits, chaos: Chaos, shelf: Shelf) -> Iterator[Gate]:
    """Yield all gates of all services that report."""
    for reports in evidence.reports:
        one = _Service(reports, shelf, chaos)
        yield one.continuity(limits.max_report_gap_secs)
        yield one.stall(limits.max_stall_secs)
        yield one.lag(limits.max_lag_p95)
        yield from one.checks(limits)
        yield from (one.invariant(name) for name in reports.invariants)
        yield from (one.monotonic(name) for name in reports.monotonic)


class _Service:
    """What one service reports. Each gate looks from the start of the load to its end."""

    def __init__(self, reports: Reports, shelf: Shelf, chaos: Chaos) -> None:
        self.reports, self.shelf, self.chaos = reports, shelf, chaos
        self.end, self.excused = chaos.ended_s, chaos.excused()
        self.subject = f"{reports.node}/{reports.service}"
        self.times = [at for at in reports.times if 0 <= at <= self.end]

    def _get(self, metric: str) -> Series | None:
        return self.shelf.get(self.reports.node, REPORT + self.reports.service, metric)

    def _read(self, *metrics: str) -> list[Known] | str:
        """Return what is known of each metric, or why it cannot be judged: most reports must have it, each in its place."""
        found = []
        for metric in metrics:
            series = self._get(metric)
            if series is None:
                return f"no report of {self.subject} has {metric!r}"
            wrong = fault_of(series)
            if wrong:
                return wrong
            one = known(series, 0.0, self.end)
            made = len(set(self.times))
            if not one.times or len(one.times) < COVERAGE * made:
                return f"{metric!r} is known of {len(one.times):,} of {made:,} reports of {self.subject}"
            found.append(one)
        return found

    def continuity(self, limit: float | None) -> Gate:
        """Hold the longest time without a report to its limit; files whose own time stands still are no new reports."""
        name = "reports"
        if limit is None:
            return not_asked(name, self.subject, "no limit is set for the time between reports")
        if not self.times:
            return no_data(name, self.subject, f"{self.subject} left no report of this soak", Found(None, limit, "s"))
        stands = next((b for a, b in zip(self.times, self.times[1:], strict=False) if b <= a), None)
        if stands is not None:
            why = f"reports of {self.subject} go on, and the time of their files stands still or goes back at {number(stands)} s"
            return no_data(name, self.subject, why, Found(None, limit, "s", stands))
        value, span = longest(steps([0.0, *self.times, self.end]), self.excused)
        found = Found(value, limit, "s", span[0], self.chaos.during(*span))
        told = f"{self.subject} left no report for {number(value)} s from {number(span[0])} s on"
        if value > limit:
            return failed(name, self.subject, f"{told}, over the limit of {number(limit)} s", found)
        return passed(name, self.subject, f"{told}, within the limit of {number(limit)} s", found)

    def stall(self, limit: float | None) -> Gate:
        """Hold the longest time in which the height does not grow to its limit. After a restart it may count anew."""
        name = "stall"
        if limit is None or not self.reports.progress:
            return not_asked(name, self.subject, f"no progress of {self.subject}, or no limit for it, is set")
        read = self._read("progress")
        if isinstance(read, str):
            return no_data(name, self.subject, read, Found(None, limit, "s"))
        gains, seen = self._gains(read[0])
        waits = steps([0.0, *gains, self.end])
        unsure, _ = longest(waits, self.excused)
        # a stall is proved up to the last report that still has the old height
        proved = [(before, max([before, *seen[: bisect_left(seen, after)][-1:]])) for before, after in waits]
        value, span = longest(proved, self.excused)
        found = Found(value, limit, "s", span[0], self.chaos.during(*span))
        told = f"{self.subject} made no progress for {number(value)} s from {number(span[0])} s on"
        if value > limit:
            return failed(name, self.subject, f"{told}, over the limit of {number(limit)} s", found)
        if unsure > limit:
            why = f"nothing is known of the progress of {self.subject} for {number(unsure)} s, more than the limit of {number(limit)} s"
            return no_data(name, self.subject, why, replace(found, value=unsure))
        return passed(name, self.subject, f"{told}, within the limit of {number(limit)} s", found)

    def _gains(self, heights: Known) -> tuple[list[float], list[float]]:
        """Return when the height was higher than ever in this life of the process, and when it was not."""
        restarts = self.shelf.restarts(self.reports.node, self.reports.service)
        gains, rests = [], []
        best, last = None, 0.0
        for at, height in heights.pairs():
            if any(last < restart <= at for restart in restarts):
                best = None
            if best is not None and height > best:
                gains.append(at)
            else:
                rests.append(at)
            best, last = height if best is None else max(best, height), at
        return gains, rests

    def lag(self, limit: float | None) -> Gate:
        """Hold the 95th percentile of how far the height is behind the network's to its limit."""
        name = "lag"
        if limit is None or not (self.reports.progress and self.reports.network):
            return not_asked(
                name, self.subject, f"no network height of {self.subject}, or no limit for the lag, is set"
            )
        read = self._read("progress", "network")
        if isinstance(read, str):
            return no_data(name, self.subject, read, Found(None, limit))
        own, network = (dict(one.pairs()) for one in read)
        lags = sorted((network[at] - own[at], at) for at in own.keys() & network.keys() if not holds(self.excused, at))
        if len(lags) < LEAST_LAGS:
            why = f"the lag of {self.subject} is known {len(lags):,} times outside the windows of faults, expected at least {LEAST_LAGS}"
            return no_data(name, self.subject, why, Found(None, limit))
        value, at = lags[math.ceil(0.95 * len(lags)) - 1]
        found = Found(value, limit, "", at, self.chaos.during(at))
        told = f"p95 of the lag of {self.subject} is {number(value)}"
        if value > limit:
            return failed(
                name, self.subject, f"{told}, over its limit of {number(limit)} ({len(lags):,} reports)", found
            )
        return passed(name, self.subject, f"{told}, within its limit of {number(limit)} ({len(lags):,} reports)", found)

    def checks(self, limits: Limits) -> Iterator[Gate]:
        """Yield the gates of the service's own checks: the share that failed, and whether one reason takes over."""
        limit, rows = limits.max_failure_ratio, limits.burst_windows
        if not self.reports.checks:
            return
        read = self._read("checks_total", "checks_failed")
        if isinstance(read, str):
            yield no_data("failure_ratio", self.subject, read, Found(None, limit))
            return
        parts = self._news(*read)
        wrong = next((part for part in parts if part.failures > part.of), None)
        if wrong:
            why = f"{self.subject} tells of {number(wrong.failures)} failed checks of {number(wrong.of)} up to {number(wrong.span[1])} s"
            yield no_data("failure_ratio", self.subject, why, Found(None, limit, "", wrong.span[1]), "result_invalid")
            return
        if limit is None:
            yield not_asked("failure_ratio", self.subject, "no limit is set for the share of failed checks")
        else:
            yield self._ratio(parts, limit)
        if rows is not None and self.reports.reasons:
            yield self._burst(parts, rows, limit)

    def _ratio(self, parts: Sequence[bursts.Window], limit: float) -> Gate:
        name = "failure_ratio"
        judged = [part for part in parts if not touches(self.excused, part.span)]
        total, bad = sum(part.of for part in judged), sum(part.failures for part in judged)
        if total <= 0:
            why = f"{self.subject} made no check outside the windows of faults: there is no share of 0"
            return no_data(name, self.subject, why, Found(None, limit))
        worst = max(judged, key=lambda part: part.failures).span[1]
        found = Found(bad / total, limit, "of the checks", worst, self.chaos.during(worst))
        told = f"{number(bad)} of {number(total)} checks of {self.subject} failed ({bad / total:.2%})"
        if bad / total > limit:
            return failed(name, self.subject, f"{told}, over the limit of {limit:.2%}", found)
        return passed(name, self.subject, f"{told}, within the limit of {limit:.2%}", found)

    def _burst(self, parts: Sequence[bursts.Window], rows: int, ratio: float | None) -> Gate:
        reasons = self.shelf.reasons(self.reports.node, self.reports.service)
        wrong = next(filter(None, map(fault_of, reasons.values())), "")
        if wrong:
            return no_data("burst", self.subject, wrong, Found(None, rows, "windows"))
        if not reasons and any(part.failures for part in parts):
            why = f"{self.subject} has failed checks, and no report says why"
            return no_data("burst", self.subject, why, Found(None, rows, "windows"))
        counted = {name: dict(_increments(known(one, 0.0, self.end))) for name, one in reasons.items()}
        told = [
            replace(part, reasons={name: new.get(part.span[1], 0.0) for name, new in counted.items()}) for part in parts
        ]
        return bursts.gate(self.subject, told, rows, ratio, self.chaos)

    def _news(self, total: Known, bad: Known) -> list[bursts.Window]:
        """Return the new checks and failures from each report to the next."""
        checks, failures = dict(_increments(total)), dict(_increments(bad))
        before = dict(zip(total.times[1:], total.times, strict=False))
        return [bursts.Window((before[at], at), {}, failures[at], checks[at]) for at in checks if at in failures]

    def invariant(self, name: str) -> Gate:
        """Say whether an invariant held in every report. No fault excuses one that does not."""
        gate = "invariant"
        read = self._read(f"invariant:{name}")
        if isinstance(read, str):
            return no_data(gate, f"{self.subject} {name}", read, Found(None, 1.0))
        broken = [at for at, value in read[0].pairs() if value != 1.0]
        if broken:
            share = f"{len(broken):,} of {len(read[0].times):,} reports"
            why = f"invariant {name!r} of {self.subject} does not hold in {share}, first at {number(broken[0])} s"
            found = Found(float(len(broken)), 0.0, "reports", broken[0], self.chaos.during(broken[0]))
            return failed(gate, f"{self.subject} {name}", why, found)
        why = f"invariant {name!r} of {self.subject} holds in all of {len(read[0].times):,} reports"
        return passed(gate, f"{self.subject} {name}", why, Found(0.0, 0.0, "reports"))

    def monotonic(self, name: str) -> Gate:
        """Say whether a height never went back. No fault and no restart excuses one that did."""
        gate = "monotonic"
        read = self._read(name)
        if isinstance(read, str):
            return no_data(gate, f"{self.subject} {name}", read, Found())
        pairs = read[0].pairs()
        for (_, before), (at, now) in zip(pairs, pairs[1:], strict=False):
            if now < before:
                why = f"{name!r} of {self.subject} went back from {number(before)} to {number(now)} at {number(at)} s"
                return failed(gate, f"{self.subject} {name}", why, Found(now, before, "", at, self.chaos.during(at)))
        why = f"{name!r} of {self.subject} never went back in {len(pairs):,} reports"
        return passed(gate, f"{self.subject} {name}", why, Found())


def _increments(counter: Known) -> list[tuple[float, float]]:
    """Return (time, what was added since the report before); a counter that is lower than before has begun at 0 again."""
    pairs = counter.pairs()
    return [
        (at, now - before if now >= before else now) for (_, before), (at, now) in zip(pairs, pairs[1:], strict=False)
    ]
