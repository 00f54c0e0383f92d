# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof of a run: its manifest and SHA256SUMS, written when nothing else of it is written any more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..report.values import moment
from ..run import atomic, reserve
from ..run.folder import PIN, CaseRef
from . import manifest, readback, sums
from .manifest import Claim
from .readback import SHA256, Seen

BOARD = ".board"
# Below the run's folder, and no part of what is proved.
UNPROVED = frozenset({PIN, BOARD, reserve.NAME, sums.NAME, manifest.NAME})


@dataclass(frozen=True)
class Difference:
    """A file that is not what its manifest says. expected and found are words for people."""

    path: str
    expected: str
    found: str


@dataclass(frozen=True)
class ReadBack:
    """The files of a manifest as the disk has them. sums: path -> sha256 where the manifest has another digest or none."""

    sums: Mapping[str, str]
    differences: tuple[Difference, ...]


def read_back(case_dir: Path, files: Mapping[str, Claim]) -> ReadBack:
    """Read the files of a case's manifest from the disk, and say which of them are not as they came."""
    wanted = [(path, algorithms(claim)) for path, claim in files.items()]
    found, wrong = {}, []
    for path, seen in readback.read_all(case_dir, wanted, sum(claim.size or 0 for claim in files.values())):
        claim = files[path]
        difference = compare(path, claim, seen)
        if difference:
            wrong.append(difference)
        elif SHA256 not in claim.digests:
            found[path] = seen.digests[SHA256]
    return ReadBack(found, tuple(wrong))


def algorithms(claim: Claim) -> dict[str, int]:
    """Return the digests to make of a file: those claimed, and sha256 always. Algorithm -> hex digits."""
    return {SHA256: 64, **{name: len(text) for name, text in claim.digests.items()}}


def compare(path: str, claim: Claim, seen: Seen) -> Difference | None:
    """Return in what a file differs from what it has to be, None when it does not."""
    if seen.why:
        return Difference(path, "a file" if claim.size is None else f"{claim.size} bytes", seen.why)
    if claim.size is not None and claim.size != seen.size:
        return Difference(path, f"{claim.size} bytes", f"{seen.size} bytes")
    for name, wanted in claim.digests.items():
        if name in seen.digests and seen.digests[name] != wanted:
            return Difference(path, f"{name} {wanted}", f"{name} {seen.digests[name]}")
    return None


def seal(
    run_dir: Path,
    cases: Sequence[CaseRef],
    now: float,
    *,
    known: Mapping[str, str],
    pending: Mapping[str, bytes],
    growing: Sequence[str] = (),
) -> None:
    """Write manifest.json and SHA256SUMS of a run over all files of its folder.

    known: path -> sha256 of files whose bytes have been proved, whatever the disk has by now. pending: path -> content
    of files that are written next. growing: files that somebody still writes; what they hold now is proved, the rest
    when they are settled, see `sums.settle`.
    """
    there = set(files_below(run_dir)) - UNPROVED - set(growing) - set(pending)
    manifests = [(ref, f"{ref.folder(Path())}/{manifest.NAME}") for ref in cases]
    listed = {path: claim for _, one in manifests if one in there for path, claim in _listed(run_dir, one).items()}
    proved = {path: text for path, claim in listed.items() if (text := known.get(path) or claim.digests.get(SHA256))}
    read = _read(run_dir, sorted(there - set(proved)))
    own = {path: claim for path, claim in read.items() if path not in listed}
    own |= {path: _claim(content) for path, content in pending.items()}
    attempts = [(ref, path, own.pop(path)) for ref, path in manifests if path in own]
    begun = {path: _claim((run_dir / path).read_bytes()) for path in growing if (run_dir / path).is_file()}
    run = atomic.encoded(manifest.of_run(run_dir.name, moment(now), attempts, dict(sorted(own.items())), begun))
    claimed = {**read, **own, **{path: claim for _, path, claim in attempts}, manifest.NAME: _claim(run)}
    atomic.write_bytes(run_dir / manifest.NAME, run)
    digests = {path: claim.digests[SHA256] for path, claim in claimed.items()}
    atomic.write_bytes(run_dir / sums.NAME, sums.render({**digests, **proved}))


def files_below(folder: Path) -> Iterator[str]:
    """Yield the path of everything below a folder that is no folder itself; links are not followed."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                path = prefix + entry.name
                if not entry.is_dir(follow_symlinks=False):
                    yield path
                elif path != BOARD:
                    waiting.append(f"{path}/")


def _listed(run_dir: Path, path: str) -> dict[str, Claim]:
    """Return the files that a case's manifest lists, by their paths below the run; a damaged one lists none."""
    base = path.removesuffix(manifest.NAME)
    try:
        found = manifest.read_case((run_dir / path).read_bytes())
    except manifest.ManifestError:
        return {}
    return {base + name: claim for name, claim in found.files.items()}


def _read(run_dir: Path, paths: Sequence[str]) -> dict[str, Claim]:
    """Return the files at these paths as the disk has them; what is no file is left to be found as such."""
    size = sum((run_dir / path).lstat().st_size for path in paths)
    found = readback.read_all(run_dir, [(path, {SHA256: 64}) for path in paths], size)
    return {path: Claim(seen.size, seen.digests) for path, seen in found if not seen.why}


def seen(content: bytes) -> Seen:
    """Return what a file of this content is."""
    return Seen(len(content), {SHA256: sha256(content)})


def sha256(content: bytes) -> str:
    """Return the hex digest of content."""
    return hashlib.sha256(content).hexdigest()


def _claim(content: bytes) -> Claim:
    return Claim(len(content), {SHA256: sha256(content)})
