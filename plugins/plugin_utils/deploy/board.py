# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The board: how the workers of different nodes tell each other what is ready, by small atomic files on the controller."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..run import atomic


class Board:
    """Notes in one folder. A note is written by the node that knows it and read by all; names are safe file names.

    Notes outlive a killed controller, not a power cut: the journal does, and a note is no reason to wait for a disk.
    heard: returns whether anybody goes by what the writer says. A worker whose controller is gone sees its ways to the nodes
    break, and what it makes of that is not put up: another controller goes on with the case by its notes.
    """

    def __init__(self, folder: Path, heard: Callable[[], bool] = lambda: True) -> None:
        self.folder = folder
        self.heard = heard

    def post(self, name: str, note: dict[str, Any]) -> None:
        """Put up a note under name (a service, or a moment such as `test-done`)."""
        if not self.heard():
            return
        atomic.write_json(self.folder / f"{name}.json", note, durable=False)

    def claim(self, name: str, note: dict[str, Any]) -> bool:
        """Put up a note unless there is one under name already; return whether this call did it."""
        if not self.heard():
            return False
        path = self.folder / f"{name}.json"
        with atomic.naming(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".claim.", dir=self.folder)
            try:
                with os.fdopen(handle, "w") as stream:
                    json.dump(note, stream, allow_nan=False)
                os.link(temporary, path)
            except FileExistsError:
                return False
            finally:
                os.unlink(temporary)
        return True

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the note under name, or None while nobody has put it up."""
        try:
            text = (self.folder / f"{name}.json").read_text()
        except FileNotFoundError:
            return None
        # A file without its content is what a power cut leaves of a note.
        note: dict[str, Any] | None = json.loads(text) if text else None
        return note

    def remove(self, name: str) -> None:
        """Take the note under name down, if there is one."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)

    def notes(self, prefix: str = "") -> dict[str, dict[str, Any]]:
        """Return the notes whose name starts with prefix, by the rest of the name."""
        found = {}
        for path in sorted(self.folder.glob("[!.]*.json")):
            name = path.name.removesuffix(".json")
            note = self.read(name) if name.startswith(prefix) else None
            if note is not None:
                found[name.removeprefix(prefix)] = note
        return found
