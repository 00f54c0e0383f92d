# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads settings out of variables (inventory, `-e`), so that they are checked by the same schema as files are.

Three ways to write one setting, all equal::

    testcell_test_execution: {timeout: 600}      # a section
    testcell_test_execution_timeout: 600         # one key
    test_execution.timeout=600                   # one key, dotted, for `-e` and `--set`

and the playbook variables of `SHORT_NAMES`. Variables come from command lines and INI files as text, so `"600"` is a
number where a number is wanted; other variables are none of ours and are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Any

from ..problems import KeyPath, Problem, format_path, listing, nearest
from . import settings
from ._measures import Measure
from ._nodes import Node
from ._scalars import resolve
from .schema import Bool, Float, Int, Key, MapOf, Mapping, OneOf, Seq, Spec
from .strict_yaml import Document

PREFIX = "testcell_"
SHORT_NAMES: dict[str, KeyPath] = {
    "collection_mode": ("test_execution", "collection_mode"),
    "continue_on_failure": ("inter_scenario", "continue_on_failure"),
    "database_url": ("results", "database_url"),
}
# Such words may well be the user's own, so they are ours only where a soak is asked for.
SOAK_NAMES: dict[str, KeyPath] = {
    name: ("soak", name)
    for name in (
        "duration_secs",
        "max_stall_secs",
        "max_lag_p95",
        "max_failure_ratio",
        "max_rss_slope",
        "enable_chaos",
        "negative_control",
        "chaos_plan",
        "out_dir",
        "topologies",
    )
}
SOAK_PROFILE = "soak_profile"

RUN_VARIABLES = tuple(
    PREFIX + name
    for name in (
        "address",
        "enabled",
        "environment",
        "install",
        "install_packages",
        "lease_ttl_s",
        "min_free_bytes",
        "node_root",
        "project_dir",
        "run_id",
        "wait_s",
    )
)
_ALMOST = 0.85

_PATHS: dict[str, KeyPath] = {
    **{PREFIX + "_".join(map(str, path)): path for path in settings.leaf_specs()},
    **{PREFIX + section: (section,) for section in settings.SECTIONS},
}
_DOTTED: dict[str, KeyPath] = {format_path(path): path for path in settings.leaf_specs()}


def document(variables: MappingOf[str, Any], origin: str, *, short_names: bool) -> Document:
    """Return the settings among variables as a document whose problems are the unknown names. origin: e.g. `-e`.

    short_names: the playbook variables and dotted names count too, which only `-e` may use; those of a soak where there is
    one, that is where `soak_profile` says something.
    """
    content: dict[str, Any] = {}
    problems = []
    short = SHORT_NAMES | (SOAK_NAMES if variables.get(SOAK_PROFILE) else {}) if short_names else {}
    for name in sorted(variables, key=lambda name: (len(_path_of(name, short) or ()), name)):
        path = _path_of(name, short)
        if path is not None:
            _put(content, path, variables[name])
        elif wrong := _unknown(name, origin, short_names):
            problems.append(wrong)
    return Document(origin, _node(content, settings.GLOBAL) if content else None, tuple(problems))


def names_of(key: str) -> list[str]:
    """Return the inventory variables that may hold the setting that a problem's key path leads to."""
    parts = key.partition("[")[0].split(".")
    return [key, *(PREFIX + "_".join(parts[:end]) for end in range(len(parts), 0, -1))]


def _path_of(name: str, short: MappingOf[str, KeyPath]) -> KeyPath | None:
    """Return the path of a setting. short: the short names that count, with which dotted ones do."""
    return _PATHS.get(name) or short.get(name) or (_DOTTED.get(name) if short else None)


def _unknown(name: str, origin: str, short_names: bool) -> Problem | None:
    """Return a problem for a name that can only be meant as one of our settings and is none.

    Such are dotted names, names that start like one of our sections, and those that are almost the name of a setting;
    any other variable is the user's own.
    """
    dotted = "." in name
    if (dotted and not short_names) or name in RUN_VARIABLES or not (dotted or name.startswith(PREFIX)):
        return None
    known = _DOTTED if dotted else _PATHS
    section = next((s for s in settings.SECTIONS if name.startswith((f"{PREFIX}{s}_", f"{s}."))), None)
    near = nearest(name, known, cutoff=0.72 if section or dotted else _ALMOST)
    if not (section or dotted or near):
        return None
    allowed = [other for other, path in known.items() if path[0] == section] or list(settings.SECTIONS)
    return Problem(origin, key=name, message="unknown setting", allowed=listing(allowed), suggestion=near)


def _put(content: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Put value at path; a section that is no mapping is kept as it is, for the schema to refuse."""
    if len(path) == 1:
        content[str(path[0])] = dict(value) if isinstance(value, MappingOf) else value
        return
    inner = content.setdefault(str(path[0]), {})
    if isinstance(inner, dict):
        _put(inner, path[1:], value)


def _node(value: Any, spec: Spec | None) -> Node:
    """Return the tree of a value; place 0:0 says that it stands in no file."""
    if isinstance(value, MappingOf):
        items = {
            str(key): (_scalar(str(key), None), _node(item, _below(spec, str(key)))) for key, item in value.items()
        }
        return Node("mapping", 0, 0, items=items)
    if isinstance(spec, Seq) and spec.words and isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, list | tuple):
        inner = spec.item if isinstance(spec, Seq) else None
        return Node("sequence", 0, 0, entries=[_node(entry, inner) for entry in value])
    return _scalar(value, spec)


def _scalar(value: Any, spec: Spec | None) -> Node:
    if isinstance(value, str):
        text = str(value)
        if isinstance(spec, Int | Float | Bool | Measure):
            plain, odd = resolve(text)
            return Node("scalar", 0, 0, plain, text, odd, plain=True)
        return Node("scalar", 0, 0, text, text)
    exact = value if value is None or isinstance(value, bool) else _exact(value)
    return Node("scalar", 0, 0, exact, str(exact), plain=value is not None)


def _exact(value: Any) -> int | float | str:
    """Return a number without what Ansible hangs on it; anything else as its text."""
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)


def _below(spec: Spec | None, name: str) -> Spec | None:
    if isinstance(spec, Mapping):
        key = spec.keys.get(name)
        return key.spec if isinstance(key, Key) else key
    if isinstance(spec, MapOf):
        return spec.value
    return next((_below(inner, name) for inner in spec.specs), None) if isinstance(spec, OneOf) else None
