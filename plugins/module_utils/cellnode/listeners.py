# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which listener belongs to which container: the engine listens on the node for the ports that containers publish."""

from __future__ import annotations

from typing import Any

from .engine import Engine
from .objects import containers

_ANY = ("", "0.0.0.0", "::")


def published(engine: Engine, listening: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the listeners with `container` for those that the engine has for the published port of a container."""
    names = [(host, port, one.name) for one in containers(engine, []) for host, port in one.ports]
    found = ([name for host, port, name in names if port == e["port"] and meet(host, e["address"])] for e in listening)
    return [{**entry, "container": named[0] if named else ""} for entry, named in zip(listening, found)]


def meet(one: str, other: str) -> bool:
    """Return whether two listeners on the same port are in each other's way."""
    return one == other or one in _ANY or other in _ANY
