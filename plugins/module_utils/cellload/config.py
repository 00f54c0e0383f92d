# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load that test_config.json, the environment and the command line ask for, checked as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from . import target as targets
from .bursts import Burst, burst_of, wrong_burst
from .errors import ConfigError, ConfigProblem
from .fields import FIELDS, RESERVED_BODY_KEYS, shown, suggestion
from .pace.settings import wrong_order

MAX_FILE_BYTES = 4 * 1024 * 1024
LABEL_PREFIX = "TESTCELL_LABEL_"
SOAK_VARIABLE = "TESTCELL_SOAK_SECONDS"
ATTEMPT = re.compile(r"[1-9]\d{0,5}", re.ASCII)
SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Stamp:
    """What every output line and file is marked with, so that results of another run are recognised."""

    run_id: str = ""
    scenario: str = ""
    case: str = ""
    attempt: int = 1


@dataclass(frozen=True)
class LoadConfig:
    """One checked load. values: every key of FIELDS with its effective value; request_rate None = closed loop.

    soak_s: how long a soak goes on, whatever num_prompts and duration_s say; None for any other load.
    """

    target: targets.Target
    values: Mapping[str, Any]
    stamp: Stamp = Stamp()
    labels: Mapping[str, str] = field(default_factory=dict)
    api_key: str = field(default="", repr=False)
    soak_s: float | None = None

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def open_loop(self) -> bool:
        """Tell whether requests are sent by the clock instead of whenever an answer is complete."""
        return self.values["request_rate"] is not None

    @property
    def wanted(self) -> int | None:
        """Return the number of requests to send; None when only a duration bounds a closed loop, or a soak."""
        if self.soak_s is not None:
            return None
        if self.values["num_prompts"] is None and self.open_loop:
            return max(1, int(round(self.values["request_rate"] * self.values["duration_s"], 6)))
        count: int | None = self.values["num_prompts"]
        return count

    @property
    def seconds(self) -> float | None:
        """Return for how long requests are sent; None when only their number bounds that."""
        limit: float | None = self.values["duration_s"] if self.soak_s is None else self.soak_s
        return limit

    @property
    def burst(self) -> Burst | None:
        """Return the bursts of a soak; None when it has none, and for any other load."""
        return None if self.soak_s is None else burst_of(self.values["burst"])

    @property
    def max_concurrency(self) -> int | None:
        """Return the most requests in flight: 1 in a closed loop that does not say, no limit in an open one."""
        limit: int | None = self.values["max_concurrency"]
        return 1 if limit is None and not self.open_loop else limit


def load(path: Path, environ: Mapping[str, str], overrides: Sequence[str] = (), soak: str = "") -> LoadConfig:
    """Return the load described by the file at path; raise ConfigError with every problem found.

    overrides: KEY=VALUE, where VALUE is JSON or else a plain string; environ: TESTCELL_BASE_URL beats base_url.
    soak: seconds for which the load goes on, else those of TESTCELL_SOAK_SECONDS; "" in both makes no soak.
    """
    raw = {**read_object(path), **_overrides(overrides)}
    problems = [problem for key, value in raw.items() for problem in _check(str(path), key, value)]
    if problems:
        raise ConfigError(problems)
    values = {key: entry.default if raw.get(key) is None else raw[key] for key, entry in FIELDS.items()}
    values["allowed_hosts"] = tuple(values["allowed_hosts"])
    problems = _contradictions(str(path), values)
    target = _target(str(path), values, environ, problems)
    stamp = _stamp(environ, problems)
    soak_s = _soak_s(soak, environ, problems)
    if problems or target is None:
        raise ConfigError(problems)
    labels = {key[len(LABEL_PREFIX) :].lower(): value for key, value in environ.items() if key.startswith(LABEL_PREFIX)}
    return LoadConfig(target, {**values, "base_url": target.url}, stamp, labels, _api_key(environ), soak_s)


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; duplicate keys, NaN, other encodings and other values raise ConfigError."""
    name = str(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            _fail(name, f"is larger than {MAX_FILE_BYTES} bytes")
        text = path.read_bytes().decode("utf-8-sig")
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except OSError as exc:
        _fail(name, f"cannot be read: {exc.strerror}")
    except UnicodeDecodeError as exc:
        _fail(name, f"is not UTF-8: byte {exc.start} is {exc.object[exc.start]:#04x}")
    except json.JSONDecodeError as exc:
        _fail(f"{name}:{exc.lineno}:{exc.colno}", f"is not JSON: {exc.msg}")
    except (ValueError, RecursionError) as exc:
        _fail(name, "is nested too deeply" if isinstance(exc, RecursionError) else str(exc))
    if not isinstance(data, dict):
        _fail(name, "must be a mapping at the top", shown(data))
    return dict(data)


def _fail(file: str, message: str, got: str = "") -> NoReturn:
    raise ConfigError([ConfigProblem(file, "", message, got)])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} is given twice")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name} is not JSON; allowed: finite numbers")


def _overrides(items: Sequence[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals:
            _fail("--set", "must be KEY=VALUE", shown(item))
        try:
            result[key] = json.loads(text, parse_constant=_no_constant)
        except ValueError:
            result[key] = text
    return result


def _check(file: str, key: str, value: Any) -> list[ConfigProblem]:
    if key not in FIELDS:
        near = suggestion(key)
        message = f"is not a known key; did you mean {near}?" if near else "is not a known key"
        return [ConfigProblem(file, key, message, allowed=", ".join(FIELDS))]
    if value is None or FIELDS[key].accepts(value):
        return []
    return [ConfigProblem(file, key, "has a wrong value", shown(value), FIELDS[key].allowed())]


def _contradictions(file: str, values: Mapping[str, Any]) -> list[ConfigProblem]:
    """Return what is wrong between keys that are each right by themselves."""
    found = []
    rate, count, duration = values["request_rate"], values["num_prompts"], values["duration_s"]
    if not values["model"]:
        found.append(ConfigProblem(file, "model", "is required: the model name that the server knows"))
    if count is None and duration is None:
        found.append(ConfigProblem(file, "num_prompts", "is required unless duration_s is given"))
    if rate and count and duration and count / rate > duration:
        needed = f"{count} requests at {rate:g} per second need {count / rate:.1f} s"
        found.append(ConfigProblem(file, "duration_s", f"is shorter than the load: {needed}", shown(duration)))
    if not values["stream"] and set(values["goodput"] or {}) - {"e2e_ms"}:
        message = "without streaming only e2e_ms can be measured"
        found.append(ConfigProblem(file, "goodput", message, shown(values["goodput"])))
    wrong = {"adaptive_rate": wrong_order(values["adaptive_rate"]), "burst": wrong_burst(values["burst"])}
    for key in (key for key in wrong if wrong[key]):
        found.append(ConfigProblem(file, key, wrong[key], shown(values[key])))
    for key in RESERVED_BODY_KEYS:
        if key in (values["extra_body"] or {}):
            found.append(ConfigProblem(file, f"extra_body.{key}", "is set by the load client and cannot be replaced"))
    return found


def _target(
    file: str, values: Mapping[str, Any], environ: Mapping[str, str], problems: list[ConfigProblem]
) -> targets.Target | None:
    """Return where the load goes; None, with a problem added, when that is missing or refused."""
    from_environ = environ.get("TESTCELL_BASE_URL", "")
    text = from_environ or values["base_url"]
    where, key = ("environment", "TESTCELL_BASE_URL") if from_environ else (file, "base_url")
    if not text:
        message = "is required, here or as TESTCELL_BASE_URL"
        problems.append(ConfigProblem(where, key, message, allowed="http(s)://host[:port][/path]"))
        return None
    try:
        return targets.parse(text, trusted=bool(from_environ))
    except targets.TargetError as exc:
        got = "" if "@" in text else shown(text)
        problems.append(ConfigProblem(where, key, str(exc), got))
        return None


def _stamp(environ: Mapping[str, str], problems: list[ConfigProblem]) -> Stamp:
    attempt = environ.get("TESTCELL_ATTEMPT") or "1"
    if not ATTEMPT.fullmatch(attempt):
        key = "TESTCELL_ATTEMPT"
        problems.append(ConfigProblem("environment", key, "has a wrong value", shown(attempt), "a whole number from 1"))
        attempt = "1"
    run_id, scenario = environ.get("TESTCELL_RUN_ID", ""), environ.get("SCENARIO_NAME", "")
    return Stamp(run_id, scenario, environ.get("TESTCELL_CASE", ""), int(attempt))


def _soak_s(soak: str, environ: Mapping[str, str], problems: list[ConfigProblem]) -> float | None:
    """Return the length of a soak; None, with a problem added when it cannot be read, where there is to be none."""
    where, key = ("command line", "--soak") if soak else ("environment", SOAK_VARIABLE)
    text = soak or environ.get(SOAK_VARIABLE, "")
    if not text:
        return None
    seconds = float(text) if SECONDS.fullmatch(text) else 0.0
    if not FIELDS["duration_s"].accepts(seconds):
        allowed = FIELDS["duration_s"].allowed() + " (seconds)"
        problems.append(ConfigProblem(where, key, "has a wrong value", shown(text), allowed))
    return seconds


def _api_key(environ: Mapping[str, str]) -> str:
    key = environ.get("TESTCELL_API_KEY", "")
    if key and not (key.isascii() and key.isprintable()):
        _fail("environment: TESTCELL_API_KEY", "contains characters that cannot stand in a header; it is not shown")
    return key
