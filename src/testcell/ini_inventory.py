# SPDX-License-Identifier: MIT

"""The simple form of Ansible's INI inventory: hosts, groups, children and variables, without ranges or templates."""

from __future__ import annotations

import re
import shlex
from typing import Any

SECTION = re.compile(r"\[([A-Za-z0-9_.-]+)(?::(vars|children|hosts))?\]")
HOST = re.compile(r"[A-Za-z0-9_.:-]+")
TOP = "all"
CONTROLLER = "localhost"


class _Parser:
    """Collects what the lines say; `simple` turns false at the first line that needs Ansible to be understood."""

    def __init__(self) -> None:
        self.hosts: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = {}
        self.children: dict[str, list[str]] = {}
        self.variables: dict[str, dict[str, Any]] = {}
        self.simple = True
        self._group = "ungrouped"
        self._kind = "hosts"

    def line(self, text: str) -> None:
        """Take in one line."""
        section = SECTION.fullmatch(text)
        if section:
            self._group, self._kind = section[1], section[2] or "hosts"
        elif text.startswith("["):
            self.simple = False
        elif self._kind == "vars":
            name, equals, value = text.partition("=")
            self.simple = self.simple and bool(equals)
            self.variables.setdefault(self._group, {})[name.strip()] = _value(value)
        elif self._kind == "children":
            self.children.setdefault(self._group, []).append(text)
        else:
            self._host(text)

    def _host(self, text: str) -> None:
        try:
            name, *pairs = shlex.split(text, comments=True)
        except ValueError:
            self.simple = False
            return
        if not HOST.fullmatch(name) or not all("=" in pair for pair in pairs):
            self.simple = False
            return
        facts = self.hosts.setdefault(name, {})
        if name.count(":") == 1:
            self.simple = False
        facts.update({key: _value(value) for key, _, value in (pair.partition("=") for pair in pairs)})
        self.members.setdefault(self._group, []).append(name)


def parse(text: str) -> dict[str, dict[str, Any]] | None:
    """Return host -> variables in the order of the file, or None when the text is more than the simple form.

    Variables of the group `all` are given as those of `localhost` too, as Ansible gives them to the controller.
    """
    parser = _Parser()
    for raw in text.splitlines():
        line = raw.strip()
        if line and line[0] not in "#;":
            parser.line(line)
    if not parser.simple:
        return None
    found = {name: {**_inherited(parser, name), **own} for name, own in parser.hosts.items()}
    everywhere = parser.variables.get(TOP)
    return {**found, CONTROLLER: dict(everywhere)} if everywhere and CONTROLLER not in found else found


def _inherited(parser: _Parser, host: str) -> dict[str, Any]:
    """Return the variables that a host gets from its groups, those of a child beating those of its parents."""
    groups = [group for group, members in parser.members.items() if host in members]
    depth = dict.fromkeys(groups, 1)
    pending = list(groups)
    while pending:
        child = pending.pop()
        for parent, children in parser.children.items():
            if child in children and parent not in depth:
                depth[parent] = depth[child] + 1
                pending.append(parent)
    found = dict(parser.variables.get(TOP, {}))
    for group in sorted((g for g in depth if g != TOP), key=lambda g: (-depth[g], g)):
        found.update(parser.variables.get(group, {}))
    return found


def _value(text: str) -> str:
    return text.strip().strip("\"'")
