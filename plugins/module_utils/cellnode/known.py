# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secret values that are known beforehand: which are worth looking for in a text, and the forms in which they stand there."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from .redact import is_secret

SHORTEST = 6
LONGEST = 16 << 10
SHORTEST_LINE = 12  # of a value of several lines, lines of this length are looked for by themselves
# What stands where a secret is asked for and none is needed; logs use these words by themselves.
COMMON = frozenset(
    (
        *("anything", "changeme", "default", "disabled", "dummy-key", "enabled", "example", "localhost"),
        *("nokey", "no-key", "not-needed", "not-set", "optional", "password", "private", "public", "required"),
        *("secret", "string", "undefined", "unused"),
    )
)
_PATH_OR_ADDRESS = re.compile(r"~?/[\w./@+-]*|[a-z][a-z0-9+.-]*://[^@\s]*", re.IGNORECASE)
_ENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


def worth_hiding(value: str) -> bool:
    """Return whether a value is looked for: not one of under 6 characters, a common word, a number below 8 digits, a path or an address."""
    if len(value) < SHORTEST or value.lower() in COMMON or (value.isdigit() and len(value) < 8):
        return False
    return not _PATH_OR_ADDRESS.fullmatch(value)


def of_environment(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the variables whose names say that they are secret."""
    return tuple(value for name, value in variables.items() if is_secret(name) and worth_hiding(value))


def of_record(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the secret values in the environment of an inspected container."""
    listed = (record.get("Config") or {}).get("Env") or ()
    return of_environment(dict(entry.split("=", 1) for entry in listed if isinstance(entry, str) and "=" in entry))


def of_env_file(text: str) -> tuple[str, ...]:
    """Return the secret values of a `.env` file; a value may stand in quotes."""
    found = (_ENV_LINE.fullmatch(line) for line in text.splitlines())
    return of_environment({match[1]: _unquoted(match[2]) for match in found if match})


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def forms(values: Iterable[str]) -> list[bytes]:
    """Return what is looked for, the longest first: each value as it is, in JSON, in an address, and inside of base64."""
    found: set[bytes] = set()
    for value in values:
        if worth_hiding(value):
            for part in (value, *_long_lines(value)):
                found.update(form[:LONGEST] for form in _forms(part))
    return sorted(found, key=lambda form: (-len(form), form))


def _long_lines(value: str) -> list[str]:
    """Return the lines of a value of several lines that are long enough to be told from other text."""
    lines = [line.strip() for line in value.splitlines()]
    return (
        [line for line in lines if len(line) >= SHORTEST_LINE and not line.startswith("-----")]
        if len(lines) > 1
        else []
    )


def _forms(value: str) -> Iterator[bytes]:
    raw = _encoded(value)
    yield raw
    yield json.dumps(value)[1:-1].encode()
    yield _encoded(json.dumps(value, ensure_ascii=False)[1:-1])
    yield quote(raw, safe="").encode()
    yield quote_plus(raw).encode()
    for before in range(3):
        inner = _inside_base64(raw, before)
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def _encoded(text: str) -> bytes:
    """Return the bytes that a text stands for; those that were no UTF-8 are as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _inside_base64(raw: bytes, before: int) -> bytes:
    """Return the characters that stand for raw alone when so many bytes lie before it in what is encoded."""
    encoded = base64.b64encode(b"\0" * before + raw)
    shared_first = -(-before * 4 // 3)
    shared_last = (-(before + len(raw)) % 3) and (1 + (-(before + len(raw)) % 3))
    return encoded[shared_first : len(encoded) - shared_last]
