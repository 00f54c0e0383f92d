# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened when: the steps and services of a case as spans of time, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .values import items, mapping, number, rows, text, words

SERVING_ENDS = ("stop", "clean")
# Until a service is ready. Each kind ends where the next one begins; what has no length or did not happen is left out.
START_KINDS = ("waiting", "launching", "starting")


@dataclass(frozen=True)
class Span:
    """One stretch of a case. start_s counts from the start of the case; seconds is None while its end is unknown.

    kind: step; of a service waiting (for a slot), launching (until the engine has started it), starting (until it is
    ready), serving or dead; recovered is the moment it was started again while the test ran. nth: which of its starts
    this is part of, 0 for a step. critical: whether the service is on the critical path of the deployment.
    """

    kind: str
    name: str
    node: str
    start_s: float
    seconds: float | None
    ok: bool
    detail: str
    nth: int = 0
    critical: bool = False

    @property
    def end_s(self) -> float:
        """Return where it ends, its start while that is unknown."""
        return self.start_s + (self.seconds or 0.0)


@dataclass(frozen=True)
class _Start:
    """One start of a service. until: the next one, or the end of all; launched: the engine is not known to have failed."""

    runnable: float | None
    begun: float
    running: float | None
    ready: float | None
    died: float | None
    until: float | None
    launched: bool


def of_case(record: Mapping[str, Any]) -> tuple[Span, ...]:
    """Return the spans of a case record by their start; steps and services without a start are left out."""
    found = [*_steps(record), *_services(record)]
    return tuple(sorted(found, key=lambda span: (span.start_s, span.kind != "step", span.name, span.node)))


def _steps(record: Mapping[str, Any]) -> Iterator[Span]:
    for step in rows(record.get("steps")):
        start = number(step.get("started_s"))
        if start is None:
            continue
        yield Span(
            kind="step",
            name=text(step.get("step")),
            node=text(step.get("node")),
            start_s=max(0.0, start),
            seconds=_not_negative(step.get("seconds")),
            ok=step.get("ok") is not False,
            detail=words(step.get("detail")),
        )


def _services(record: Mapping[str, Any]) -> Iterator[Span]:
    end = serving_end(record)
    path = {text(name) for name in items(mapping(record.get("deployment")).get("critical_path"))}
    for service in rows(record.get("services")):
        name, node = text(service.get("name")), text(service.get("node"))
        for nth, (start, why) in enumerate(_starts(service, end), 1):
            serves = service.get("serves") is not False
            for kind, begin, until, ok in _phases(start, serves):
                seconds = _not_negative(_gap(until, begin))
                yield Span(kind, name, node, begin, seconds, ok, why, nth, name in path)
        for again in rows(service.get("recovered")):
            moment, what = number(again.get("at_s")), text(again.get("what"))
            if moment is not None:
                yield Span("recovered", name, node, max(0.0, moment), 0.0, True, what, nth, name in path)


def _starts(service: Mapping[str, Any], end: float | None) -> Iterator[tuple[_Start, str]]:
    """Yield each start of a service that is known, with what is said of it. end: of all services."""
    earlier = rows(service.get("earlier"))
    for start, later in zip(earlier, [*earlier, service][1:], strict=True):
        until = _first(number(later.get("runnable_s")), number(later.get("started_s")), end)
        yield from _start(start, number(start.get("failed_s")), until, text(start.get("why")))
    died = _first(_death(service, end), number(service.get("failed_s")))
    yield from _start(service, died, end, text(service.get("state")))


def _start(
    facts: Mapping[str, Any], died: float | None, until: float | None, said: str
) -> Iterator[tuple[_Start, str]]:
    begun, running = number(facts.get("started_s")), number(facts.get("running_s"))
    if begun is None:
        return
    launched = running is not None or "running_s" not in facts
    runnable, ready = number(facts.get("runnable_s")), number(facts.get("ready_s"))
    yield _Start(runnable, max(0.0, begun), running, ready, died, until, launched), said


def _phases(start: _Start, serves: bool) -> Iterator[tuple[str, float, float | None, bool]]:
    """Yield the kinds of spans of one start with begin, end and whether they ended well."""
    ready = start.ready
    stopped = ready if ready is not None else _first(start.died, start.until)
    begun = start.begun
    if start.runnable is not None and max(0.0, start.runnable) < begun:
        yield "waiting", max(0.0, start.runnable), begun, True
    if start.running is not None and begun < start.running:
        yield "launching", begun, start.running, True
        begun = start.running
    kind = "starting" if start.launched or ready is not None else "launching"
    yield kind, begun, stopped, ready is not None
    if ready is not None and serves:
        yield "serving", max(begun, ready), _first(start.died, start.until), True
    if start.died is not None:
        yield "dead", max(start.begun, start.died), start.until, False


def _death(service: Mapping[str, Any], end: float | None) -> float | None:
    """Return when a service that should have gone on ended, None when it did not, or when it was stopped."""
    ended = number(service.get("ended_s"))
    is_done = service.get("serves") is False and not number(service.get("exit_code"))
    if ended is None or is_done or (end is not None and ended >= end):
        return None
    return ended


def _first(*moments: float | None) -> float | None:
    known = [moment for moment in moments if moment is not None]
    return min(known) if known else None


def serving_end(record: Mapping[str, Any]) -> float | None:
    """Return when services were stopped: the first stop or clean step, else the end of the case."""
    stops = [number(s.get("started_s")) for s in rows(record.get("steps")) if s.get("step") in SERVING_ENDS]
    known = [stop for stop in stops if stop is not None]
    return min(known) if known else number(record.get("seconds"))


def _gap(end: float | None, start: float) -> float | None:
    return None if end is None else end - start


def _not_negative(value: Any) -> float | None:
    figure = number(value)
    return None if figure is None else max(0.0, figure)
