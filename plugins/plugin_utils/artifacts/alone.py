# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of any folder of a node, fetched without a run, with a manifest beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from ..node.client import NodeClient
from ..run import atomic
from . import here, partial
from .bring import Bringing, Brought
from .policy import FULL, Failure, Policy
from .preview import plan
from .transfer import Fetched, Transfer, Wanted, speeds

SUFFIX = ".manifest.json"
MISSING = "artifact_missing"


def manifest_of(destination: Path) -> Path:
    """Return the file that lists what was fetched to a destination."""
    return destination.with_name(destination.name + SUFFIX)


def preview(client: NodeClient, wanted: Wanted, policy: Policy) -> dict[str, Any]:
    """Return what `fetch` would bring, as far as that is known before; nothing is written. Raise what it fails with."""
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
    """
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
