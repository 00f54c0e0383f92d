# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a results folder is not in the results database yet, or otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

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

    def and_again(self, later: Synced) -> Synced:
        """Return two looks at the same folders as one: what the first has taken up the later one found unchanged."""
        return replace(self + later, unchanged=max(later.unchanged - self.added, 0))

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON types."""
        return {
            "added": self.added,
            "unchanged": self.unchanged,
            "gone": self.gone,
            "problems": [problem.render() for problem in self.problems],
        }


class Known(NamedTuple):
    """A run as the database knows it."""

    number: int
    digest: str
    state: str


@dataclass
class Found:
    """What a look at a results folder has found, and what became of it. added, problems: of the runs read so far."""

    folders: Sequence[Path]
    unchanged: int
    gone: Sequence[int]
    now: float
    added: int = 0
    problems: list[FileProblem] = field(default_factory=list)

    def read(self) -> Iterator[RunRows]:
        """Yield the rows of each run that is new or otherwise, read one by one."""
        for folder in self.folders:
            found = rows.of_run(folder, now=self.now)
            yield _without_events(found) if found.live else found
            self.added += 1
            self.problems += found.problems

    def told(self) -> Synced:
        """Return what was taken up."""
        return Synced(self.added, self.unchanged, len(self.gone), tuple(self.problems))


def _without_events(found: RunRows) -> RunRows:
    """Return what may be put of a run whose controller lives, and writes its events; one at its end stays news until it is gone."""
    digest = found.run["digest"] if found.run["state"] == results.RUNNING else ""
    return found._replace(events=None, run={**found.run, "digest": digest})


def known(database: Database, results_dir: Path) -> dict[str, Known]:
    """Return the runs that have their folder in results_dir, by that folder's name."""
    base = f"{results_dir}/"
    found = database.ask(
        "SELECT path, id, digest, state FROM runs WHERE substr(path, 1, :length) = :base",
        {"base": base, "length": len(base)},
    )
    return {name: Known(*facts) for path, *facts in found if "/" not in (name := path[len(base) :])}


def look(results_dir: Path, recorded: Mapping[str, Known], now: float, *, ended: bool = True) -> Found:
    """Return what of a results folder is to be taken up. ResultsError when it cannot be listed.

    ended: also look at runs that are recorded to their end, which as a rule nobody touches any more.
    """
    there = results.run_names(results_dir)
    asked = (
        there if ended else {name for name in there if name not in recorded or recorded[name].state != results.FINISHED}
    )
    news = [name for name in asked if _is_news(results_dir / name, recorded.get(name), now)]
    waiting = [results_dir / name for name in sorted(news, key=results.order)]
    gone = [recorded[name].number for name in recorded.keys() - there]
    return Found(waiting, len((there & recorded.keys()).difference(news)), gone, now)


def is_run(folder: Path) -> bool:
    """Decide whether a folder is that of one run, finished or not."""
    return results.names_itself(folder)


def look_at(run_dir: Path, recorded: Mapping[str, Known], now: float) -> Found:
    """Return what of one run is to be taken up."""
    news = _is_news(run_dir, recorded.get(run_dir.name), now)
    return Found([run_dir] if news else [], 0 if news else 1, (), now)


def _is_news(folder: Path, recorded: Known | None, now: float) -> bool:
    """Decide whether a run is to be read. One that nothing in its folder names, since we may not read it, stays as recorded."""
    if recorded is not None and recorded.digest == rows.digest_of(folder):
        return recorded.state == results.RUNNING and rows.state_of(folder, now) != results.RUNNING
    return results.names_itself(folder)


def forget_paths(database: Database, numbers: Sequence[int]) -> None:
    """Note that the folders of runs are gone; nobody will tell how one of them went on."""
    forgotten = (
        "UPDATE runs SET path = '', state = CASE state WHEN 'running' THEN 'unfinished' ELSE state END WHERE id = :id"
    )
    database.many(forgotten, [{"id": number} for number in numbers])
