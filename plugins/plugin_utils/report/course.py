# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the deployment of a case went: what it waited for in sentences, and the moments of each service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .spans import serving_end
from .values import ABSENT, duration, items, mapping, number, rows, text

MOMENTS = (("could start", "runnable_s"), ("started", "started_s"), ("running", "running_s"), ("ready", "ready_s"))
COLUMNS = ("node", *(name for name, _key in MOMENTS), "end", "took", "expected", "slack", "starts")
NOTE = (
    "All times are in seconds. Moments count from the start of the case and are those of a service's last start; "
    "its end is its death, or when all were stopped."
)
ARROW = " → "


@dataclass(frozen=True)
class Service:
    """One service in the deployment. cells: its values in the order of COLUMNS."""

    name: str
    critical: bool
    cells: tuple[str, ...]


def sentences(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the deployment waited for and what had to be mended; nothing for a record that does not say."""
    facts = mapping(record.get("deployment"))
    if not facts or not rows(record.get("services")):
        return ()
    return (*_path(record, facts), *_limits(record, facts), *_recoveries(record))


def services(record: Mapping[str, Any]) -> tuple[Service, ...]:
    """Return the services of a record that was deployed, in its order."""
    facts = mapping(record.get("deployment"))
    path, slack = _names(facts.get("critical_path")), mapping(facts.get("slack_s"))
    end = serving_end(record)
    found = [(text(service.get("name")), service) for service in rows(record.get("services"))] if facts else []
    return tuple(
        Service(name, name in path, _cells(service, "on the path" if name in path else _seconds(slack.get(name)), end))
        for name, service in found
    )


def _cells(service: Mapping[str, Any], slack: str, end: float | None) -> tuple[str, ...]:
    started, ready, ended = (number(service.get(name)) for name in ("started_s", "ready_s", "ended_s"))
    took = ready - started if started is not None and ready is not None else None
    over = ended if ended is not None else end
    return (
        text(service.get("node")),
        *(_seconds(service.get(key)) for _name, key in MOMENTS),
        _seconds(over if started is not None else None),
        _seconds(took),
        _seconds(service.get("estimate_s")),
        slack,
        text(service.get("tries")) or ABSENT,
    )


def _path(record: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    names, expected = _names(facts.get("critical_path")), _names(facts.get("estimated_critical_path"))
    took = duration(facts.get("seconds"))
    if not names:
        yield "No service became ready."
    else:
        yield f"Critical path{_of_those(record)}: {ARROW.join(names)}, {took} from the first start until the last was ready."
    if expected:
        same = "the same path" if names == expected else ARROW.join(expected)
        yield f"Expected before the run: {same}, {duration(facts.get('estimated_seconds'))}."


def _of_those(record: Mapping[str, Any]) -> str:
    """Return of how many services the path is, where not all became ready."""
    found = rows(record.get("services"))
    ready = [service for service in found if number(service.get("ready_s")) is not None]
    return "" if len(ready) == len(found) else f" of the {len(ready)} of {len(found)} services that became ready"


def _limits(record: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    lost, on_path = number(facts.get("lost_to_limits_s")), number(facts.get("lost_on_critical_path_s"))
    held = [service for service in rows(record.get("services")) if _waited(service)]
    if lost is None or on_path is None:
        return
    if not held:
        yield "Lost to limits: nothing, no service waited for a slot."
        return
    who = f"{text(held[0].get('name'))} waited" if len(held) == 1 else f"{len(held)} services waited"
    where = f"{duration(on_path)} of it" if on_path else "none of it"
    yield f"Lost to limits{_named(facts)}: {who} for a slot, {duration(lost)} in all, {where} on the critical path."


def _named(facts: Mapping[str, Any]) -> str:
    limits = mapping(facts.get("limits"))
    named = (("services", "at most {} at once"), ("services_per_node", "{} on each node"))
    said = [words.format(limits[name]) for name, words in named if limits.get(name)]
    return f" ({', '.join(said)})" if said else ""


def _waited(service: Mapping[str, Any]) -> bool:
    """Return whether any start of a service was held back."""
    starts = [
        (number(s.get("runnable_s")), number(s.get("started_s"))) for s in (*rows(service.get("earlier")), service)
    ]
    return any(could is not None and did is not None and did > could for could, did in starts)


def _recoveries(record: Mapping[str, Any]) -> Iterator[str]:
    for service in rows(record.get("services")):
        for again in rows(service.get("recovered")):
            yield f"Recovered at {_seconds(again.get('at_s'))} s, while the test ran: {text(again.get('what'))}."


def _names(value: Any) -> list[str]:
    return [text(name) for name in items(value)]


def _seconds(value: Any) -> str:
    figure = number(value)
    return ABSENT if figure is None else f"{figure:.2f}"
