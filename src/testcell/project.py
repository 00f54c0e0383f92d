# SPDX-License-Identifier: MIT

"""Where things are: the project folder, its scenarios, configuration, inventory and results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

FRONT_DOOR = "site.yml"
SCENARIOS = "scenarios"
DEFAULTS = "config/defaults.yaml"
INVENTORIES = ("inventories/local",)


class ProjectError(Exception):
    """No project could be found; the text says where it was looked for and what to do."""


@dataclass(frozen=True)
class Project:
    """A folder with site.yml and scenarios/."""

    root: Path

    @property
    def defaults_file(self) -> Path | None:
        """Return the file of the global configuration layer, or None when the project has none."""
        path = self.root / DEFAULTS
        return path if path.exists() else None

    @property
    def results_dir(self) -> Path:
        """Return where runs are kept unless told otherwise."""
        return self.root / "results"

    @property
    def inventory(self) -> Path | None:
        """Return the inventory that is used unless told otherwise: the controller itself as the node `local`."""
        return next((self.root / name for name in INVENTORIES if (self.root / name).exists()), None)


def find(wanted: Path | None = None) -> Project:
    """Return the project: the one wanted, else the nearest one from the current folder up, else this checkout."""
    if wanted is not None:
        if not _is_project(wanted):
            raise ProjectError(f"{wanted} is no project: it needs {FRONT_DOOR} and {SCENARIOS}/; see `testcell init`")
        return Project(wanted.resolve())
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_project(folder):
            return Project(folder)
    checkout = package_root()
    if _is_project(checkout):
        return Project(checkout)
    raise ProjectError(
        f"no project here: no folder from {here} up holds {FRONT_DOOR} and {SCENARIOS}/; "
        "change into one, name one with --project DIR, or make one with `testcell init DIR`"
    )


def package_root() -> Path:
    """Return the checkout that this package is part of; for an installed package the folder it lies in."""
    return Path(__file__).resolve().parents[2]


def collections_path(project: Project) -> str:
    """Return the search path that finds our collection from any project, and the user's own collections after it."""
    found = [project.root / "collections", package_root() / "collections", Path(__file__).resolve().parents[1]]
    ours = [str(path) for path in found if (path / "ansible_collections").is_dir()]
    users = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "~/.ansible/collections:/usr/share/ansible/collections")
    return ":".join(dict.fromkeys([*ours, *users.split(":")]))


def _is_project(folder: Path) -> bool:
    return (folder / FRONT_DOOR).is_file() and (folder / SCENARIOS).is_dir()
