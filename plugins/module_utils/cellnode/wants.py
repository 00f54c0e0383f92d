# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a case takes for granted on this node, before Compose is asked: paths to mount, networks, volumes."""

from __future__ import annotations

import os
import stat
from typing import Any

from .context import Context
from .engine import connect
from .errors import CellError
from .params import texts

LIMIT_S = 5.0
Json = dict[str, Any]


def wants(ctx: Context, args: Json) -> Json:
    """Return which of the wanted things there are. args: binds, networks, volumes: paths and names to look for.

    binds: path -> what it is, "" for nothing. networks, volumes: name -> whether it is there, None when nobody knows.
    """
    networks, volumes = texts(args, "networks"), texts(args, "volumes")
    found: Json = {"binds": {path: kind(path) for path in texts(args, "binds")}}
    there: dict[str, set[str]] | None = None
    if networks or volumes:
        there = _objects(ctx)
    found["networks"] = {name: None if there is None else name in there["networks"] for name in networks}
    found["volumes"] = {name: None if there is None else name in there["volumes"] for name in volumes}
    return {"wants": found}


def kind(path: str) -> str:
    """Return what is at path (a link counts for what it leads to), "" when there is nothing that we can see."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return ""
    return "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "special file"


def _objects(ctx: Context) -> dict[str, set[str]] | None:
    """Return the names of the engine's networks and volumes, None when it does not answer."""
    try:
        engine = connect(ctx.environ, LIMIT_S)
        networks, volumes = engine.networks(), engine.volumes()
    except CellError:
        return None  # the engine's own facts say why
    return {"networks": {str(one["Name"]) for one in networks}, "volumes": {str(one["Name"]) for one in volumes}}
