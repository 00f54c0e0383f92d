# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of any folder of a node, fetched without a run, with a manifest beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from operator import attrgetter
from pathlib import Path
from typing import Any

from ..node.client import NodeClient
from ..run import atomic
from . import here, partial
from .bring import Bringing, Brought
from .errors import ArtifactError
from .policy import FULL, Failure, Policy
from .preview import plan
from .transfer import Fetched, Transfer, Wanted, speeds

SUFFIX = ".manifest.json"
MISSING = "artifact_missing"


def manifest_of(destination: Path) -> Path:
    """Return the file that lists what was fetched to a destination."""
    return destination.with_name(destination.name + SUFFIX)


def preview(client: NodeClient, wanted: Wanted, policy: Policy, node: str) -> dict[str, Any]:
    """Return what `fetch` would bring, as far as that is known before; nothing is written. Raise what it fails with."""
    _check_node(wanted.destination, node)
    found = plan(client, wanted, policy)
    told = {key: found[key] for key in ("files", "bytes", "refused", "missing")}
    return {**told, "changed": _would_change(client, wanted, policy, found["files"])}


def _would_change(client: NodeClient, wanted: Wanted, policy: Policy, files: int) -> bool:
    """Return whether `fetch` would put something in place; files: how many there are on the node."""
    path = manifest_of(wanted.destination)
    if not (wanted.destination.is_dir() and path.exists()):
        return True
    algorithms = speeds() if policy.integrity == FULL else {}
    _, have = here.proved(wanted.destination, partial.read(path).get("files"), algorithms)
    return bool(plan(client, wanted, policy, have.values())["same"] < files)


def fetch(client: NodeClient, wanted: Wanted, policy: Policy, node: str) -> tuple[dict[str, Any], Failure | None]:
    """Bring files and write their manifest; return the result as JSON values, and what it failed with.

    node: its name, for the manifest. What an earlier call has put in place and is as on the node is not sent again.
    ArtifactError where the destination has files of another node, or another call fills it.
    """
    with _only_one(wanted.destination):
        _check_node(wanted.destination, node)
        return _fetched(client, wanted, policy, node)


def _check_node(destination: Path, node: str) -> None:
    """Raise where a destination has files of another node: those of two would be told as one's, and replace each other."""
    there = partial.read(manifest_of(destination)).get("node", node)
    if there != node:
        said = f"{destination} has files of {there!r}, and {node!r} is asked for; give each node a dest of its own"
        raise ArtifactError("config_invalid", f"{said}, or remove the folder and {manifest_of(destination)}", [])


@contextmanager
def _only_one(destination: Path) -> Iterator[None]:
    """Keep a destination for one call; ArtifactError lock_held while another one has it, also one that has ended just now."""
    path = destination.with_name(f".{destination.name}.fetching")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(descriptor):
            said = (
                f"files come to {destination} at this moment; give each node a dest of its own, or wait for the other"
            )
            raise ArtifactError("lock_held", said, [])
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Lock an open file, and return whether it is ours and still has its name."""
    with suppress(OSError):  # not every file system has locks
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
    return bool(os.fstat(descriptor).st_nlink)


def _fetched(client: NodeClient, wanted: Wanted, policy: Policy, node: str) -> tuple[dict[str, Any], Failure | None]:
    listed = partial.read(manifest_of(wanted.destination)).get("files")
    transfer = Transfer(wanted, policy, speeds(), listed, prepare=attrgetter("lines"))
    brought = Bringing(client, policy).bring([transfer])
    (fetched,) = brought.fetched
    kept = partial.folder_of(wanted.destination)
    if not kept.exists():
        manifest_of(kept).unlink(missing_ok=True)
    failure = next(iter(brought.failures), None)
    return _result(wanted, fetched, brought, node), failure


def _result(wanted: Wanted, fetched: Fetched, brought: Brought, node: str) -> dict[str, Any]:
    found = {
        "files": len(fetched.files),
        "bytes": sum(entry.size for entry in fetched.files),
        "partial": fetched.partial and bool(fetched.files),
        "refused": list(fetched.refused),
        "missing": list(fetched.missing),
        "transfer": brought.report,
    }
    path = manifest_of(fetched.folder)
    if fetched.partial and not fetched.files:
        return {**found, "changed": False, "manifest": ""}
    if fetched.missing and not fetched.files and path.exists():
        # What the node has no more stays, and so does its proof.
        return {**found, "changed": False, "manifest": str(path)}
    facts = {key: value for key, value in found.items() if key != "files"}
    content = {"schema_version": partial.SCHEMA, "node": node, "source": dict(wanted.base), **facts}
    rewritten = fetched.changed or not _says(partial.read(path), content, len(fetched.files))
    if rewritten:
        atomic.write_bytes(path, _document(content, fetched.lines))
    return {**found, "changed": rewritten, "manifest": str(path)}


def _says(written: Mapping[str, Any], content: Mapping[str, Any], files: int) -> bool:
    """Return whether a manifest that is here says what would be written now, whatever the transfers took."""
    listed = written.get("files")
    alike = all(written.get(key) == value for key, value in content.items() if key != "transfer")
    return alike and isinstance(listed, list) and len(listed) == files


def _document(content: Mapping[str, Any], files: Sequence[str]) -> bytes:
    """Return the manifest's JSON: content, and a line for each file behind it."""
    head = atomic.encoded({**content, "files": []}).removesuffix(b"[]\n}\n")
    lines = ",\n    ".join(files)
    return head + f"[\n    {lines}\n  ]\n}}\n".encode("utf-8", "backslashreplace")


def absent(wanted: Wanted, missing: Sequence[str]) -> str:
    """Return what is said of patterns that matched nothing."""
    return f"no file of {wanted.base['base']} on the node matches {', '.join(map(repr, missing))}"
