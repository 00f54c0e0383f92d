# SPDX-License-Identifier: MIT

"""What a run is doing, from the lines of its journal: cases, nodes, steps and services, and lines worth printing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration, mapping, text

MAX_READ = 1 << 20
SCRIPT_LINE = re.compile(r"^\s+\S+\s+test\s+\|")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Tail:
    """Gives the new whole lines of a file that others append to; the file may appear later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def entries(self) -> list[dict[str, Any]]:
        """Return the JSON objects appended since the last call; lines of another form are left out."""
        whole: list[bytes] = []
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                while content := stream.read(MAX_READ):
                    self._offset += len(content)
                    *lines, self._rest = (self._rest + content).split(b"\n")
                    whole += lines
        except OSError:  # there is none yet, or its disk fails: what was read of it counts
            pass
        return [entry for entry in map(_parsed, whole) if entry is not None]


@dataclass
class NodeState:
    """What one node does now."""

    step: str = ""
    since: float = 0.0
    failed: bool = False
    message: str = ""
    services: dict[str, str] = field(default_factory=dict)


@dataclass
class Progress:
    """The state of a run as far as its journal has been read. attempt: the one that runs now, as a title."""

    run_id: str
    attempts: int = 0
    attempt: str = ""
    begun: int = 0
    nodes: dict[str, NodeState] = field(default_factory=dict)

    def apply(self, entry: Mapping[str, Any]) -> list[str]:
        """Take in one entry of the journal and return the lines that a plain screen prints for it."""
        lines = self._turn_to(entry)
        node = one_line(entry.get("node") or "")
        if not node:
            message = one_line(entry.get("message") or "")
            return [*lines, *([f"   {message}"] if message else [])]
        return [*lines, *self._apply_to_node(node, entry)]

    def script_lines(self, entry: Mapping[str, Any], lines: Sequence[str]) -> list[str]:
        """Return what a plain screen prints for lines of a test script. entry: one of its case and its node."""
        node = one_line(entry.get("node") or "")
        return [*self._turn_to(entry), *(_line(node, "test", f"| {line}") for line in lines)]

    def _turn_to(self, entry: Mapping[str, Any]) -> list[str]:
        """Show the attempt of an entry from here on, and return its title where another one was shown."""
        title = _title(entry)
        if not title or title == self.attempt:
            return []
        self.attempt = title
        self.begun += 1
        self.nodes.clear()
        return [f"== {title}"]

    def _apply_to_node(self, name: str, entry: Mapping[str, Any]) -> list[str]:
        node = self.nodes.setdefault(name, NodeState())
        step, phase = one_line(entry.get("step") or ""), entry.get("phase")
        at = entry.get("t")
        if phase == "begin":
            node.step, node.message = step, ""
            node.since = at if isinstance(at, (int, float)) else time.time()
            return []
        if phase == "end":
            return [_line(name, step, self._end(node, entry))]
        message = one_line(entry.get("message") or "")
        node.message = message
        service = entry.get("service")
        if service:
            node.services[one_line(service)] = one_line(entry.get("state") or "failed")
        return [_line(name, step, message)] if message else []

    def _end(self, node: NodeState, entry: Mapping[str, Any]) -> str:
        if entry.get("ok") is False:
            failure = mapping(entry.get("failure"))
            kind, message = text(failure.get("error_kind")) or "failed", text(failure.get("message"))
            node.failed, node.message = True, one_line(message)
            return f"FAILED {one_line(kind)}: {one_line(message)}"
        return f"ok, {duration(entry.get('seconds'))}"


def is_script_line(text_line: str) -> bool:
    """Return whether a line of Ansible's output is one that the test script wrote."""
    return SCRIPT_LINE.match(ANSI.sub("", text_line)) is not None


def _line(node: str, step: str, message: str) -> str:
    return f"   {node:<12} {step:<9} {message}"


def _title(entry: Mapping[str, Any]) -> str:
    scenario = one_line(entry.get("scenario") or "")
    if not scenario:
        return ""
    attempt = entry.get("attempt")
    parts = [scenario, one_line(entry.get("case") or "")]
    parts.append(f"attempt {attempt}" if isinstance(attempt, int) and attempt > 1 else "")
    return " / ".join(part for part in parts if part)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
