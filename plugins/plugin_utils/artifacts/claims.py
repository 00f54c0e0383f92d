# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the proof of a run says that its files are: SHA256SUMS and all manifests, held against each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..run.folder import RUN_ID
from . import hashes, manifest, paths, proof, sums
from .manifest import CaseManifest, Claim, ManifestError, RunManifest
from .readback import SHA256

# Reads a file of the proof by its path: None where there is none.
Read = Callable[[str], "bytes | None"]
CORRUPT = "artifact_corrupt"
RESTORE = "restore it from a copy; without one the result may not be believed"
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was when the run ended. next: what can be done about it."""

    path: str
    expected: str
    found: str
    next: str = RESTORE
    kind: str = CORRUPT

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain JSON types."""
        return {
            "kind": self.kind,
            "path": self.path,
            "expected": self.expected,
            "found": self.found,
            "next": self.next,
        }


@dataclass
class Claims:
    """All that is said of a run's files. proof: sha256 of SHA256SUMS, "" without one; growing: what was still written."""

    run_id: str = ""
    proof: str = ""
    files: dict[str, Claim] = field(default_factory=dict)
    growing: Mapping[str, Claim] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: bool = True  # of the first form only what came home is known

    def wrong(self, path: str, expected: str, found: str) -> None:
        """Note a part of the proof that cannot be trusted."""
        self.findings.append(Finding(path, expected, found))


def gather(read: Read, name: str) -> Claims:
    """Return what the proof of a run says. name: the folder's name, which is a run id unless somebody renamed it."""
    claims = Claims()
    listed, run = _sums(read, claims), _run(read, claims, name)
    if listed is None and run is None and _first_form(read, claims, name):
        return claims
    if listed is None:
        claims.wrong(sums.NAME, "the digests of all files", "nothing that can be read")
    if run is None:
        claims.wrong(manifest.NAME, "the manifest of the run", "nothing that can be read")
    else:
        _merge(read, claims, run)
    if listed is not None:
        _hold_against(claims, listed, run is not None)
    return claims


def _sums(read: Read, claims: Claims) -> dict[str, str] | None:
    content = read(sums.NAME)
    if content is None:
        return None
    claims.proof = proof.sha256(content)
    try:
        return sums.parse(content)
    except sums.SumsError as exc:
        claims.wrong(sums.NAME, "a digest and a name in each line", str(exc))
        return None


def _run(read: Read, claims: Claims, name: str) -> RunManifest | None:
    content = read(manifest.NAME)
    if content is None:
        return None
    claims.files[manifest.NAME] = Claim(len(content))
    try:
        found = manifest.read_run(content)
    except ManifestError as exc:
        claims.wrong(manifest.NAME, "the manifest of a run", str(exc))
        return None
    claims.run_id, claims.growing = found.run_id, found.growing
    wanted = name if RUN_ID.fullmatch(name) else _run_of_summary(read)
    if wanted and found.run_id != wanted:
        claims.wrong(manifest.NAME, f"the run {wanted}", f"the run {found.run_id}")
    return found


def _run_of_summary(read: Read) -> str:
    """Return the run id of the summary, "" where it has none."""
    try:
        document = json.loads(read(SUMMARY) or b"")
    except (ValueError, RecursionError):
        return ""
    run_id = document.get("run_id") if isinstance(document, dict) else ""
    return run_id if isinstance(run_id, str) else ""


def _merge(read: Read, claims: Claims, run: RunManifest) -> None:
    """Take what the manifests of the run and of its cases say."""
    claims.files.update(run.files)
    for path in run.cases:
        case = _case(read, claims, path, run.run_id)
        if case is None:
            continue
        base = path.removesuffix(manifest.NAME)
        for name, claim in case.files.items():
            if base + name in claims.files:
                claims.wrong(path, f"files that no other manifest lists, {base + name!r} is in two", "it")
            claims.files[base + name] = claim
        if case.partial:
            claims.notes.append(
                f"{path}: not all files of {', '.join(case.partial)} came home; the collection broke off"
            )
        if case.unproved:
            claims.notes.append(
                f"{path}: {case.unproved} file(s) came without a digest; proved since the end of the run"
            )


def _case(read: Read, claims: Claims, path: str, run_id: str) -> CaseManifest | None:
    """Return the manifest of a case, None where it is not the one that the run's manifest means: then it is told later."""
    content = read(path)
    if content is None or proof.compare(path, claims.files[path], proof.seen(content)):
        return None
    try:
        found = manifest.read_case(content)
    except ManifestError as exc:
        claims.wrong(path, "the manifest of a case", str(exc))
        return None
    if found.run_id != run_id:
        claims.wrong(path, f"the run {run_id}", f"the run {found.run_id or 'is not named'}")
    return found


def _hold_against(claims: Claims, listed: Mapping[str, str], complete: bool) -> None:
    """Hold SHA256SUMS against the manifests, and take its digests beside theirs. complete: the manifests could be read."""
    for path, digest in listed.items():
        claim = claims.files.get(path)
        if claim is None and complete and path not in claims.growing:
            claims.wrong(sums.NAME, f"no digest of {path!r}, which no manifest names", f"sha256 {digest}")
        known = claim.digests if claim else {}
        if known.get(SHA256, digest) != digest:
            claims.wrong(sums.NAME, f"sha256 {known[SHA256]} of {path!r}, as the manifest", f"sha256 {digest}")
        claims.files[path] = Claim(claim.size if claim else None, {SHA256: digest, **known})
    for path, claim in claims.files.items():
        if path not in listed:
            claims.wrong(sums.NAME, f"the digest of {path!r}", "no line of it")
        absent = [name for name, text in claim.digests.items() if hashes.hasher(name, len(text)) is None]
        if absent and absent[0] not in str(claims.notes):
            claims.notes.append(
                f"{absent[0]} cannot be made on this machine: files with such a digest are proved by {sums.NAME}"
            )


def _first_form(read: Read, claims: Claims, name: str) -> bool:
    """Take the manifests of the cases of a run from before runs had a proof; return whether there is one of that form."""
    try:
        summary = json.loads(read(SUMMARY) or b"")
        cases = [f"{case['path']}/{manifest.NAME}" for case in summary["cases"]]
    except (ValueError, RecursionError, TypeError, KeyError):
        return False
    contents = {path: content for path in cases if paths.is_plain(path) and (content := read(path)) is not None}
    try:
        found = {path: manifest.read_case(content) for path, content in contents.items()}
    except ManifestError:
        return False
    if not found or any(case.schema != manifest.FIRST_SCHEMA for case in found.values()):
        return False
    for path, case in found.items():
        base = path.removesuffix(manifest.NAME)
        claims.files.update({base + one: claim for one, claim in case.files.items()})
    claims.run_id, claims.whole = name, False
    claims.notes.append("the run is older than the proof of runs: only what came home from the nodes can be proved")
    return True
