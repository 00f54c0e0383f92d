# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an input, said once and in one form.

Every reader of user files reports `Problem` objects and raises one `InputError` that carries all of them::

    problem = Problem(file="nodes.yaml", line=4, column=11, key="nodes.node1.port", message="port is out of range",
                      got=describe(70000), allowed="1..65535")
    problem.render()
    # nodes.yaml:4:11: nodes.node1.port: port is out of range; got integer 70000; allowed: 1..65535
    raise InputError([problem])

Foreign text is always passed through `describe`, `show` or `escape`: it is shortened, control characters become
visible escapes, and values below keys that look secret are not shown at all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
KeyPath = tuple[str | int, ...]

SHOWN_CHARACTERS = 80
HIDDEN = "(not shown)"
TYPE_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "mapping"}

_SECRET = re.compile(
    r"passw(or)?d|passphrase|passwd|secret|credential|bearer|api_?key|access_?key|private_?key|authorization"
    r"|(^|_)(auth|token|pwd)(_|$)"
)
_NOT_SECRET = re.compile(r"_(file|path|dir|name|timeout|ttl|ttl_s|env|field|count|limit)$")
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s@]*@")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=")
_PLAIN_KEY = re.compile(r"[^\s.\[\]\"']+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. line and column count from 1; 0 means that the whole file is meant."""

    file: str
    line: int = 0
    column: int = 0
    key: str = ""
    message: str = ""
    got: str = ""
    allowed: str = ""
    suggestion: str = ""
    severity: Severity = "error"

    def render(self) -> str:
        """Return `FILE:LINE:COL: key.path: what is wrong; got ...; allowed: ...; did you mean X?`, none of it empty."""
        where = self.file + (f":{self.line}:{self.column}" if self.line else "")
        head = [where, *([self.severity] if self.severity != "error" else []), *([self.key] if self.key else [])]
        tail = [self.message]
        tail += [f"got {self.got}"] if self.got else []
        tail += [f"allowed: {self.allowed}"] if self.allowed else []
        tail += [f"did you mean {self.suggestion}?"] if self.suggestion else []
        return escape(": ".join([*head, "; ".join(tail)]))

    def as_dict(self) -> dict[str, Any]:
        """Return the problem as plain JSON types, every field present."""
        return asdict(self)

    @property
    def is_error(self) -> bool:
        """Tell whether the input must be refused because of this problem."""
        return self.severity == "error"


class InputError(Exception):
    """Input is refused. `problems` holds all that was found; `usage` tells a wrong command from a wrong file."""

    def __init__(self, problems: Iterable[Problem], *, usage: bool = False) -> None:
        self.problems: tuple[Problem, ...] = in_order(problems)
        self.usage = usage
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(problem.render() for problem in self.problems)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems sorted by file, line, column and key; the same problem is kept once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.column, p.key, p.message)))


def refusal(problems: Sequence[Problem]) -> str:
    """Return how many errors there are and all problems, one a line, for a program that puts a name before its text."""
    errors = sum(problem.is_error for problem in problems)
    count = "one error" if errors == 1 else f"{errors} errors"
    return "\n".join([f"{count}, nothing was run:", *(problem.render() for problem in problems)])


def raise_if_errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the warnings and notes in order, or raise InputError with everything when one problem is an error."""
    found = in_order(problems)
    if any(problem.is_error for problem in found):
        raise InputError(found)
    return found


def format_path(path: KeyPath) -> str:
    """Return a key path as people write it: `deployment.services[0].name`; odd keys are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part) and len(part) <= SHOWN_CHARACTERS:
            text += ("." if text else "") + escape(part)
        else:
            text += f"[{show(part)}]"
    return text


def escape(text: str) -> str:
    """Return text in which everything that is not printable is a visible escape such as `\\x1b` or `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape_char(char) for char in text)


def _escape_char(char: str) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(char)
    wide = f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    return named.get(char) or (f"\\x{code:02x}" if code < 256 else wide)


def show(value: object, *, limit: int = SHOWN_CHARACTERS) -> str:
    """Return a value as it may be echoed: quoted if text, escaped, at most `limit` characters, credentials masked."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return _cut(str(value), limit)
    text = _URL_CREDENTIALS.sub(f"{HIDDEN}@", value)
    assignment = _ASSIGNMENT.match(text)
    if assignment and is_secret_key(assignment[1]):
        text = assignment[0] + HIDDEN
    elif "-----BEGIN" in text:
        text = HIDDEN
    return _cut(text, limit, quote="'")


def _cut(text: str, limit: int, quote: str = "") -> str:
    if len(text) <= limit:
        return f"{quote}{escape(text)}{quote}"
    return f"{quote}{escape(text[:limit])}...{quote} ({len(text)} characters)"


def describe(value: object, path: KeyPath = ()) -> str:
    """Return type and value for the `got` part, e.g. `integer 70000`; below a key that looks secret the type only."""
    if value is None:
        return "null"
    name = TYPE_NAMES.get(type(value), type(value).__name__)
    if isinstance(value, dict | list):
        unit = "key" if isinstance(value, dict) else "item"
        return f"{name} with {len(value)} {unit}{'s' if len(value) > 1 else ''}" if value else f"empty {name}"
    if is_secret_path(path):
        return f"{name} {HIDDEN}"
    return f"{name} {show(value)}"


def is_secret_key(name: str) -> bool:
    """Tell whether a key's name says that its value is a secret: password, hf_token, API_KEY; not max_tokens."""
    plain = re.sub(r"[-.\s]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:200])).lower()
    return _SECRET.search(plain) is not None and _NOT_SECRET.search(plain) is None


def is_secret_path(path: KeyPath) -> bool:
    """Tell whether a value at the path must not be shown."""
    return any(isinstance(part, str) and is_secret_key(part) for part in path)


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.72) -> str:
    """Return the known name that `name` was probably meant to be, or "" when none is near."""
    candidates = list(known)
    folded = {_fold(candidate): candidate for candidate in reversed(candidates)}
    if _fold(name) in folded:
        return folded[_fold(name)]
    found = difflib.get_close_matches(name[:100].lower(), [c.lower() for c in candidates], n=1, cutoff=cutoff)
    return next((c for c in candidates if found and c.lower() == found[0]), "")


def _fold(name: str) -> str:
    return re.sub(r"[-_\s]+", "", name[:200]).lower()


def listing(values: Sequence[object], *, most: int = 20) -> str:
    """Return values joined by commas for the `allowed` part; more than `most` are cut with their count."""
    shown = ", ".join(escape(str(value)) for value in values[:most])
    return shown if len(values) <= most else f"{shown}, ... ({len(values)} in all)"
