# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Zip files of the programs that run on nodes, named by the digest of their sources so that a node never runs an old one."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

MODULE_UTILS = Path(__file__).resolve().parents[2] / "module_utils"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Program:
    """A program as one zip file, made when it is first asked for: most tasks use one that is on the node already."""

    name: str

    @cached_property
    def content(self) -> bytes:
        """Return the zip's bytes; the same sources give the same."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, source in self._sources.items():
                _add(archive, name, source)
        return buffer.getvalue()

    @cached_property
    def digest(self) -> str:
        """Return the first 12 hex digits of the SHA-256 of its files: to pack them takes ten times as long."""
        found = hashlib.sha256()
        for name, source in self._sources.items():
            found.update(f"{name}\0{len(source)}\0".encode())
            found.update(source)
        return found.hexdigest()[:12]

    @cached_property
    def _sources(self) -> dict[str, bytes]:
        """Return name in the zip -> content, in order."""
        place = MODULE_UTILS / self.name
        start = f"from {self.name}.main import main\n\nraise SystemExit(main())\n"
        names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*.py"))
        return {
            "__main__.py": start.encode(),
            **{f"{self.name}/{name}": (place / name).read_bytes() for name in names},
        }

    @property
    def file_name(self) -> str:
        """Return the name of the file on a node."""
        return f"{self.name}-{self.digest}.pyz"


@cache
def build(name: str) -> Program:
    """Return the program made of the package module_utils/<name>."""
    return Program(name)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, FIXED_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, content)
