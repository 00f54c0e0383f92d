# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof of a run made again, at any time later: each file is there, is whole, and there is none besides."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..run.folder import PIN
from . import claims as proofs
from . import manifest, proof, readback, sums
from .claims import Claims, Finding
from .manifest import Claim

# What a file of the proof may have on the disk: below it is one of a million files.
MAX_PROOF_BYTES = 1 << 30
ADDED = "remove it, or move it out of the run: nothing is added to one that has ended"
UNREADABLE = f"none that can be read, or one of over {MAX_PROOF_BYTES} bytes"
MISSING = "bring it back from a copy, or run the case again"


@dataclass(frozen=True)
class Verified:
    """What a look at a run has shown. proof: sha256 of SHA256SUMS, which says more when it was noted elsewhere.

    files, bytes: those that are whole by the proof, so without SHA256SUMS, which nothing else proves.
    """

    run_id: str
    path: str
    proof: str
    files: int
    bytes: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON types."""
        return {
            "ok": not self.findings,
            "error_kind": self.findings[0].kind if self.findings else None,
            "run_id": self.run_id,
            "path": self.path,
            "proof": f"sha256:{self.proof}" if self.proof else None,
            "files": self.files,
            "bytes": self.bytes,
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": list(self.notes),
        }


@dataclass
class Tally:
    """What was held against the proof: files and bytes of those that are whole, and a finding for each other one."""

    files: int = 0
    bytes: int = 0
    found: list[Finding] = field(default_factory=list)

    def hold(self, path: str, claim: Claim, seen: readback.Seen) -> None:
        """Count a file that is what it has to be, and keep the finding for one that is not."""
        wrong = differing(path, claim, seen)
        self.found += wrong
        if not wrong:
            self.files += 1
            self.bytes += seen.size


def folder(run_dir: Path) -> Verified:
    """Prove a run's folder again; nothing is written. OSError when the folder cannot be listed."""
    claims = proofs.gather(lambda path: _content(run_dir / path), run_dir.name)
    there = set(proof.files_below(run_dir))
    wanted = [(path, proof.algorithms(claim)) for path, claim in sorted(claims.files.items()) if path in there]
    tally = Tally()
    for path, seen in readback.read_all(run_dir, wanted, sum(claim.size or 0 for claim in claims.files.values())):
        tally.hold(path, claims.files[path], seen)
    for path, claim in claims.growing.items():
        if path in there and path not in claims.files:
            content = _content(run_dir / path)
            unread = [Finding(path, "a file", UNREADABLE)]
            tally.found += unread if content is None else grown(content, path, claim, claims)
    tally.found += [*missing(claims, there), *added(claims, there)]
    return verified(claims, str(run_dir), tally)


def verified(claims: Claims, path: str, tally: Tally) -> Verified:
    """Return the outcome with what the proof itself has shown first, and the rest by path."""
    findings = (*claims.findings, *sorted(tally.found, key=lambda finding: os.fsencode(finding.path)))
    return Verified(claims.run_id, path, claims.proof, tally.files, tally.bytes, findings, tuple(claims.notes))


def differing(path: str, claim: Claim, seen: readback.Seen) -> list[Finding]:
    """Return the finding for a file that is not what it has to be, nothing for one that is."""
    wrong = proof.compare(path, claim, seen)
    return [Finding(path, wrong.expected, wrong.found)] if wrong else []


def missing(claims: Claims, there: set[str]) -> list[Finding]:
    """Return the files that have to be there and are not."""
    absent = [path for path in (*claims.files, *claims.growing) if path not in there]
    return [Finding(path, "a file", "nothing", MISSING) for path in dict.fromkeys(absent)]


def added(claims: Claims, there: set[str]) -> list[Finding]:
    """Return the files that nothing names; of a run of the first form, and of one without its proof, all may be there."""
    if not claims.whole or not (claims.run_id or claims.proof):
        return []
    known = {sums.NAME, PIN, manifest.NAME, *claims.files, *claims.growing}
    return [Finding(path, "no such file", "one that nothing names", ADDED) for path in there - known]


def grown(content: bytes, name: str, claim: Claim, claims: Claims) -> list[Finding]:
    """Look at the beginning of a file that was still written when the proof was: the rest is what Ansible added at the end."""
    begun, rest = content[: claim.size], content[claim.size or 0 :]
    wrong = differing(name, claim, proof.seen(begun))
    if not wrong and not _are_lines(rest):
        wrong = [Finding(name, "whole lines of JSON behind what is proved", "something else")]
    if not wrong and rest:
        claims.notes.append(f"{name}: its last {len(rest)} bytes came after the proof, and are not proved")
    return wrong


def _are_lines(content: bytes) -> bool:
    """Return whether content is whole lines, each a JSON object, the last of which may be cut short."""
    try:
        return all(isinstance(json.loads(line), dict) for line in content.split(b"\n")[:-1])
    except (ValueError, RecursionError):
        return False


def _content(path: Path) -> bytes | None:
    """Return the content of a file of the proof, None where there is no file that can be one."""
    try:
        descriptor = os.open(path, readback.FLAGS)
        try:
            facts = os.fstat(descriptor)
            if not readback.is_file(facts) or facts.st_size > MAX_PROOF_BYTES:
                return None
            with open(descriptor, "rb", closefd=False) as stream:
                return stream.read()
        finally:
            os.close(descriptor)
    except OSError:
        return None
