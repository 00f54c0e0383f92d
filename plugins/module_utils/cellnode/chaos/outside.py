# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole node seen from outside: the interfaces that lead there, the ports that must stay open, an address that answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import ports
from ..errors import CellError
from . import ping, values
from .fault import Place
from .netns import Door

ESTABLISHED = "01"
SSH_PROGRAMS = ("sshd", "dropbear")
Json = dict[str, Any]


def check(params: Mapping[str, Any]) -> None:
    """Raise chaos_invalid for what an event may not say of a whole node."""
    values.texts(params, "interfaces")
    values.ports(params, "keep_ports")
    probe = params.get("probe")
    if probe is not None and not isinstance(probe, str):
        raise values.refuse("probe", probe, "an IPv4 address")


def interfaces(door: Door, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the interfaces of the default routes, or those that the event names."""
    named = values.texts(params, "interfaces")
    routes = [route for family in ("-4", "-6") for route in _routes(door, family)]
    found = tuple(dict.fromkeys(named or [str(route["dev"]) for route in routes if route.get("dev")]))
    if not found:
        message = "this node has no default route; params.interfaces must name the interfaces that lead to other nodes"
        raise CellError("chaos_unsupported", message)
    return found


def _routes(door: Door, family: str) -> list[Json]:
    done = door.run("ip", family, "-j", "route", "show", "default")
    found: list[Json] = json.loads(done.out or "[]") if done.ok else []
    return found


def answering(door: Door, params: Mapping[str, Any]) -> str:
    """Return an address outside that answers: params.probe, or the gateway; raise chaos_unsupported where none does."""
    named = params.get("probe")
    gateways = [str(route["gateway"]) for route in _routes(door, "-4") if route.get("gateway")]
    tried = [str(named)] if named else gateways
    for address in tried:
        if ping.loss(address, ping.FUTILE) < 50:
            return address
    message = (
        f"no address outside answers an echo request (asked: {', '.join(tried) or 'none'}), so the effect of a fault "
    )
    raise CellError(
        "chaos_unsupported", message + "could not be measured; params.probe may name an IPv4 address that does"
    )


def kept_ports(place: Place, params: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the ports by which this node is reached, which a fault must leave alone: those of sshd, and params.keep_ports.

    Raise chaos_unsupported where there is none: nobody could reach the node any more.
    """
    found = {*values.ports(params, "keep_ports"), *_listening(), *_sessions(), *_own_session(place.ctx.environ)}
    if not found:
        message = (
            "no sshd is seen on this node; a fault of the whole node would cut it off. params.keep_ports must name "
        )
        raise CellError("chaos_unsupported", message + "the ports by which it is reached")
    return tuple(sorted(found))


def _listening() -> Iterator[int]:
    yield from (int(entry["port"]) for entry in ports.listening() if entry["program"].startswith(SSH_PROGRAMS))


def _sessions() -> set[int]:
    """Return the ports of sessions: where a service manager listens for sshd, only these tell the port."""
    listening = {int(entry["port"]) for entry in ports.listening()}
    owners, found = ports.holders(), set()
    for table in ports.TABLES:
        with suppress(FileNotFoundError):
            for port, inode in established(Path(table).read_text(encoding="ascii")):
                if port in listening and ports.program(owners.get(inode, 0)).startswith(SSH_PROGRAMS):
                    found.add(port)
    return found


def established(text: str) -> Iterator[tuple[int, str]]:
    """Yield (own port, inode) of each open connection of a `/proc/net/tcp` table."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == ESTABLISHED:
            yield int(fields[1].rpartition(":")[2], 16), fields[9]


def _own_session(environ: Mapping[str, str]) -> set[int]:
    """Return the port of the SSH session that started this program."""
    words = environ.get("SSH_CONNECTION", "").split()
    return {int(words[3])} if len(words) == 4 and words[3].isdigit() else set()
