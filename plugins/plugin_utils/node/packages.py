# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which packages bring what a node lacks: those that the user named, else the ones known for its distribution."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ENGINE, COMPOSE = "engine", "compose"
PARTS = (ENGINE, COMPOSE)
FORM = '{"engine": [PACKAGE, ...], "compose": [PACKAGE, ...]}, either of them or both'
# A leading dash would be an option to the package manager.
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_:~=/-]*")
_NEWEST = 1 << 30


class PackagesError(ValueError):
    """Packages that are named in another form than FORM, or that nobody has named."""


def named(given: Any) -> dict[str, tuple[str, ...]]:
    """Return part -> packages as the user named them in a mapping or its text; raise PackagesError for anything else."""
    mapping = _mapping(given)
    unknown = [str(part) for part in mapping if part not in PARTS]
    if unknown:
        raise PackagesError(f"{unknown[0]!r} is no part of a node; known: {', '.join(PARTS)}")
    return {str(part): _names(str(part), listed) for part, listed in mapping.items()}


def choose(
    missing: Mapping[str, Any], facts: Mapping[str, Any], known: Sequence[Mapping[str, Any]], given: Any
) -> list[str]:
    """Return the packages that bring missing["parts"], each once; raise PackagesError where none is known.

    facts: Ansible's minimal facts of the node. known: rules, of which the last one that fits and names the part counts.
    given: what the user named, which beats every rule.
    """
    own, rules = named(given), list(_fitting(missing, facts, known))
    found: list[str] = []
    for part in missing["parts"]:
        found += own.get(part) or _of_rules(part, rules, facts)
    return list(dict.fromkeys(found))


def _mapping(given: Any) -> Mapping[Any, Any]:
    if isinstance(given, str):
        given = _of_text(given.strip()) if given.strip() else {}
    if not isinstance(given, Mapping):
        raise PackagesError("it is no mapping of parts to lists of packages")
    return given


def _of_text(text: str) -> Any:
    """Return what text means as JSON, else as Python writes it, which INI inventories hold; None for neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def _names(part: str, listed: Any) -> tuple[str, ...]:
    names = [listed] if isinstance(listed, str) else listed
    if not isinstance(names, Sequence) or not names:
        raise PackagesError(f"{part} names no package")
    for name in names:
        if not isinstance(name, str) or not _PACKAGE.fullmatch(name):
            raise PackagesError(f"{part} holds {name!r}, which is no package name")
    return tuple(str(name) for name in names)


def _fitting(
    missing: Mapping[str, Any], facts: Mapping[str, Any], known: Sequence[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Yield the rules whose conditions all hold for the node."""
    node = {
        "distribution": facts.get("distribution"),
        "os_family": facts.get("os_family"),
        "engine_vendor": missing.get("engine_vendor"),
    }
    version = _version(facts)
    for rule in known:
        holds = all(rule[key] == value for key, value in node.items() if key in rule)
        if holds and rule.get("from_version", 0) <= version:
            yield rule


def _version(facts: Mapping[str, Any]) -> int:
    """Return the major version; a distribution that has none yet, as Debian's testing, is the newest."""
    text = str(facts.get("distribution_major_version"))
    return int(text) if text.isdecimal() else _NEWEST


def _of_rules(part: str, rules: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> list[str]:
    found = next((rule[part] for rule in reversed(rules) if part in rule), None)
    if found is None:
        place = f"{facts.get('distribution', 'this system')} {facts.get('distribution_version', '')}".strip()
        raise PackagesError(f"no package is known that brings {part} on {place}; name it in testcell_install_packages")
    return [str(name) for name in found]
