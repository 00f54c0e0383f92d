# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""manifest.json: of a case, what came home from each node; of a run, all its cases and all other files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..run.folder import CaseRef
from .paths import is_plain
from .readback import SHA256

NAME = "manifest.json"
SCHEMA = 2
# The first form: sha256 alone, under its own key, and no manifest of the run.
FIRST_SCHEMA = 1
FULL = "full"
DIGEST = re.compile(r"(sha256|blake2b|blake3|xxh3_128):((?:[0-9a-f]{2}){16,64})")


class ManifestError(Exception):
    """A file that is no manifest; the text says what was expected and what is there."""


@dataclass(frozen=True)
class Claim:
    """What a file has to be. size: bytes, None where nobody says it; digests: algorithm -> hex."""

    size: int | None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseManifest:
    """What a case brought home. run_id is "" in the first form; files: path below the case's folder -> claim.

    unproved: how many files came without a digest; partial: nodes whose collection broke off.
    """

    schema: int
    run_id: str
    files: Mapping[str, Claim]
    unproved: int
    partial: tuple[str, ...]


@dataclass(frozen=True)
class RunManifest:
    """All files of a run. cases: paths of their manifests; growing: files of which the beginning is proved."""

    run_id: str
    cases: tuple[str, ...]
    files: Mapping[str, Claim]
    growing: Mapping[str, Claim]


def of_case(run_id: str, ref: CaseRef, notes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the manifest of an attempt. notes: node -> what its collection noted, see steps.collect."""
    identity = {"run_id": run_id, "scenario": ref.scenario, "case": ref.case, "attempt": ref.attempt}
    return {
        "schema_version": SCHEMA,
        **identity,
        "nodes": {node: _node(note) for node, note in notes.items()},
    }


def _node(note: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "files": [_entry(entry) for entry in note["files"]],
        "missing": note["missing"],
        "refused": note["refused"],
        "partial": note.get("partial", False),
        "integrity": note.get("integrity", FULL),
        "transfer": note.get("transfer"),
    }


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    mtime_ns = entry["mtime_ns"]
    facts = {"path": entry["path"], "size": entry["size"], "mode": entry["mode"]}
    return {**facts, "mtime": mtime_ns / 1e9, "mtime_ns": mtime_ns, "digest": digest_of(entry)}


def digest_of(entry: Mapping[str, Any]) -> str:
    """Return the digest of an entry as `algorithm:hex`, whichever of the two forms the entry has; "" for none."""
    if "digest" in entry:
        return str(entry["digest"])
    return f"{SHA256}:{entry['sha256']}"


def of_run(
    run_id: str, closed_at: str, cases: Sequence[tuple[CaseRef, str, Claim]], files: Mapping[str, Claim],
    growing: Mapping[str, Claim],
) -> dict[str, Any]:  # fmt: skip
    """Return the manifest of a run. cases: attempt, path and claim of each manifest; closed_at: ISO 8601."""
    attempts = [
        {"scenario": ref.scenario, "case": ref.case, "attempt": ref.attempt, **_claimed(path, claim)}
        for ref, path, claim in cases
    ]
    return {
        "schema_version": SCHEMA,
        "run_id": run_id,
        "closed_at": closed_at,
        "cases": attempts,
        "files": [_claimed(path, claim) for path, claim in files.items()],
        "growing": [_claimed(path, claim) for path, claim in growing.items()],
    }


def _claimed(path: str, claim: Claim) -> dict[str, Any]:
    return {"path": path, "size": claim.size, "digest": f"{SHA256}:{claim.digests[SHA256]}"}


def read_case(content: bytes) -> CaseManifest:
    """Return the manifest of a case, of either form; ManifestError when it is none."""
    document = _document(content)
    schema = document.get("schema_version")
    if schema not in (FIRST_SCHEMA, SCHEMA):
        raise ManifestError(f"schema_version is {schema!r}; known: {FIRST_SCHEMA}, {SCHEMA}")
    nodes = document.get("nodes")
    if not isinstance(nodes, dict) or not all(isinstance(node, dict) for node in nodes.values()):
        raise ManifestError("nodes is no object of objects")
    files = _claims([entry for node in nodes.values() for entry in _list(node, "files")])
    unproved = sum(not claim.digests for claim in files.values())
    partial = tuple(str(name) for name, node in nodes.items() if node.get("partial"))
    return CaseManifest(schema, _run_id(document) if schema == SCHEMA else "", files, unproved, partial)


def read_run(content: bytes) -> RunManifest:
    """Return the manifest of a run; ManifestError when it is none."""
    document = _document(content)
    if document.get("schema_version") != SCHEMA:
        raise ManifestError(f"schema_version is {document.get('schema_version')!r}; known: {SCHEMA}")
    cases, files, growing = (_claims(_list(document, key)) for key in ("cases", "files", "growing"))
    twice = [path for path in cases if path in files]
    if twice:
        raise ManifestError(f"{twice[0]!r} is named twice")
    return RunManifest(_run_id(document), tuple(cases), {**cases, **files}, growing)


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise ManifestError(f"is no JSON: {exc}") from None
    if not isinstance(document, dict):
        raise ManifestError("is no JSON object")
    return document


def _run_id(document: Mapping[str, Any]) -> str:
    run_id = document.get("run_id")
    if not isinstance(run_id, str) or not run_id:
        raise ManifestError("run_id is missing")
    return run_id


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    found = document.get(key)
    if not isinstance(found, list):
        raise ManifestError(f"{key} is no list")
    return found


def _claims(entries: Iterable[Any]) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    for entry in entries:
        path, claim = _claim(entry)
        if path in found:
            raise ManifestError(f"{path!r} is named twice")
        found[path] = claim
    return found


def _claim(entry: Any) -> tuple[str, Claim]:
    path, size = (entry.get("path"), entry.get("size")) if isinstance(entry, dict) else (None, None)
    if not isinstance(path, str) or not is_plain(path):
        raise ManifestError(f"{path!r} is no plain relative path")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ManifestError(f"{path!r} has the size {size!r}")
    if "digest" not in entry and "sha256" not in entry:
        raise ManifestError(f"{path!r} has no digest")
    text = digest_of(entry)
    match = DIGEST.fullmatch(text)
    if text and not match:
        raise ManifestError(f"{path!r} has the digest {text!r}")
    return path, Claim(size, {match[1]: match[2]} if match else {})
