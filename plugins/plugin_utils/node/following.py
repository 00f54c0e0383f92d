# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A long question to a node that a ring of the bell ends early, since another node knows something."""

from __future__ import annotations

import select
from typing import Any

from ..deploy.bell import Bell
from .client import Hear, NodeClient, lost
from .link import Link, LinkError


def follow(client: NodeClient, bell: Bell, args: dict[str, Any], hear: Hear) -> dict[str, Any]:
    """Return what the op `follow` answers; hear takes its events.

    Without a link nobody can be told to come back early, and the answer has all that the events have: ask for shorter.
    """
    if client.line is None:
        return client.call("follow", **args)
    return client.persist(lambda: _over_link(client, bell, args, hear))


def _over_link(client: NodeClient, bell: Bell, args: dict[str, Any], hear: Hear) -> dict[str, Any]:
    line = client.line
    assert line is not None
    try:
        return _answer(client, client.open(), bell, args, hear)
    except LinkError as exc:
        line.lose()
        raise lost(exc) from None


def _answer(client: NodeClient, link: Link, bell: Bell, args: dict[str, Any], hear: Hear) -> dict[str, Any]:
    name = link.send(client.request("follow", args))
    while True:
        for message in link.heard(name, 0.0):
            if "event" not in message:
                return client.result(message)
            hear(message["event"])
        rung = select.select([link.fileno(), bell.fileno()], [], [])[0]
        if bell.fileno() in rung:
            bell.hush()
            link.tell(name, {"wake": True})
