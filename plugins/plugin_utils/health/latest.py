# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder with the newest answer of each node, for a reader on the same machine: NODE.json, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUFFIX = ".json"


def put(folder: Path, number: int, node: Mapping[str, Any]) -> None:
    """Write the answer that a node gave in a round; FileNotFoundError where the reader has taken its folder away."""
    path = folder / f"{node['name']}{SUFFIX}"
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"round": number, "node": node}), encoding="utf-8")
    os.replace(temporary, path)


class Reader:
    """Reads the folder again and again; a file that has not changed is not read twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int]] = {}
        self._kept: dict[str, tuple[int, dict[str, Any]]] = {}

    def read(self) -> dict[str, tuple[int, dict[str, Any]]]:
        """Return node -> (round, what is told of it), as far as there is an answer."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns)
            if self._seen.get(path.name) != stamp:
                self._seen[path.name] = stamp
                found = json.loads(path.read_text(encoding="utf-8"))
                self._kept[str(found["node"]["name"])] = (int(found["round"]), found["node"])
        return dict(self._kept)
