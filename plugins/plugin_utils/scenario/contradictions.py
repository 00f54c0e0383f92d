# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are fine one by one and cannot be true together; they may come from different layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..problems import KeyPath, Problem, listing, show
from .setting import ORDER, Setting, Settings

_RETRIES: KeyPath = ("retry_strategy", "service_level_retries")
_DELAY: KeyPath = ("retry_strategy", "retry_delay")
_DEPLOYMENT: KeyPath = ("concurrent_execution", "deployment_timeout")
_STARTUP: KeyPath = ("service_health_check", "startup_timeout")
_ONE_SERVICE: KeyPath = ("concurrent_execution", "health_check_timeout")
_AT_ONCE: KeyPath = ("concurrent_execution", "max_concurrent_services")
_AT_ONCE_PER_NODE: KeyPath = ("concurrent_execution", "max_concurrent_services_per_node")
_MODE: KeyPath = ("execution", "execution_mode")
_CUSTOM_ORDER: KeyPath = ("execution", "custom_order")
_OPPOSITES: tuple[tuple[KeyPath, KeyPath], ...] = (
    (("filters", "include_tags"), ("filters", "exclude_tags")),
    (("filters", "only_scenarios"), ("filters", "skip_scenarios")),
)


def contradictions(merged: Settings) -> list[Problem]:
    """Return what cannot hold together in settings with all their layers applied."""
    return [
        *_delay_beyond_timeout(merged),
        *_cut_short(merged),
        *_idle_limit(merged),
        *_wanted_and_refused(merged),
        *_order_faults(merged),
    ]


def _delay_beyond_timeout(merged: Settings) -> Iterator[Problem]:
    """Report a retry that would start after the time is over; a warning when only a lower layer's delay is too long.

    A delay that nobody chose is no fault while nothing is to be tried again.
    """
    delay, timeout = merged[_DELAY], merged[_DEPLOYMENT]
    if delay.value < timeout.value:
        return
    message = f"a retry after {delay.value} s never starts: deployment_timeout is {timeout.value} s ({_place(timeout)})"
    if ORDER.index(delay.layer) < ORDER.index(timeout.layer):
        if not merged[_RETRIES].value:
            return
        message = f"no retry ever starts: retry_delay is {delay.value} s ({_place(delay)})"
        yield timeout.problem(_DEPLOYMENT, message, got=f"{timeout.value} s", severity="warning")
    else:
        yield delay.problem(_DELAY, message, allowed=f"less than {timeout.value} seconds")


def _cut_short(merged: Settings) -> Iterator[Problem]:
    """Warn of time for loading that a limit from a lower layer, which nobody thought of, takes away again."""
    startup = merged[_STARTUP]
    for path, wrong in ((_DEPLOYMENT, "is cut short"), (_ONE_SERVICE, "is more than one service may take")):
        limit = merged[path]
        if startup.value > limit.value and ORDER.index(startup.layer) > ORDER.index(limit.layer):
            message = f"{wrong}: {path[-1]} is {limit.value} s ({_place(limit)})"
            yield startup.problem(_STARTUP, message, got=f"{startup.value} s", severity="warning")


def _idle_limit(merged: Settings) -> Iterator[Problem]:
    """Warn of a limit for each node that can never be reached below the one for all; a lower layer's is nobody's fault."""
    inner, outer = merged[_AT_ONCE_PER_NODE], merged[_AT_ONCE]
    if inner.value > outer.value > 0 and ORDER.index(inner.layer) >= ORDER.index(outer.layer):
        message = f"is never reached: max_concurrent_services is {outer.value} ({_place(outer)})"
        yield inner.problem(_AT_ONCE_PER_NODE, message, got=str(inner.value), severity="warning")


def _wanted_and_refused(merged: Settings) -> Iterator[Problem]:
    for wanted, refused in _OPPOSITES:
        both = [name for name in merged[wanted].value if name in merged[refused].value]
        if both:
            message = f"{listing([show(name) for name in both])} is also in {refused[-1]} ({_place(merged[refused])})"
            yield merged[wanted].problem(wanted, message)


def _order_faults(merged: Settings) -> Iterator[Problem]:
    order, mode = merged[_CUSTOM_ORDER], merged[_MODE]
    if mode.value == "custom" and not order.value:
        yield mode.problem(_MODE, "mode custom needs entries in execution.custom_order", got="an empty list")
    for index, entry in enumerate(order.value):
        if not (entry.get("name") or entry.get("directory")):
            wrong = order.problem((*_CUSTOM_ORDER, index), "an entry needs a name or a directory")
            line, column = order.items[index] if index < len(order.items) else (wrong.line, wrong.column)
            yield replace(wrong, line=line, column=column)


def _place(setting: Setting) -> str:
    line = f":{setting.line}" if setting.line else ""
    return f"{setting.layer} layer" + (f", {setting.file}{line}" if setting.file else "")
