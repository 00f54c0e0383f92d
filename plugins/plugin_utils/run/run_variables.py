# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables that concern a run as a whole, out of text: a command line knows no types, as Ansible's own does not."""

from __future__ import annotations

import ast
import json
import shlex
from collections.abc import Mapping
from typing import Any

from ..problems import Problem, describe
from ..scenario.variables import PREFIX
from . import install_variables
from .inventory import is_template

NUMBERS = ("lease_ttl_s", "min_free_bytes", "wait_s")
ENVIRONMENT = "environment"
_ENVIRONMENT_FORM = 'NAME=VALUE ..., or {"NAME": "VALUE", ...}'


def read(variables: Mapping[str, Any], origin: str = "-e") -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Return the fields of `Asked` that variables set, and what is wrong with the others. Values are never shown.

    An environment that is a template as a whole is passed over, since only Ansible knows what it becomes.
    """
    fields: dict[str, Any] = {}
    problems = []
    for name in NUMBERS:
        value = variables.get(PREFIX + name)
        if isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").isdecimal()):
            fields[name] = int(value)
        elif value is not None:
            problems.append(Problem(origin, 0, 0, PREFIX + name, "must be an integer", describe(value)))
    given = variables.get(PREFIX + ENVIRONMENT)
    environment = _environment(given)
    if environment is not None:
        fields[ENVIRONMENT] = environment
    elif given is not None and not is_template(given):
        message = "must give environment variables"
        problems.append(Problem(origin, 0, 0, PREFIX + ENVIRONMENT, message, allowed=_ENVIRONMENT_FORM))
    known = {key: value for key, value in variables.items() if not is_template(value)}
    return fields, (*problems, *install_variables.problems(known, origin))


def _environment(given: Any) -> dict[str, str] | None:
    """Return environment variables from a mapping, its JSON text, or words NAME=VALUE; None when it is none of them."""
    if isinstance(given, str):
        given = _of_text(given)
    if not isinstance(given, Mapping):
        return None
    return {str(name): str(value) for name, value in given.items()}


def _of_text(text: str) -> Any:
    if text.lstrip().startswith("{"):
        return _of_mapping(text.strip())
    try:
        pairs = [word.partition("=") for word in shlex.split(text)]
    except ValueError:
        return None
    return {name: value for name, _, value in pairs} if pairs and all(equals for _, equals, _ in pairs) else None


def _of_mapping(text: str) -> Any:
    """Return what text means as JSON, else as Python writes it, which Ansible takes from INI inventories; None for neither."""
    for read_text in (json.loads, ast.literal_eval):
        try:
            return read_text(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None
