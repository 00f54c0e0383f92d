# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads test_config.json: strict JSON with the keys of the load client, checked before any node is asked for anything.

    values = load(Path("scenarios/001_baseline/test_config.json"))      # raises InputError with all problems
    checked = check(path, client="script", allowed_hosts=["10.0.0.7"])  # problems and marks, for the metadata reader

With a client of its own (`script`) a scenario may use further keys; those of the load client keep their meaning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ...module_utils.cellload import bursts
from ...module_utils.cellload.fields import FIELDS, RESERVED_BODY_KEYS, Field
from ...module_utils.cellload.pace.settings import RANGES, WHOLE, wrong_order
from ..problems import InputError, Problem, describe
from . import schema, strict_json
from .base_url import FORM, wrong_base_url
from .strict_yaml import Document, Limits

OWN_CLIENT = "testcell"
_LEAST_ABOVE_ZERO = 1e-9


def load(
    path: Path, *, client: str = OWN_CLIENT, allowed_hosts: Collection[str] | None = None, root: Path | None = None
) -> dict[str, Any]:
    """Return the keys that the file sets (a null counts as not set), or raise InputError with all problems."""
    checked = check(path, client=client, allowed_hosts=allowed_hosts, root=root)
    if checked.errors:
        raise InputError(checked.problems)
    return dict(checked.data)


def check(
    path: Path, *, client: str = OWN_CLIENT, allowed_hosts: Collection[str] | None = None, root: Path | None = None
) -> schema.Checked:
    """Return data, problems and marks of the file; raise InputError only when it is not JSON at all."""
    document = strict_json.read(path, Limits(), root=root)
    checked = schema.check(document, test_config_spec(client), fill=False)
    data = {key: value for key, value in checked.data.items() if value is not None} if checked.data else {}
    problems = [*checked.problems, *_base_url_problems(document, data, allowed_hosts)]
    if client == OWN_CLIENT and document.root is not None and document.root.kind == "mapping":
        problems += _contradictions(document, data)
    return schema.Checked(data, tuple(problems), document)


def test_config_spec(client: str = OWN_CLIENT) -> schema.Mapping:
    """Return the schema of the file, made from the load client's own table of keys."""
    keys = {name: schema.Key(_spec(field), nullable=True) for name, field in FIELDS.items()}
    keys["base_url"] = schema.Key(schema.Str(max=4096, lines=True), nullable=True)
    if client == OWN_CLIENT:
        return schema.Mapping(keys | {"model": schema.Key(schema.Str(), required=True)})
    return schema.Mapping(keys, extra=schema.Free())


def _numbers(ranges: Mapping[str, tuple[float, float]], whole: Collection[str]) -> schema.Mapping:
    keys: dict[str, schema.Key | schema.Spec] = {}
    for name, (low, high) in ranges.items():
        number = schema.Int(int(low), int(high)) if name in whole else schema.Float(low, high)
        keys[name] = schema.Key(number, nullable=True)
    return schema.Mapping(keys)


def _spec(field: Field) -> schema.Spec:
    above_zero = schema.Float(_LEAST_ABOVE_ZERO)
    made: dict[str, schema.Spec] = {
        "text": schema.Str(max=4096),
        "flag": schema.Bool(),
        "choice": schema.Choice(*field.choices),
        "texts": schema.Seq(schema.Str()),
        "limits": schema.Mapping(dict.fromkeys(field.choices, above_zero)),
        "pace": schema.OneOf(schema.Bool(), _numbers(RANGES, WHOLE)),
        "burst": _numbers(bursts.RANGES, bursts.WHOLE),
        "free": schema.MapOf(schema.Free()),
        "whole": schema.Int(int(field.low), int(min(field.high, 2**63 - 1))),
        "number": schema.Float(field.low, min(field.high, 1e15)),
    }
    return made[field.kind]


def _base_url_problems(
    document: Document, data: dict[str, Any], allowed_hosts: Collection[str] | None
) -> list[Problem]:
    url = data.get("base_url")
    if not isinstance(url, str):
        return []
    hosts = None if allowed_hosts is None else [*allowed_hosts, *data.get("allowed_hosts", [])]
    wrong = wrong_base_url(url, hosts)
    if not wrong:
        return []
    got = "string (not shown)" if "@" in url else describe(url)
    elsewhere = hosts is not None and not wrong_base_url(url)
    allowed = f"{FORM} on one of these hosts, or on one listed in allowed_hosts" if elsewhere else FORM
    return [document.problem(("base_url",), wrong, got=got, allowed=allowed)]


def _contradictions(document: Document, data: dict[str, Any]) -> list[Problem]:
    """Return what is wrong between keys that are each right by themselves."""
    found = []
    if not any(document.has((key,)) for key in ("num_prompts", "duration_s")):
        found.append(document.problem((), "required key 'num_prompts' (or 'duration_s') is missing"))
    rate, count, duration = data.get("request_rate"), data.get("num_prompts"), data.get("duration_s")
    if rate and count and duration and count / rate > duration:
        message = f"is shorter than the load: {count} requests at {rate:g} per second need {count / rate:.1f} s"
        found.append(document.problem(("duration_s",), message, got=describe(duration)))
    wrong = {"adaptive_rate": wrong_order(data.get("adaptive_rate")), "burst": bursts.wrong_burst(data.get("burst"))}
    for key in (key for key in wrong if wrong[key]):
        found.append(document.problem((key,), wrong[key], got=describe(data[key])))
    for key in RESERVED_BODY_KEYS:
        if key in data.get("extra_body", {}):
            message = "is set by the load client and cannot be replaced"
            found.append(document.problem(("extra_body", key), message, at="key"))
    return found
