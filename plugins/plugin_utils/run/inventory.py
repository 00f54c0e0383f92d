# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nodes of a run as the inventory describes them: names, addresses, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..deploy.placement import LOCAL
from ..problems import InputError, Problem, describe, show

INVENTORY = "inventory"
PORTS = range(1, 65536)


@dataclass(frozen=True)
class NodeEntry:
    """A node of the inventory. address: how other nodes reach it, "" where nothing says it."""

    name: str
    address: str
    local: bool


def entries(hosts: Mapping[str, Mapping[str, Any]]) -> tuple[NodeEntry, ...]:
    """Return the enabled nodes in inventory order. hosts: name -> host variables. Raise InputError with all problems.

    `localhost` is Ansible's own host and no node; the controller as a node is called `local`.
    """
    nodes = {name: facts for name, facts in hosts.items() if name != "localhost" and is_enabled(facts)}
    problems = [problem for name, facts in nodes.items() for problem in _host_problems(name, facts)]
    problems += _twice(nodes)
    if problems:
        raise InputError(problems)
    return tuple(NodeEntry(name, _address(name, facts), _is_local(facts)) for name, facts in nodes.items())


def addresses(nodes: Sequence[NodeEntry]) -> dict[str, str]:
    """Return node -> address; the controller that nobody gave an address is reached on loopback, by itself only."""
    return {LOCAL: "127.0.0.1", **{node.name: node.address for node in nodes}}


def is_enabled(facts: Mapping[str, Any]) -> bool:
    """Return whether a node takes part, by its host variables."""
    return str(facts.get("testcell_enabled", True)).lower() not in ("false", "no", "0")


def _is_local(facts: Mapping[str, Any]) -> bool:
    return str(facts.get("ansible_connection", "ssh")).rpartition(".")[2] == "local"


def _address(name: str, facts: Mapping[str, Any]) -> str:
    given = facts.get("testcell_address") or facts.get("ansible_host")
    return str(given) if given else ("127.0.0.1" if _is_local(facts) else name)


def _host_problems(name: str, facts: Mapping[str, Any]) -> list[Problem]:
    """Hold one host's variables against what ssh would do with them; a leading dash would be an option to it."""
    found = []
    for key in ("ansible_host", "testcell_address"):
        value = facts.get(key)
        if value is not None and not _plain_host(str(value)):
            found.append(
                _problem(
                    name,
                    key,
                    f"{show(str(value))} is no host name or address",
                    describe(str(value)),
                    "letters, digits, '.', '-', ':'",
                )
            )
    port = facts.get("ansible_port")
    if port is not None and not (str(port).isdigit() and int(str(port)) in PORTS):
        found.append(_problem(name, "ansible_port", "is no port", describe(_plain(port)), "1..65535"))
    return found


def _plain_host(text: str) -> bool:
    return bool(text) and text.isascii() and not text.startswith("-") and all(c.isalnum() or c in ".-_:%" for c in text)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, int) else str(value)


def _twice(nodes: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    seen: dict[tuple[str, str], str] = {}
    found = []
    for name, facts in nodes.items():
        if _is_local(facts):
            continue
        place = (str(facts.get("ansible_host", name)), str(facts.get("ansible_port", 22)))
        first = seen.setdefault(place, name)
        if first != name:
            found.append(
                _problem(
                    name, "ansible_host", f"is the same machine as node {show(first)}: {place[0]}:{place[1]}", "", ""
                )
            )
    return found


def _problem(name: str, key: str, message: str, got: str, allowed: str) -> Problem:
    return Problem(INVENTORY, 0, 0, f"{name}.{key}", message, got, allowed)
