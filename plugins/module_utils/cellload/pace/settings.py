# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an adaptive rate is set up: the keys of `adaptive_rate`, their ranges and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# Key -> least and greatest value.
RANGES: Mapping[str, tuple[float, float]] = {
    "min": (0.001, 100_000),
    "max": (0.001, 100_000),
    "initial": (0.001, 100_000),
    "increase": (0.001, 1),
    "decrease": (0.1, 0.99),
    "window_s": (0.05, 3600),
    "max_attempts": (1, 1000),
    "max_wait_s": (0.1, 86_400),
    "max_retry_ratio": (0, 100),
}
WHOLE = ("max_attempts",)


@dataclass(frozen=True)
class Settings:
    """One adaptive rate. min, max, initial: requests per second; initial None: not limited before the first refusal.

    increase: share of the rate last refused that is won back in a window; decrease: what is left of it after a refusal;
    max_attempts, max_wait_s: how often a request is sent, and how long it is tried again, before it has failed;
    max_retry_ratio: repeated attempts of all requests together, as a share of the requests.
    """

    min: float = 0.1
    max: float = 100_000.0
    initial: float | None = None
    increase: float = 0.05
    decrease: float = 0.8
    window_s: float = 1.0
    max_attempts: int = 10
    max_wait_s: float = 60.0
    max_retry_ratio: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return asdict(self)


def settings_of(value: Any) -> Settings | None:
    """Return the settings that a checked value of `adaptive_rate` stands for; None when it is off."""
    if isinstance(value, Mapping):
        return Settings(**{key: item for key, item in value.items() if item is not None})
    return Settings() if value is True else None


def wrong_order(value: Any) -> str:
    """Return what is wrong between the rates of a value whose keys are each right by themselves, or ""."""
    found = settings_of(value)
    if found is None:
        return ""
    if found.min > found.max:
        return f"min of {found.min:g} is above max of {found.max:g} requests/s"
    if found.initial is not None and not found.min <= found.initial <= found.max:
        return f"initial of {found.initial:g} is not from min of {found.min:g} to max of {found.max:g} requests/s"
    return ""


NAMES = tuple(field.name for field in fields(Settings))
