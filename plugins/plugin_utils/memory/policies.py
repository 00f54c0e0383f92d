# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which retry rule an error kind follows: the policies A to E of the failure taxonomy, for whole cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..verdict import kinds
from .facts import Attempt
from .upkeep_config import RetryStrategy

# letter: how often a whole case is tried again at most, and the error kinds; what is retriable and not named here is of A.
_POLICIES: Mapping[str, tuple[int, str]] = {
    "A": (3, ""),
    "B": (
        1,
        "service_unhealthy health_timeout engine_dead nccl_timeout nccl_error kv_transfer_failed docker_leftover name_conflict"
        " internal_error",
    ),
    "C": (20, "registry_rate_limited overloaded lock_held db_locked"),
    "D": (2, "artifact_corrupt artifact_changed image_corrupt transfer_failed"),
}
_LETTERS = {kind: letter for letter, (_, words) in _POLICIES.items() for kind in words.split()}
_FORMAT = frozenset({"response_invalid", "result_invalid"})

# Waiting doubles from the first to the last of these, in seconds.
_WAIT_FIRST_S, _WAIT_LAST_S = 60.0, 900.0


@dataclass(frozen=True)
class Rule:
    """What may be done about a failure. letter: of its policy; retries: at most; off: the setting that forbids it, or ""."""

    letter: str
    retries: int
    off: str = ""


def rule_of(attempt: Attempt, strategy: RetryStrategy) -> Rule:
    """Return the retry rule for the failure of an attempt; retries is 0 where a retry cannot help or may not be."""
    most, kind = strategy.max_retries, attempt.kind
    if kind in _FORMAT and strategy.retry_on_format_error:
        return Rule("B", min(most, 1))
    if not attempt.retriable:
        return Rule("E", 0)
    letter = _LETTERS.get(kind, "A")
    allowed, _ = _POLICIES[letter]
    off = _switched_off(kind, strategy)
    return Rule(letter, 0 if off else min(most, allowed), off)


def wait_s(rule: Rule, strategy: RetryStrategy, tries: int) -> float:
    """Return how long after an attempt its case may be run again, when so many retries were made already."""
    plain = strategy.delay_s(tries)
    return max(plain, min(_WAIT_LAST_S, _WAIT_FIRST_S * 2**tries)) if rule.letter == "C" else plain


def _switched_off(kind: str, strategy: RetryStrategy) -> str:
    """Return the setting that keeps a kind from being tried again, "" where none does."""
    if kind.endswith("_timeout") and not strategy.retry_on_timeout:
        return "retry_on_timeout"
    known = kinds.KINDS.get(kind)
    if known is not None and known.group in ("http", "hub") and not strategy.retry_on_api_error:
        return "retry_on_api_error"
    return ""
