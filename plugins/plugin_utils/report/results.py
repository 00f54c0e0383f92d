# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs below a results folder: what each one ended in, and which of them are ours to remove."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ..run import owner
from ..run.folder import LATEST, PIN, RUN_ID
from .values import mapping, number, rows, text

MAX_SUMMARY_BYTES = 64 * 1024 * 1024
MAX_JOURNAL_LINES = 50
RUNNING_WITHIN_S = 900.0
RUNNING, UNFINISHED, FINISHED = "running", "unfinished", "finished"


class RunRow(NamedTuple):
    """One run on disk. verdict is "" while there is no summary; last_sign is when it ended, else last wrote."""

    run_id: str
    path: Path
    state: str  # finished, running, unfinished or unreadable
    verdict: str
    exit_code: int | None
    counts: Mapping[str, int]
    cases: int
    scenarios: tuple[str, ...]
    pinned: bool
    seconds: float | None
    started_at: str
    bytes: int
    last_sign: float

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON types."""
        return {
            "run_id": self.run_id,
            "state": self.state,
            "verdict": self.verdict or None,
            "exit_code": self.exit_code,
            "counts": dict(self.counts),
            "cases": self.cases,
            "scenarios": list(self.scenarios),
            "pinned": self.pinned,
            "seconds": self.seconds,
            "started_at": self.started_at or None,
            "bytes": self.bytes,
            "path": str(self.path),
        }


class ResultsError(Exception):
    """A results folder or a run in it cannot be read; the text says which and why."""


def list_runs(results_dir: Path, now: float) -> tuple[RunRow, ...]:
    """Return the runs below results_dir, oldest first; links and folders that are no runs of ours are left out."""
    return tuple(read_run(folder, now) for folder in run_folders(results_dir) if names_itself(folder))


def run_folders(results_dir: Path) -> list[Path]:
    """Return the folders named like a run, oldest first; a link of such a name is not followed. Missing: empty."""
    return [results_dir / name for name in sorted(run_names(results_dir), key=order)]


def run_names(results_dir: Path) -> set[str]:
    """Return the names of `run_folders`, in no order."""
    try:
        with os.scandir(results_dir) as entries:
            return {e.name for e in entries if RUN_ID.fullmatch(e.name) and e.is_dir(follow_symlinks=False)}
    except FileNotFoundError:
        return set()
    except OSError as exc:
        raise ResultsError(f"{results_dir}: cannot be listed: {exc.strerror}") from None


def order(run_id: str) -> tuple[str, int]:
    """Return a key that puts run ids in the order the runs began; `_2` comes after none and before `_10`."""
    parts = run_id.split("_")
    return "_".join(parts[:2]), int(parts[2]) if len(parts) > 2 else 1


def find_run(results_dir: Path, wanted: str) -> Path:
    """Return the folder of a run by its id, or of the newest run for `latest`; ResultsError names what there is."""
    known = {folder.name: folder for folder in run_folders(results_dir) if names_itself(folder)}
    if wanted == LATEST and known:
        return list(known.values())[-1]
    if wanted not in known:
        shown = ", ".join(list(known)[-5:]) or "none"
        raise ResultsError(f"no run {wanted!r} in {results_dir}; the newest there: {shown}")
    return known[wanted]


def load_summary(run_dir: Path) -> dict[str, Any] | None:
    """Return summary.json of a run, None when the run has none yet; ResultsError when it cannot be read."""
    path = run_dir / "summary.json"
    try:
        if path.is_symlink() or not path.is_file():
            return None
        if path.stat().st_size > MAX_SUMMARY_BYTES:
            raise ResultsError(f"{path}: larger than {MAX_SUMMARY_BYTES} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise ResultsError(f"{path}: cannot be read: {exc}") from None
    if not isinstance(document, dict):
        raise ResultsError(f"{path}: is not a JSON object")
    return document


def names_itself(run_dir: Path) -> bool:
    """Decide whether a folder is a run of ours: summary, plan or journal carries the folder's own name.

    What we may not read says nothing.
    """
    return any(
        run_dir.name in (facts.get("run_id"), facts.get("run"))
        for facts in _identities(run_dir)
        if isinstance(facts, dict)
    )


def _identities(run_dir: Path) -> Iterator[Any]:
    yield from (_document(run_dir / name) for name in ("summary.json", "plan.json", "run.json"))
    with suppress(OSError):
        path = run_dir / "journal.jsonl"
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                for _ in range(MAX_JOURNAL_LINES):
                    yield _parsed(stream.readline(1_000_000))


def _document(path: Path) -> Any:
    """Return what a JSON file says, None for one that is missing, too large or cannot be read."""
    with suppress(OSError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_SUMMARY_BYTES:
            return _parsed(path.read_bytes())
    return None


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def read_run(folder: Path, now: float) -> RunRow:
    """Return the row of one run; a summary that cannot be read is a state of the row, no error."""
    size, newest = measure(folder)
    try:
        summary, state = load_summary(folder), FINISHED
    except ResultsError:
        summary, state = {}, "unreadable"
    if summary is None:
        summary, state = {}, state_without_summary(_owner(folder), newest, now)
    exit_code = summary.get("exit_code")
    return RunRow(
        run_id=folder.name,
        path=folder,
        state=state,
        verdict=text(summary.get("verdict")),
        exit_code=exit_code if isinstance(exit_code, int) else None,
        counts={str(k): v for k, v in mapping(summary.get("counts")).items() if isinstance(v, int)},
        cases=len({(text(c.get("scenario")), text(c.get("case"))) for c in rows(summary.get("cases"))}),
        scenarios=tuple(dict.fromkeys(text(c.get("scenario")) for c in rows(summary.get("cases")))),
        pinned=is_pinned(folder),
        seconds=number(summary.get("seconds")),
        started_at=text(summary.get("started_at")),
        bytes=size,
        last_sign=_ended(summary) or newest,
    )


def state_without_summary(controller: str, last_sign: float, now: float) -> str:
    """Return whether a run goes on or was cut short. controller: its owner, "" where that is not known.

    Whose controller cannot be asked counts as running while something is written.
    """
    lives = owner.is_alive(controller)
    if lives is None:
        lives = now - last_sign < RUNNING_WITHIN_S
    return RUNNING if lives else UNFINISHED


def is_alive(run_dir: Path) -> bool | None:
    """Return whether the controller of a run lives, None where that cannot be known."""
    return owner.is_alive(_owner(run_dir))


def _owner(run_dir: Path) -> str:
    return text(mapping(_document(run_dir / "plan.json")).get("owner"))


def pin(run_dir: Path) -> bool:
    """Keep a run from being removed, and return whether it was not kept before."""
    if is_pinned(run_dir):
        return False
    (run_dir / PIN).touch()
    return True


def unpin(run_dir: Path) -> bool:
    """Let a run be removed again, and return whether it was kept."""
    if not is_pinned(run_dir):
        return False
    (run_dir / PIN).unlink()
    return True


def is_pinned(run_dir: Path) -> bool:
    """Decide whether a run is kept from being removed; anybody may do that by a file of this name."""
    return os.path.lexists(run_dir / PIN)


def _ended(summary: Mapping[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(text(summary.get("ended_at"))).timestamp()
    except ValueError:
        return None


def measure(folder: Path) -> tuple[int, float]:
    """Return the bytes of the files below folder and the newest time of any; links count as themselves."""
    total, newest = 0, folder.lstat().st_mtime
    for base, _folders, files in os.walk(folder, followlinks=False):
        for name in files:
            try:
                facts = os.lstat(os.path.join(base, name))
            except OSError:  # removed while we looked
                continue
            total += facts.st_size
            newest = max(newest, facts.st_mtime)
    return total, newest
