# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files of a run a report links to: relative, quoted, found on disk, never through a link."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .summary import case_folder
from .values import mapping, size

MAX_FILES = 200
RUN_FILES = ("summary.md", "summary.json", "junit.xml", "journal.jsonl", "events.jsonl", "plan.json", "run.json")
CASE_FILES = (
    "test_report.md",
    "soak/soak.html",
    "soak/summary.md",
    "soak/failures.md",
    "soak/summary.json",
    "soak/timeline.csv",
    "soak/chaos_events.log",
    "soak/run_config.json",
    "result_summary.json",
    "test_metadata.json",
    "performance_results.csv",
    "timeline.csv",
    "failure.json",
    "manifest.json",
    "test.log",
)
CASE_FOLDERS = ("test_artifacts", "nodes")


@dataclass(frozen=True)
class Link:
    """One file: its path relative to what the page shows, its quoted address, its size."""

    name: str
    href: str
    size: str


def of_run(run_dir: Path) -> tuple[Link, ...]:
    """Return links to the files of the run itself; the four that are written together are always named."""
    written = ("summary.md", "summary.json", "junit.xml")
    return tuple(_link(run_dir, name, name) for name in RUN_FILES if name in written or (run_dir / name).is_file())


def of_case(run_dir: Path, record: Mapping[str, Any]) -> tuple[Link, ...]:
    """Return links to the files of a case that exist, result files first, at most MAX_FILES a folder."""
    folder = case_folder(record)
    base = run_dir / folder
    found = [name for name in CASE_FILES if (base / name).is_file()]
    for top in CASE_FOLDERS:
        found.extend(islice(_below(base, top), MAX_FILES))
    return tuple(_link(run_dir, f"{folder}/{name}", name) for name in found)


def page_of_soak(record: Mapping[str, Any]) -> str:
    """Return the address of a soak's page from the run's folder, "" for what is no soak."""
    page = mapping(record.get("soak")).get("page")
    return "./" + quote(f"{case_folder(record)}/{page}") if page else ""


def _below(base: Path, top: str) -> Iterator[str]:
    for folder, folders, files in os.walk(base / top, followlinks=False):
        folders.sort()
        for name in sorted(files):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(base).as_posix()


def _link(run_dir: Path, path: str, name: str) -> Link:
    try:
        length = size((run_dir / path).lstat().st_size)
    except OSError:
        length = ""
    return Link(name, "./" + quote(os.fsencode(path)), length)
