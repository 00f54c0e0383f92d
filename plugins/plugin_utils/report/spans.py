# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened when: the steps and services of a case as spans of time, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .values import number, rows, text, words

SERVING_ENDS = ("stop", "clean")


@dataclass(frozen=True)
class Span:
    """One stretch of a case. start_s counts from the start of the case; seconds is None while its end is unknown."""

    kind: str  # step, starting or serving
    name: str
    node: str
    start_s: float
    seconds: float | None
    ok: bool
    detail: str


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
    end = _serving_end(record)
    for service in rows(record.get("services")):
        start, ready = number(service.get("started_s")), number(service.get("ready_s"))
        if start is None:
            continue
        name, node, state = text(service.get("name")), text(service.get("node")), text(service.get("state"))
        begun = max(0.0, start)
        until = ready if ready is not None else end
        yield Span("starting", name, node, begun, _not_negative(_gap(until, begun)), ready is not None, state)
        if ready is not None:
            yield Span("serving", name, node, max(begun, ready), _not_negative(_gap(end, ready)), True, state)


def _serving_end(record: Mapping[str, Any]) -> float | None:
    """Return when services were stopped: the first stop or clean step, else the end of the case."""
    stops = [number(s.get("started_s")) for s in rows(record.get("steps")) if s.get("step") in SERVING_ENDS]
    known = [stop for stop in stops if stop is not None]
    return min(known) if known else number(record.get("seconds"))


def _gap(end: float | None, start: float) -> float | None:
    return None if end is None else end - start


def _not_negative(value: Any) -> float | None:
    figure = number(value)
    return None if figure is None else max(0.0, figure)
