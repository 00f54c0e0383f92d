# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of test_config.json: type, range and default of each, and one check for all of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from . import bursts
from .pace.settings import RANGES, WHOLE

SHOWN = 60


@dataclass(frozen=True)
class Field:
    """One key. kind: text, whole, number, flag, choice, texts, limits, pace, burst or free; null counts as left out."""

    kind: str
    default: Any = None
    low: float = 0
    high: float = math.inf
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        """Return the allowed values in words."""
        words = {
            "text": "a string that is not empty",
            "flag": "true or false",
            "choice": ", ".join(self.choices),
            "texts": "a list of strings",
            "limits": "a mapping of " + ", ".join(self.choices) + " to numbers above 0",
            "pace": "true, false, or a mapping of " + ", ".join(RANGES) + " to numbers in their ranges",
            "burst": "a mapping of " + ", ".join(bursts.RANGES) + " to numbers in their ranges",
            "free": "a mapping",
        }
        noun = "a whole number" if self.kind == "whole" else "a number"
        return words.get(self.kind) or f"{noun} from {self.low:g} to {self.high:.10g}"

    def accepts(self, value: Any) -> bool:
        """Tell whether value is of the right type and in range."""
        if self.kind == "choice":
            return value in self.choices
        if self.kind == "texts":
            return isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        if self.kind in ("limits", "pace", "burst") and isinstance(value, dict):
            fits = {"limits": self._is_limit, "pace": _is_pace, "burst": _is_burst}[self.kind]
            return all(fits(key, item) for key, item in value.items())
        if self.kind in ("whole", "number"):
            return _is_within(value, (self.low, self.high), self.kind == "whole")
        if self.kind == "text":
            return isinstance(value, str) and bool(value)
        return isinstance(value, bool if self.kind in ("flag", "pace") else dict)

    def _is_limit(self, key: str, value: Any) -> bool:
        return key in self.choices and is_number(value) and value > 0


FIELDS: Mapping[str, Field] = {
    "base_url": Field("text", ""),
    "model": Field("text", ""),
    "api": Field("choice", "completions", choices=("completions", "chat")),
    "num_prompts": Field("whole", low=1, high=10_000_000),
    "max_concurrency": Field("whole", low=1, high=65_536),
    "request_rate": Field("number", low=0.001, high=100_000),
    "adaptive_rate": Field("pace", False),
    "arrivals": Field("choice", "poisson", choices=("poisson", "constant")),
    "duration_s": Field("number", low=0.1, high=604_800),
    "burst": Field("burst"),
    "warmup": Field("whole", 0, high=100_000),
    "prompt_tokens": Field("whole", 128, low=1, high=10_000_000),
    "tokens_per_word": Field("number", 1.0, low=0.1, high=50),
    "max_tokens": Field("whole", 64, low=1, high=10_000_000),
    "ignore_eos": Field("flag", False),
    "stream": Field("flag", True),
    "seed": Field("whole", 0, high=2**63 - 1),
    "timeout_s": Field("number", 300.0, low=0.05, high=86_400),
    "keep_alive": Field("flag", True),
    "tls_verify": Field("flag", True),
    "ca_file": Field("text", ""),
    "allowed_hosts": Field("texts", ()),
    "goodput": Field("limits", choices=("ttft_ms", "tpot_ms", "e2e_ms")),
    "extra_body": Field("free"),
    "metadata": Field("free"),
}
RESERVED_BODY_KEYS = ("model", "prompt", "messages", "stream")


def _is_pace(key: str, value: Any) -> bool:
    return key in RANGES and (value is None or _is_within(value, RANGES[key], key in WHOLE))


def _is_burst(key: str, value: Any) -> bool:
    return key in bursts.RANGES and (value is None or _is_within(value, bursts.RANGES[key], key in bursts.WHOLE))


def _is_within(value: Any, bounds: tuple[float, float], whole: bool) -> bool:
    return is_number(value) and bounds[0] <= value <= bounds[1] and (isinstance(value, int) or not whole)


def is_number(value: Any) -> bool:
    """Tell whether value is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def shown(value: Any) -> str:
    """Return type and value for a message, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=True, default=repr)
    return f"{type(value).__name__} {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"


def suggestion(key: str) -> str:
    """Return the known key that is most like an unknown one, or ""."""
    near = get_close_matches(key, FIELDS, n=1, cutoff=0.7)
    return near[0] if near else ""
