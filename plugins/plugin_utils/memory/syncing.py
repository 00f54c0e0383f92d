# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a results folder is not in the results database yet, or otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..report import results
from ..verdict.strict_json import FileProblem
from . import rows
from .put import Database, RunRows


@dataclass(frozen=True)
class Synced:
    """What was taken up. gone: runs whose folder is no longer there; their rows stay. problems: what was left out."""

    added: int = 0
    unchanged: int = 0
    gone: int = 0
    problems: tuple[FileProblem, ...] = ()

    def __add__(self, other: Synced) -> Synced:
        return Synced(
            self.added + other.added,
            self.unchanged + other.unchanged,
            self.gone + other.gone,
            (*self.problems, *other.problems),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON types."""
        return {
            "added": self.added,
            "unchanged": self.unchanged,
            "gone": self.gone,
            "problems": [problem.render() for problem in self.problems],
        }


@dataclass(frozen=True)
class Known:
    """A run as the database knows it."""

    number: int
    digest: str
    state: str


@dataclass
class Found:
    """What a look at a results folder has found; `new` reads the runs one by one."""

    folders: Sequence[Path]
    unchanged: int
    gone: Sequence[int]
    now: float
    added: int = 0
    problems: list[FileProblem] = field(default_factory=list)

    @property
    def new(self) -> Iterator[RunRows]:
        """Yield the rows of each run that is new or otherwise."""
        for folder in self.folders:
            found = rows.of_run(folder, now=self.now)
            # The one that records a run that goes on writes its events, too.
            yield found if found.run["state"] != "running" else rows.without_events(found)
            self.added += 1
            self.problems += found.problems

    def told(self) -> Synced:
        """Return what was taken up."""
        return Synced(self.added, self.unchanged, len(self.gone), tuple(self.problems))


def known(database: Database, results_dir: Path) -> dict[Path, Known]:
    """Return the runs that have their folder in results_dir, by that folder."""
    base = f"{results_dir}/"
    found = database.ask(
        "SELECT path, id, digest, state FROM runs WHERE substr(path, 1, :length) = :base",
        {"base": base, "length": len(base)},
    )
    return {Path(path): Known(number, digest, state) for path, number, digest, state in found}


def look(results_dir: Path, recorded: Mapping[Path, Known], now: float) -> Found:
    """Return what of a results folder is to be taken up. ResultsError when it cannot be listed."""
    there = results.run_folders(results_dir)
    waiting = [folder for folder in there if _is_news(folder, recorded.get(folder))]
    gone = [recorded[path].number for path in recorded.keys() - set(there) if path.parent == results_dir]
    return Found(waiting, len(there) - len(waiting), gone, now)


def is_run(folder: Path) -> bool:
    """Decide whether a folder is that of one run, finished or not."""
    return results.names_itself(folder)


def look_at(run_dir: Path, recorded: Mapping[Path, Known], now: float) -> Found:
    """Return what of one run is to be taken up."""
    news = _is_news(run_dir, recorded.get(run_dir))
    return Found([run_dir] if news else [], 0 if news else 1, (), now)


def _is_news(folder: Path, recorded: Known | None) -> bool:
    if recorded is None:
        return results.names_itself(folder)
    return recorded.state == "running" or not rows.unchanged(folder, recorded.digest)


def forget_paths(database: Database, numbers: Sequence[int]) -> None:
    """Note that the folders of runs are gone."""
    database.many("UPDATE runs SET path = '' WHERE id = :id", [{"id": number} for number in numbers])
