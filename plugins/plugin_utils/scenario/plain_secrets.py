# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that looks like a secret written in plain, and text that looks like a template: both are warned of by place.

Both never show the text. A reference to a variable, `${NAME}`, is no secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..problems import HIDDEN, KeyPath, Problem, is_secret_key
from .names import has_jinja
from .strict_yaml import Document

_REFERENCE = re.compile(r"\$(?:\{[A-Za-z_][A-Za-z0-9_]*(?::?[-?+][^}]*)?\}|[A-Za-z_][A-Za-z0-9_]*)")
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(?:sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|xox[abp]-[0-9A-Za-z-]{10,})"
    r"|://[^/\s:@${}]+:[^/\s@${}]+@"
)
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.+)", re.DOTALL)
_OPTION = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<value>.+))?", re.DOTALL)


def suspicious(document: Document, data: Any) -> list[Problem]:
    """Return a warning for each secret in plain and each template text in data, with its place and never its value."""
    problems = []
    for path, text in _texts(data, ()):
        if is_plain_secret(path, text):
            problems.append(_secret(document, path))
        if has_jinja(text):
            message = "template text is taken as it is written and never filled in"
            problems.append(document.problem(path, message, severity="warning"))
    args = data.get("test_execution", {}).get("args", []) if isinstance(data, dict) else []
    return [*problems, *_secret_options(document, ("test_execution", "args"), args)]


def compose_secrets(document: Document) -> list[Problem]:
    """Return a warning for each secret in plain of a compose file: in environments, commands, or by its form."""
    found = [path for path, text in _texts(document.data, ()) if is_plain_secret(path, text)]
    problems = [_secret(document, path) for path in found]
    services = document.data.get("services") if isinstance(document.data, dict) else None
    for name, body in services.items() if isinstance(services, dict) else ():
        for key in ("command", "entrypoint"):
            words = body.get(key) if isinstance(body, dict) else None
            problems += _secret_options(document, ("services", name, key), words if isinstance(words, list) else [])
        listed = body.get("environment") if isinstance(body, dict) else None
        problems += _secret_assignments(document, ("services", name, "environment"), listed)
    return problems


def _secret(document: Document, path: KeyPath) -> Problem:
    return document.problem(path, "looks like a secret written in plain; keep it out of the file", severity="warning")


def _secret_assignments(document: Document, path: KeyPath, listed: Any) -> Iterator[Problem]:
    """Report `NAME=VALUE` in a list where the name says that the value is a secret."""
    for index, text in enumerate(listed if isinstance(listed, list) else ()):
        match = _ASSIGNED.fullmatch(text) if isinstance(text, str) else None
        if match is not None and is_plain_secret((match[1],), match[2]):
            yield _secret(document, (*path, index))


def is_plain_secret(path: KeyPath, text: str) -> bool:
    """Tell whether text at path is a secret: by the key's name, unless it only refers to a variable, or by its form."""
    if not text or _REFERENCE.fullmatch(text):
        return False
    key = path[-1] if path else ""
    return (isinstance(key, str) and is_secret_key(key)) or _SECRET_VALUE.search(text) is not None


def displayed(path: KeyPath, value: Any) -> Any:
    """Return value as it may be printed: a secret written in plain, alone or in a list, is hidden."""
    if isinstance(value, list):
        return [displayed(path, item) for item in value]
    return HIDDEN if isinstance(value, str) and is_plain_secret(path, value) else value


def _secret_options(document: Document, path: KeyPath, words: list[Any]) -> Iterator[Problem]:
    """Report `--api-key VALUE` and `--api-key=VALUE` among the words of a command at the path."""
    args = [word if isinstance(word, str) else "" for word in words]
    for index, text in enumerate(args):
        option = _OPTION.fullmatch(text)
        if option is None or not is_secret_key(option["name"]):
            continue
        at = index if option["value"] else index + 1
        value = option["value"] or (args[at] if at < len(args) else "")
        if value and not value.startswith("-") and not _REFERENCE.fullmatch(value):
            yield _secret(document, (*path, at))


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
