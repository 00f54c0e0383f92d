# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Result files read from a folder of collected artifacts: regular files only, no link followed, sizes bounded."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ...module_utils.cellload.files import BENCHMARK, REQUESTS
from .normal import Measured, Output
from .records import cut
from .strict_json import FileProblem, parse

MAX_BENCHMARK_BYTES = 64 * 1024 * 1024
MAX_REQUESTS_BYTES = 2 * 1024 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024


def regular_files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield relative path and size of every regular file below folder, in order of names; links are passed over."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield path.relative_to(folder).as_posix(), status.st_size


def outputs_of(folder: Path, result_paths: Sequence[str]) -> tuple[Output, ...]:
    """Return files and bytes of each result path: a file, a folder with all below it, or a pattern with * and ?."""
    files = list(regular_files(folder))
    return tuple(_output(pattern, files) for pattern in result_paths)


def _output(pattern: str, files: Sequence[tuple[str, int]]) -> Output:
    plain = pattern.removeprefix("./").rstrip("/")
    wanted = (plain, f"{plain}/*")
    sizes = [size for name, size in files if plain in ("", ".") or any(fnmatchcase(name, item) for item in wanted)]
    return Output(pattern, len(sizes), sum(sizes))


def read_testcell(folder: Path, result_paths: Sequence[str]) -> Measured:
    """Return the normal form of the load client's files, wherever below folder they lie together."""
    outputs = outputs_of(folder, result_paths)
    places = [name for name, _ in regular_files(folder) if name.rsplit("/", 1)[-1] == BENCHMARK]
    if len(places) > 1:
        message = f"there are {len(places)} of them ({', '.join(places[:4])}); one attempt has one result"
        return Measured("testcell", problems=(FileProblem(BENCHMARK, 0, "", message),), outputs=outputs)
    if not places:
        return Measured("testcell", requests=_unfinished(folder), outputs=outputs)
    path = folder / places[0]
    benchmark, problems = _benchmark(path)
    requests, lines, more = _requests(path.with_name(REQUESTS), _facts(benchmark))
    found = (*problems, *cut(more, REQUESTS))
    return Measured("testcell", benchmark, requests, lines, found, outputs)


def _unfinished(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the readable records of a load that left no summary."""
    places = [folder / name for name, _ in regular_files(folder) if name.rsplit("/", 1)[-1] == REQUESTS]
    return tuple(record for place in places for record in _requests(place, {})[0])


def _benchmark(path: Path) -> tuple[Mapping[str, Any] | None, tuple[FileProblem, ...]]:
    size = path.stat().st_size
    if size > MAX_BENCHMARK_BYTES:
        return None, (FileProblem(BENCHMARK, 0, "", f"has {size} bytes, limit {MAX_BENCHMARK_BYTES}"),)
    return parse(path.read_bytes(), BENCHMARK)


def _facts(benchmark: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what the summary says about requests.jsonl."""
    files = (benchmark or {}).get("files")
    facts = files.get("requests") if isinstance(files, dict) else None
    return facts if isinstance(facts, dict) else {}


def _requests(
    path: Path, facts: Mapping[str, Any]
) -> tuple[tuple[Mapping[str, Any], ...], tuple[int, ...], list[FileProblem]]:
    """Return the records, their lines, and what is wrong with the file as a file."""
    if path.is_symlink() or not path.is_file():
        return (), (), [FileProblem(REQUESTS, 0, "", f"is missing beside {BENCHMARK}: a summary alone proves nothing")]
    size = path.stat().st_size
    if size > MAX_REQUESTS_BYTES:
        return (), (), [FileProblem(REQUESTS, 0, "", f"has {size} bytes, limit {MAX_REQUESTS_BYTES}")]
    records: list[Mapping[str, Any]] = []
    lines: list[int] = []
    problems: list[FileProblem] = []
    digest, number = hashlib.sha256(), 0
    with path.open("rb") as stream:
        for number, raw in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), 1):
            digest.update(raw)
            record, faults = _line(raw, number)
            problems += faults
            if record is not None:
                records.append(record)
                lines.append(number)
    return tuple(records), tuple(lines), [*problems, *_against_facts(number, digest.hexdigest(), facts)]


def _line(raw: bytes, number: int) -> tuple[Mapping[str, Any] | None, tuple[FileProblem, ...]]:
    if not raw.endswith(b"\n"):
        return None, (FileProblem(REQUESTS, number, "", f"is cut off after {len(raw)} bytes: the line has no end"),)
    return parse(raw[:-1], REQUESTS, number)


def _against_facts(lines: int, digest: str, facts: Mapping[str, Any]) -> list[FileProblem]:
    """Return where the file is not the one the summary was made from."""
    if facts.get("lines", lines) != lines:
        return [FileProblem(REQUESTS, 0, "", f"has {lines} lines, and {BENCHMARK} was made from {facts['lines']!r}")]
    if facts.get("sha256", digest) != digest:
        return [FileProblem(REQUESTS, 0, "", f"is not the file that {BENCHMARK} was made from: its digest differs")]
    return []
