# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a folder make it a scenario."""

from __future__ import annotations

from pathlib import Path

from ..problems import Problem

METADATA_FILES = ("metadata.yml", "metadata.yaml")
COMPOSE_FILES = ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")
SIGNS = (*METADATA_FILES, *COMPOSE_FILES, "run_test.sh", "test_config.json")


def metadata_file(folder: Path) -> tuple[Path, list[Problem]]:
    """Return the metadata file of a scenario folder; when there is none or more than one, also the problem."""
    return _only_one(folder, METADATA_FILES, "metadata")


def compose_file(folder: Path) -> tuple[Path, list[Problem]]:
    """Return the compose file that is taken when the metadata names none, with the problem of none or several."""
    return _only_one(folder, COMPOSE_FILES, "compose")


def looks_like_scenario(folder: Path) -> bool:
    """Tell whether a folder holds any file of a scenario; hidden folders and those that start with `_` never do."""
    return not folder.name.startswith((".", "_")) and any((folder / name).exists() for name in SIGNS)


def _only_one(folder: Path, names: tuple[str, ...], what: str) -> tuple[Path, list[Problem]]:
    present = [name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    if not present:
        message = f"the scenario has no {what} file" if folder.is_dir() else "there is no such scenario folder"
        return folder / names[0], [Problem(str(folder / names[0]), message=message, allowed=" or ".join(names))]
    if len(present) > 1:
        message = f"the scenario has more than one {what} file: {' and '.join(present)}; keep one"
        return folder / present[0], [Problem(str(folder / present[0]), message=message)]
    return folder / present[0], []
