# SPDX-License-Identifier: MIT

"""A new project: the starter files of this package, copied without touching anything that is there already."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

STARTER = Path(__file__).parent / "starter"
# The files carry this suffix here, so that no tool takes them for playbooks or inventories of this package.
SUFFIX = ".in"


@dataclass(frozen=True)
class Started:
    """What was copied and what was there already, as paths relative to the project."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def start(folder: Path) -> Started:
    """Copy the starter project into folder and return what was written; existing files are kept as they are."""
    written: list[str] = []
    kept: list[str] = []
    for source in sorted(STARTER.rglob(f"*{SUFFIX}")):
        name = source.relative_to(STARTER).as_posix().removesuffix(SUFFIX)
        (written if _copy(source, folder / name) else kept).append(name)
    return Started(folder, tuple(written), tuple(kept))


def _copy(source: Path, target: Path) -> bool:
    """Write target as a new file with source's content, a script so that it can be run; return whether it was new."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o755 if target.suffix == ".sh" else 0o644
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(source.read_bytes())
    return True
