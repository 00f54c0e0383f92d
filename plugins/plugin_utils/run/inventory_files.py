# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files of an inventory show that its variables do not: places, who may write them, secrets in plain."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..problems import InputError, Problem, in_order
from ..scenario import strict_yaml, trust, variables
from ..scenario._nodes import Node
from .inventory import INVENTORY

VARIABLES = "inventory variables"
_YAML = (".yml", ".yaml")
_UNREAD = (".json", ".toml", ".cfg", ".py", ".sh", ".retry")
_BESIDE = ("group_vars", "host_vars")
_SECTION = re.compile(r"\s*\[([^\]:]+)(?::(vars|children|hosts))?\]\s*(?:[#;].*)?")
_SECRET = re.compile(r"\b(ansible_(?:ssh_|become_)?pass(?:word)?)\s*=\s*(?![\"']?\{\{)\S")
_MOST_BYTES = 1 << 20

Place = tuple[str, int, int]


def placed(problems: Iterable[Problem], sources: Sequence[str]) -> tuple[Problem, ...]:
    """Return the problems of inventory variables with the file, line and column where the variable is written."""
    files = [path for path in _files(sources) if not os.access(path, os.X_OK)]
    return in_order(_placed(problem, files) for problem in problems)


def distrusted(sources: Sequence[str], user: int) -> list[Problem]:
    """Return why files of the inventory may not be believed; their variables steer ssh. user: the effective user id."""
    return [problem for path in _files(sources) for problem in trust.distrust(path, user=user)]


def plain_secrets(sources: Sequence[str]) -> list[Problem]:
    """Return a warning for each password that stands in plain in an INI inventory, never its value."""
    message = "secret written in plain text; use a key, ansible-vault or an environment variable"
    return [
        Problem(str(path), number, match.start(1) + 1, match[1], message, severity="warning")
        for path in _files(sources)
        if path.suffix not in _YAML and not os.access(path, os.X_OK)
        for number, line in enumerate(_lines(path), 1)
        if (match := _SECRET.search(line)) is not None and not line.lstrip().startswith(("#", ";"))
    ]


def _files(sources: Sequence[str]) -> list[Path]:
    """Return the files that the sources are made of, with the variables of groups and hosts beside them."""
    found: list[Path] = []
    for source in (Path(source) for source in sources if "," not in source or Path(source).exists()):
        folder = source if source.is_dir() else source.parent
        found += [source] if source.is_file() else _below(source)
        found += [path for name in _BESIDE for path in _below(folder / name)]
    return [path for path in dict.fromkeys(found) if path.suffix not in _UNREAD]


def _below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _placed(problem: Problem, files: Sequence[Path]) -> Problem:
    if problem.file not in (INVENTORY, VARIABLES):
        return problem
    host, wanted = _looked_for(problem)
    places = [place for path in files for place in _places(path, host, wanted)]
    if not places:
        return replace(problem, file=str(files[0])) if len(files) == 1 else problem
    _, file, line, column = min(places)
    return replace(problem, file=file, line=line, column=column)


def _looked_for(problem: Problem) -> tuple[str, list[str]]:
    """Return the host that a problem is about, "" for a setting, and the variables that it may stand in."""
    if problem.file == VARIABLES:
        return "", variables.names_of(problem.key)
    host, _, variable = problem.key.rpartition(".")
    return (host, [variable]) if host and variable.startswith(("ansible_", "testcell_")) else (problem.key, [])


def _places(path: Path, host: str, wanted: Sequence[str]) -> Iterator[tuple[int, str, int, int]]:
    """Yield where a file speaks of a host's variable, with a rank: 0 with the host, 1 elsewhere, 2 the host alone."""
    found = _in_yaml(path, host, wanted) if path.suffix in _YAML else _in_ini(path, host, wanted)
    for rank, line, column in found:
        yield rank, str(path), line, column


def _in_ini(path: Path, host: str, wanted: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    kind = "hosts"
    patterns = [re.compile(rf"(?<![\w.-]){re.escape(name)}\s*=") for name in wanted]
    for number, line in enumerate(_lines(path), 1):
        section = _SECTION.fullmatch(line)
        if section is not None:
            kind = section[2] or "hosts"
            continue
        if line.lstrip().startswith(("#", ";")):
            continue
        columns = [match.start() + 1 for pattern in patterns if (match := pattern.search(line))]
        first = (line.split() or [""])[0]
        if kind == "vars":
            yield from ((1, number, column) for column in columns)
        elif host and kind == "hosts" and first == host:
            yield from ((0, number, column) for column in columns)
            yield 2, number, line.index(first) + 1


def _in_yaml(path: Path, host: str, wanted: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    try:
        root = strict_yaml.read(path).root
    except InputError:
        return
    about_host = path.stem == host and path.parent.name == "host_vars"
    yield from _in_tree(root, host, wanted, about_host)


def _in_tree(node: Node | None, host: str, wanted: Sequence[str], inside: bool) -> Iterator[tuple[int, int, int]]:
    if node is None:
        return
    for name, (key, value) in node.items.items():
        if name in wanted:
            yield (0 if inside else 1), key.line, key.column
        if host and name == host:
            yield 2, key.line, key.column
        yield from _in_tree(value, host, wanted, inside or (host != "" and name == host))


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
