# SPDX-License-Identifier: MIT
"""What must be true of a run's folder after any fault: it can be read, and nothing in it is half."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import verify
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal

from testcell import closing

Tree = dict[str, bytes]
ENDS = {".html": b"</html>", ".md": b"\n", ".csv": b"\n"}
# Written by the test or by Ansible as they go, and not by us at once.
GROWING = (journal.NAME, "events.jsonl", "test.log")


class Broken(AssertionError):
    """What a fault has broken."""


# What reading a broken folder raises.
FOUND = (Broken, OSError, ValueError, KeyError, TypeError, ElementTree.ParseError, results.ResultsError)


def tree(run: Path) -> Tree:
    """Return path -> content of the files of a run with final names, without those that only grow."""
    found: Tree = {}
    for path in run.rglob("*"):
        name = path.relative_to(run)
        if path.is_file() and not any(part.startswith(".") for part in name.parts) and path.name not in GROWING:
            found[name.as_posix()] = path.read_bytes()
    return found


def check_readers(run: Path) -> None:
    """Read what is there as the next command does: the journal, the list of runs, the nodes to clean."""
    list(journal.read(run))
    for row in results.list_runs(run.parent, time.time()):
        if row.state == "unreadable":
            raise Broken(f"{row.run_id} is unreadable")
    if closing.began(run) and not closing.nodes_of(run):
        raise Broken("the plan names no nodes to clean")


def check_shapes(run: Path) -> None:
    """Look at each file of ours: none is cut short, and each one in a manifest is there and has its digest."""
    for name, content in tree(run).items():
        path = Path(name)
        if {"test_artifacts", "nodes"} & set(path.parts):
            continue
        if path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".xml":
            ElementTree.fromstring(content)
        elif path.suffix in ENDS and not content.endswith(ENDS[path.suffix]):
            raise Broken(f"{name} is cut short")
        if path.name == "manifest.json" and path.parent != Path():
            _check_digests(run / path.parent, json.loads(content))


def _check_digests(folder: Path, manifest: dict[str, Any]) -> None:
    for node in manifest["nodes"].values():
        for entry in node["files"]:
            algorithm, _, digest = entry["digest"].partition(":")
            if hashlib.new(algorithm, (folder / entry["path"]).read_bytes()).hexdigest() != digest:
                raise Broken(f"{folder / entry['path']} has another digest than its manifest says")


def check_proof(run: Path) -> None:
    """Prove a run that is over again: whatever happened before, all that it holds is as its proof says."""
    findings = verify.folder(run).findings
    if findings:
        raise Broken(f"{findings[0].path} is not as its proof says: {findings[0].expected}, {findings[0].found}")


def check_no_secret(run: Path, secret: str) -> None:
    """Look for a value of the caller's environment in a run that is over."""
    for path in run.rglob("*"):
        if path.is_file() and secret.encode() in path.read_bytes():
            raise Broken(f"{path} holds a value of the caller's environment after the end")
