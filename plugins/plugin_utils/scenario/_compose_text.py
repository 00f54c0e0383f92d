# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills `${VARIABLES}` into the text of a compose file the way compose does, and says what is wrong with them.

    fill("${TAG:-1}", {}).text == "1"        fill("$$HOME", {}).text == "$HOME"
    fill("bb:${TAG}", {}).faults == ("variable TAG is not set ...",)

Variables that Testcell sets at run time (TESTCELL_*), and those whose name says that they are secret, stay as they are
written: `late` is True then, and nobody should judge the form of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..problems import InputError, KeyPath, Problem, is_secret_key, show
from ._nodes import Node
from ._source import Limits, read_text

RUN_TIME_PREFIX = "TESTCELL_"
_MOST_NESTED = 8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<op>:?[-?+])(?P<rest>.*))?", re.DOTALL)
_NEWER = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::?\+|:?[-?][^}]*\$\{)")
_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*")

Fault = Callable[[KeyPath, str], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """Text with its variables filled in. late: a value is only known at run time and stands there by its name."""

    text: str
    faults: tuple[str, ...] = ()
    late: bool = False


def fill(text: str, environ: Mapping[str, str], depth: int = 0) -> Filled:
    """Return the text with every variable replaced; what cannot be replaced becomes nothing and a fault."""
    parts: list[str] = []
    faults: list[str] = []
    late, at = False, 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        filled, at = _variable(text, dollar, environ, depth)
        parts.append(filled.text)
        faults += filled.faults
        late = late or filled.late
    return Filled("".join([*parts, text[at:]]), tuple(faults), late)


def _variable(text: str, dollar: int, environ: Mapping[str, str], depth: int) -> tuple[Filled, int]:
    following = text[dollar + 1 : dollar + 2]
    if following == "$":
        return Filled("$"), dollar + 2
    if following == "{":
        end = _closing(text, dollar)
        if end < 0:
            return Filled("", ("'${' is not closed by '}'",)), len(text)
        return _braced(text[dollar + 2 : end], environ, depth), end + 1
    name = _NAME.match(text, dollar + 1)
    if name is None:
        return Filled("", ("a single '$' starts no variable; write $$ for a dollar sign",)), dollar + 1
    return _value(name[0], environ), name.end()


def _closing(text: str, dollar: int) -> int:
    depth = 0
    for match in re.finditer(r"\$\$|\$\{|\}", text[dollar:]):
        depth += {"${": 1, "}": -1}.get(match[0], 0)
        if depth == 0 and match[0] == "}":
            return dollar + match.start()
    return -1


def _braced(inner: str, environ: Mapping[str, str], depth: int) -> Filled:
    match = _BRACED.fullmatch(inner)
    if match is None or depth >= _MOST_NESTED:
        return Filled("", (f"'${{' with {show(inner)} is not a variable that compose understands",))
    name, operator, rest = match["name"], match["op"] or "", match["rest"] or ""
    is_set = name in environ and (environ[name] != "" or not operator.startswith(":"))
    if operator.endswith("+"):
        return fill(rest, environ, depth + 1) if is_set else Filled("")
    if is_set or not operator:
        return _value(name, environ)
    if operator.endswith("-"):
        return fill(rest, environ, depth + 1)
    if name.startswith(RUN_TIME_PREFIX):
        return Filled(f"${{{name}}}", late=True)
    state = "is empty" if name in environ else "is not set"
    return Filled("", (f"variable {name} {state}{': ' + show(rest) if rest else ''}",))


def _value(name: str, environ: Mapping[str, str]) -> Filled:
    if name in environ and not is_secret_key(name):
        return Filled(environ[name])
    if name in environ or name.startswith(RUN_TIME_PREFIX):
        return Filled(f"${{{name}}}", late=True)
    advice = (
        f"set it with testcell_environment or in the .env file beside, give a default with ${{{name}:-VALUE}},"
        f" or write $${name} for the shell in the container"
    )
    return Filled("", (f"variable {name} is not set; {advice}",))


def fill_tree(node: Node, environ: Mapping[str, str], fault: Fault, path: KeyPath = ()) -> Node:
    """Return a copy of the tree with all values filled in, not the keys; fault is told each problem and its path."""
    if node.kind == "scalar":
        return _fill_scalar(node, environ, fault, path)
    copy = Node(node.kind, node.line, node.column)
    copy.entries = [fill_tree(entry, environ, fault, (*path, i)) for i, entry in enumerate(node.entries)]
    for name, (key, value) in node.items.items():
        filled = fill_tree(value, environ, fault, (*path, name))
        if name == "mode" and filled.odd is not None and filled.odd.kind == "number":
            filled.odd = None  # file modes such as 0440 are octal on purpose, compose takes them as text too
        copy.items[name] = (key, filled)
    return copy


def _fill_scalar(node: Node, environ: Mapping[str, str], fault: Fault, path: KeyPath) -> Node:
    copy = Node("scalar", node.line, node.column, node.value, node.text, node.odd, node.plain)
    if isinstance(node.value, str) and "$" in node.value:
        filled = fill(node.value, environ)
        copy.value = filled.text
        for message in filled.faults:
            fault(path, message)
    return copy


def newer_forms(node: Node, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the paths of values whose variables Compose V1 cannot read: `${A:+x}` and defaults with variables in them."""
    if isinstance(node.value, str) and _NEWER.search(node.value.replace("$$", "")):
        yield path
    for index, entry in enumerate(node.entries):
        yield from newer_forms(entry, (*path, index))
    for name, (_, value) in node.items.items():
        yield from newer_forms(value, (*path, name))


def is_late(text: str) -> bool:
    """Tell whether a filled text still holds a variable that is only known at run time."""
    return "${" in text


def dotenv(folder: Path) -> dict[str, str]:
    """Return the variables of the folder's .env file, which compose reads by itself; {} when there is none."""
    path = folder / ".env"
    if not path.is_file():
        return {}
    lines = enumerate(read_text(path, Limits()).splitlines(), 1)
    return dict(_assignment(path, number, line) for number, line in lines if line.strip() and not _is_comment(line))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _assignment(path: Path, number: int, line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise InputError([Problem(str(path), number, 1, message="not a line of the form NAME=VALUE")])
    value = match["value"]
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return match["name"], value[1:-1] if quoted else re.sub(r"\s+#.*", "", value)
