# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By what name the things of one event are known on the node: rules, queues, files, processes."""

from __future__ import annotations

import hashlib

from .. import procs
from .fault import Place

LONGEST = 200  # characters of a comment: the kernel keeps 255


def key(place: Place) -> str:
    """Return 12 hex digits that no other event of any run on this node has."""
    whole = f"{procs.root_key(place.ctx.root)}:{place.ctx.needed_run.id}:{place.id}"
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def comment(place: Place) -> str:
    """Return what a rule says about itself: `testcell:<run>:<event>`."""
    return f"testcell:{place.ctx.needed_run.id}:{place.id}"[:LONGEST]
