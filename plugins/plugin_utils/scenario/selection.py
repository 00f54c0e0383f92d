# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which scenarios run, and in which order.

Explicit names run in the order in which they were asked for. Else mode `auto` sorts folder names the way people count
(`2_x` before `10_x`), `directory` sorts them strictly by character, and `custom` runs what `execution.custom_order`
lists, in that order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..problems import InputError, Problem, listing, nearest, show
from .custom_order import OrderEntry, in_order, order_problems
from .lookup import callable_names, find, is_one_of, names_of
from .model import Scenario

__all__ = ["MODES", "OrderEntry", "Request", "natural", "select"]

MODES = ("auto", "directory", "custom")

_REQUEST = "command line"
_DIGITS = re.compile(r"([0-9]+)")
_Filter = tuple[str, Callable[[Scenario], bool]]


@dataclass(frozen=True)
class Request:
    """What was asked for. only, skip, tags and skip_tags thin out what names, or all, chose."""

    names: tuple[str, ...] = ()
    all: bool = False
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    mode: str = "auto"
    custom_order: tuple[OrderEntry, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    include_disabled: bool = False


def select(scenarios: Iterable[Scenario], request: Request) -> tuple[Scenario, ...]:
    """Return the scenarios to run, in order and each once.

    Raise InputError when nothing is left, with the number that each filter took away; with `usage` set when the
    request itself is wrong: no name and no filter, names together with all, a name that nobody has.
    """
    known = tuple(scenarios)
    _check(request, known)
    chosen = _named(request, known) if request.names else _ordered(request, known)
    removed: list[str] = []
    for reason, keeps in _filters(request):
        kept = [scenario for scenario in chosen if keeps(scenario)]
        if len(kept) < len(chosen):
            removed.append(f"{len(chosen) - len(kept)} {reason}")
        chosen = kept
    if not chosen:
        raise InputError([_nothing(request, known, removed)])
    return tuple(chosen)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts `2_x` before `10_x`."""
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part)


def _check(request: Request, known: tuple[Scenario, ...]) -> None:
    if request.mode not in MODES:
        raise _usage(f"unknown execution mode {show(request.mode)}", allowed=listing(MODES))
    if request.names and request.all:
        raise _usage("names and all were both given", allowed="names, or all")
    if not (request.names or request.all or request.tags or request.skip_tags):
        raise _usage("no scenario was named", allowed=listing(names_of(known)))
    if unknown := _unknown("scenario", request.names, known):
        raise InputError(unknown, usage=True)
    wrong = _unknown("filters.only_scenarios", request.only, known)
    wrong += _unknown("filters.skip_scenarios", request.skip, known)
    wrong += _contradictions("tag", request.tags, request.skip_tags)
    wrong += _contradictions("scenario", request.only, request.skip)
    if wrong:
        raise InputError(wrong)


def _unknown(key: str, names: Sequence[str], known: tuple[Scenario, ...]) -> list[Problem]:
    allowed = listing(names_of(known))
    return [
        Problem(
            _REQUEST, key=key, message=f"unknown scenario {show(name)}", allowed=allowed, suggestion=_near(name, known)
        )
        for name in names
        if find(name, known) is None
    ]


def _near(name: str, known: tuple[Scenario, ...]) -> str:
    return nearest(name, callable_names(known), cutoff=0.5)


def _contradictions(what: str, wanted: Sequence[str], refused: Sequence[str]) -> list[Problem]:
    both = [name for name in wanted if name in refused]
    message = f"{what} {{}} is both included and excluded"
    return [Problem(_REQUEST, key="filters", message=message.format(show(name))) for name in both]


def _named(request: Request, known: tuple[Scenario, ...]) -> list[Scenario]:
    found = (find(name, known) for name in request.names)
    chosen = list({scenario.name: scenario for scenario in found if scenario is not None}.values())
    disabled = [scenario for scenario in chosen if not (scenario.enabled or request.include_disabled)]
    if disabled:
        raise InputError([_is_disabled(scenario) for scenario in disabled])
    return chosen


def _is_disabled(scenario: Scenario) -> Problem:
    line = next((origin.line for origin in scenario.origins if origin.key == "enabled"), 0)
    message = f"scenario {show(scenario.name)} is disabled; run: testcell scenario {scenario.name} --enable"
    return Problem(str(scenario.metadata_file), line, 1, "enabled", message)


def _ordered(request: Request, known: tuple[Scenario, ...]) -> list[Scenario]:
    if request.mode == "custom":
        errors = [problem for problem in order_problems(request.custom_order, known) if problem.is_error]
        if errors:
            raise InputError(errors)
        return in_order(request.custom_order, known)
    by_folder = sorted(known, key=lambda scenario: scenario.directory.name)
    return sorted(by_folder, key=lambda s: natural(s.directory.name)) if request.mode == "auto" else by_folder


def _filters(request: Request) -> list[_Filter]:
    only, skip = frozenset(request.only), frozenset(request.skip)
    tags, skip_tags = frozenset(request.tags), frozenset(request.skip_tags)
    filters: list[tuple[bool, _Filter]] = [
        (not request.include_disabled, ("disabled", lambda s: s.enabled)),
        (bool(only), ("not in only_scenarios", lambda s: is_one_of(s, only))),
        (bool(skip), ("in skip_scenarios", lambda s: not is_one_of(s, skip))),
        (bool(tags), (f"without tag {_any(request.tags)}", lambda s: not tags.isdisjoint(s.tags))),
        (bool(skip_tags), (f"with excluded tag {_any(request.skip_tags)}", lambda s: skip_tags.isdisjoint(s.tags))),
    ]
    return [one for active, one in filters if active]


def _nothing(request: Request, known: tuple[Scenario, ...], removed: Sequence[str]) -> Problem:
    considered = f"{len(request.names)} named" if request.names else f"{len(known)} (mode {request.mode})"
    reasons = list(removed)
    if request.mode == "custom" and not request.names:
        listed = sum(entry.enabled for entry in request.custom_order)
        reasons.insert(0, f"{listed} enabled in execution.custom_order")
    tags = sorted({tag for scenario in known for tag in scenario.tags})
    near = [found for tag in request.tags if tag not in tags and (found := nearest(tag, tags))]
    return Problem(
        "selection",
        message=f"0 scenarios selected of {considered}: {', '.join(reasons) or 'there are none'}",
        allowed=f"tags {listing(tags)}" if request.tags and tags else "",
        suggestion=", ".join(near),
    )


def _any(tags: Sequence[str]) -> str:
    return " or ".join(show(tag) for tag in tags)


def _usage(message: str, allowed: str) -> InputError:
    return InputError([Problem(_REQUEST, key="scenario", message=message, allowed=allowed)], usage=True)
