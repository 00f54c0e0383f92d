# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of iptables that belong to one event: in chains of their own, and removed with them.

What a rule matches is not always printed as it was given, so rules are not deleted one by one: the jumps into our chains
are, and then the chains.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import CellError
from .netns import Door

WAIT_S = "5"  # for the lock of the tables, which the engine takes as well
Json = dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """Where the rules of an event are. prefix: of its chains' names, `testcell-<key>`."""

    tools: tuple[str, ...]
    table: str
    prefix: str
    comment: str

    def as_dict(self) -> Json:
        """Return it as JSON values."""
        return {"tools": list(self.tools), "table": self.table, "prefix": self.prefix, "comment": self.comment}


def of(data: Json) -> Tables:
    """Return what as_dict had given."""
    return Tables(tuple(data["tools"]), data["table"], data["prefix"], data["comment"])


@dataclass(frozen=True)
class Chain:
    """One chain of an event. hook: the kernel's chain; jumps: what enters ours (one jump each); rules: match and target."""

    name: str
    hook: str
    jumps: tuple[tuple[str, ...], ...]
    rules: tuple[tuple[str, ...], ...]


def call(door: Door, tool: str, table: str, *words: str) -> str:
    """Return what a call of iptables prints."""
    return door.asked(tool, "-w", WAIT_S, "-t", table, *words)


def tools(door: Door, table: str, ipv6: bool) -> tuple[str, ...]:
    """Return the tools that work on a table inside. ipv6: whether there are addresses that need ip6tables."""
    call(door, "iptables", table, "-S")
    if door.run("ip6tables", "-w", WAIT_S, "-t", table, "-S").ok:
        return ("iptables", "ip6tables")
    if ipv6:
        raise CellError("chaos_unsupported", "the target has IPv6 addresses, and ip6tables does not work on this node")
    return ("iptables",)


def install(door: Door, tables: Tables, chains: Sequence[Chain]) -> None:
    """Make the chains, and at last the jumps into them."""
    said = ("-m", "comment", "--comment", tables.comment)
    for tool in tables.tools:
        for chain in chains:
            name = f"{tables.prefix}-{chain.name}"
            call(door, tool, tables.table, "-N", name)
            for rule in chain.rules:
                call(door, tool, tables.table, "-A", name, *said, *rule)
    for tool in tables.tools:
        for chain in chains:
            for match in chain.jumps:
                call(
                    door,
                    tool,
                    tables.table,
                    "-I",
                    chain.hook,
                    "1",
                    *match,
                    *said,
                    "-j",
                    f"{tables.prefix}-{chain.name}",
                )


def uninstall(door: Door, tables: Tables) -> None:
    """Remove the jumps into the chains of an event, and then these chains, as far as they are there."""
    for tool in tables.tools:
        found = mine(call(door, tool, tables.table, "-S"), tables.prefix)
        for words in found:
            if words[0] == "-A" and not words[1].startswith(f"{tables.prefix}-"):
                call(door, tool, tables.table, "-D", *words[1:])
        chains = [words[1] for words in found if words[0] == "-N"]
        for step in ("-F", "-X"):
            for name in chains:
                call(door, tool, tables.table, step, name)


def left(door: Door, tables: Tables) -> list[str]:
    """Return the rules of an event that are still there."""
    return [
        f"{tool} -t {tables.table} {shlex.join(words)}"
        for tool in tables.tools
        for words in mine(call(door, tool, tables.table, "-S"), tables.prefix)
    ]


def mine(listing: str, prefix: str) -> list[list[str]]:
    """Return the lines of `iptables -S` that make, fill or enter a chain of this prefix, as words."""
    lines = (shlex.split(line) for line in listing.splitlines())
    return [words for words in lines if words and words[0] in ("-N", "-A") and _names(words, f"{prefix}-")]


def _names(words: list[str], start: str) -> bool:
    target = words[words.index("-j") + 1] if "-j" in words[:-1] else ""
    return words[1].startswith(start) or target.startswith(start)


def dropped(door: Door, tables: Tables) -> int:
    """Return how many packets the event's chains have dropped."""
    return sum(
        _dropped(call(door, tool, tables.table, "-L", name, "-v", "-n", "-x"))
        for tool in tables.tools
        for name in (
            words[1] for words in mine(call(door, tool, tables.table, "-S"), tables.prefix) if words[0] == "-N"
        )
    )


def _dropped(listing: str) -> int:
    rows = (line.split() for line in listing.splitlines()[2:])
    return sum(int(row[0]) for row in rows if len(row) > 2 and row[2] == "DROP")
