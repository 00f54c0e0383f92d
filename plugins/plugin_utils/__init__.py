# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What our plugins stand on: no plugin, and nothing of Ansible but in run/screen.py.

Ansible compiles each module of a collection anew in every process that imports it. With the first import from here the
rest of the collection is found by Python's own finder, which keeps what it has compiled beside the source.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

PLUGINS = __name__.rpartition(".")[0] + "."


class KeptFinder:
    """Finds the modules below our plugins' folder, compiled ones where there are any."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a module of ours is, None for everything else: Ansible wants its own word for folders."""
        if not path or not name.startswith(PLUGINS):
            return None
        found = _of_folder(path[0]).find_spec(name)
        return found if found and found.loader else None


@cache
def _of_folder(path: str) -> FileFinder:
    """Return the finder of a folder, which lists it once and then only when its time has changed."""
    return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))


if not any(finder is KeptFinder for finder in sys.meta_path):
    sys.meta_path.insert(0, KeptFinder)
