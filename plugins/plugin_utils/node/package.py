# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Zip files of the programs that run on nodes, named by their digest so that a node never runs an old one."""

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
        source = MODULE_UTILS / self.name
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "__main__.py", f"from {self.name}.main import main\n\nraise SystemExit(main())\n".encode())
            for path in sorted(source.rglob("*.py")):
                _add(archive, f"{self.name}/{path.relative_to(source).as_posix()}", path.read_bytes())
        return buffer.getvalue()

    @cached_property
    def digest(self) -> str:
        """Return the first 12 hex digits of the SHA-256 of its bytes."""
        return hashlib.sha256(self.content).hexdigest()[:12]

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
