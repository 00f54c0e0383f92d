# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of maintenance: `auto_maintenance_config.json`, or the same keys as YAML.

Strict as every other file: unknown keys, wrong types and values out of range are named with their line, all at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..problems import InputError, Problem, listing
from ..scenario import schema, strict_json, strict_yaml, trust
from ..scenario.schema import Bool, Float, Int, Key, Mapping, Seq, Str

STEM = "auto_maintenance_config"
PLACES = (f"{STEM}.json", *(f"config/{STEM}.{ending}" for ending in ("json", "yaml", "yml")))
_models = Seq(Str(max=255), max=1000, unique=True)

SPEC = Mapping({
    "retry_strategy": Key(Mapping({
        "max_retries": Key(Int(0, 20), default=3),
        "retry_delay": Key(Int(0, 86_400, unit="seconds"), default=300),
        "backoff_multiplier": Key(Float(1, 10), default=1.5),
        "priority_models": Key(_models, default=[]),
        "skip_models": Key(_models, default=[]),
        "retry_on_timeout": Key(Bool(), default=True),
        "retry_on_api_error": Key(Bool(), default=True),
        "retry_on_format_error": Key(Bool(), default=False),
    }), default={}),
    "auto_retest": Key(Mapping({
        "enabled": Key(Bool(), default=True),
        "minimum_completion_rate": Key(Float(0, 1), default=0.8),
        "maximum_failure_rate": Key(Float(0, 1), default=0.3),
        "cooldown_hours": Key(Float(0, 720, unit="hours"), default=2.0),
        "batch_size": Key(Int(1, 1000), default=5),
    }), default={}),
    "analysis": Key(Mapping({
        "window_days": Key(Float(0.01, 3650, unit="days"), default=30.0),
        "recent_hours": Key(Float(0.1, 8760, unit="hours"), default=24.0),
        "severe_failure_rate": Key(Float(0, 1), default=0.5),
    }), default={}),
    "budget": Key(Mapping({
        "run_share": Key(Float(0, 10), default=0.2),
        "run_least_minutes": Key(Float(0, 1440, unit="minutes"), default=30.0),
        "day_hours": Key(Float(0, 24, unit="hours"), default=8.0),
        "day_reruns": Key(Int(0, 100_000), default=200),
    }), default={}),
    "quarantine": Key(Mapping({
        "after_times": Key(Int(0, 100), default=2),
        "days": Key(Float(0.01, 365, unit="days"), default=7.0),
        "owner": Key(Str(max=200), default="maintenance"),
    }), default={}),
})  # fmt: skip


@dataclass(frozen=True)
class RetryStrategy:
    """How often a case is run again and after how long, in seconds; the models are values of the label `model`."""

    max_retries: int = 3
    retry_delay: int = 300
    backoff_multiplier: float = 1.5
    priority_models: tuple[str, ...] = ()
    skip_models: tuple[str, ...] = ()
    retry_on_timeout: bool = True
    retry_on_api_error: bool = True
    retry_on_format_error: bool = False

    def delay_s(self, tries: int) -> float:
        """Return how long after an attempt its case may be run again, when so many tries were made already."""
        return self.retry_delay * self.backoff_multiplier**tries


@dataclass(frozen=True)
class AutoRetest:
    """When maintenance runs cases, and how many at a time."""

    enabled: bool = True
    minimum_completion_rate: float = 0.8
    maximum_failure_rate: float = 0.3
    cooldown_hours: float = 2.0
    batch_size: int = 5


@dataclass(frozen=True)
class Analysis:
    """Which attempts count (window_days), which of them are new (recent_hours), and what is severe."""

    window_days: float = 30.0
    recent_hours: float = 24.0
    severe_failure_rate: float = 0.5


@dataclass(frozen=True)
class Budget:
    """What maintenance may take: of each run a share of its time, at least run_least_minutes, and so much in 24 hours."""

    run_share: float = 0.2
    run_least_minutes: float = 30.0
    day_hours: float = 8.0
    day_reruns: int = 200

    def of_run_s(self, seconds: float) -> float:
        """Return how many seconds reruns may take for a run that took so many."""
        return max(self.run_share * seconds, self.run_least_minutes * 60)


@dataclass(frozen=True)
class QuarantineRule:
    """After how many failures that went away by themselves a case is set aside (0: never), for how long, and whose it is."""

    after_times: int = 2
    days: float = 7.0
    owner: str = "maintenance"


@dataclass(frozen=True)
class Config:
    """The whole configuration. file: where it was read from, "" for the built-in values."""

    retry_strategy: RetryStrategy = field(default_factory=RetryStrategy)
    auto_retest: AutoRetest = field(default_factory=AutoRetest)
    analysis: Analysis = field(default_factory=Analysis)
    budget: Budget = field(default_factory=Budget)
    quarantine: QuarantineRule = field(default_factory=QuarantineRule)
    file: str = ""


def find(project: Path) -> Path | None:
    """Return the project's configuration file, None where there is none; InputError where there are several."""
    found = [project / place for place in PLACES if os.path.lexists(project / place)]
    if len(found) > 1:
        others = listing([str(path.relative_to(project)) for path in found[1:]])
        raise InputError([Problem(str(found[0]), message=f"is also written as {others}; keep one of them")])
    return found[0] if found else None


def load(path: Path | None, *, user: int | None = None) -> Config:
    """Return the configuration in a file, the built-in one for None; InputError names all that is wrong.

    user: the user id that the file must be trusted by (default: ours).
    """
    if path is None:
        return Config()
    distrusted = trust.distrust(path, user=os.geteuid() if user is None else user)
    if distrusted:
        raise InputError(distrusted)
    document = strict_json.read(path) if path.suffix == ".json" else strict_yaml.read(path)
    checked = schema.check(document, SPEC)
    problems = [*checked.problems, *_contradictions(document, checked.data)]
    if any(problem.is_error for problem in problems):
        raise InputError(problems)
    return _config(checked.data, str(path))


def _contradictions(document: strict_yaml.Document, data: dict[str, Any]) -> list[Problem]:
    """Return what is wrong between keys that are each right by themselves."""
    found = []
    retry, analysis = data.get("retry_strategy", {}), data.get("analysis", {})
    for index, model in enumerate(retry.get("skip_models", ())):
        if model in retry.get("priority_models", ()):
            place = ("retry_strategy", "skip_models", index)
            found.append(document.problem(place, f"model {model!r} is in priority_models, too"))
    days, hours = analysis.get("window_days", 30.0), analysis.get("recent_hours", 24.0)
    if hours > days * 24:
        found.append(
            document.problem(
                ("analysis", "recent_hours"), f"is longer than the window of {days:g} days", got=f"{hours:g} hours"
            )
        )
    return found


def _config(data: dict[str, Any], file: str) -> Config:
    def part(name: str, kind: Any) -> Any:
        fields = data.get(name, {})
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})

    return Config(
        retry_strategy=part("retry_strategy", RetryStrategy),
        auto_retest=part("auto_retest", AutoRetest),
        analysis=part("analysis", Analysis),
        budget=part("budget", Budget),
        quarantine=part("quarantine", QuarantineRule),
        file=file,
    )
