# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cleaning cost and removed: by node and in all, for a case and for a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .values import duration, mapping, size

COUNTED = ("containers", "networks", "volumes", "processes", "files", "bytes")
FIGURES = (*COUNTED, "seconds", "emergency_passes")


def of_case(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """Return {nodes: {node: figures}, total: figures} of a case. cleaned: node -> what its cleaning answered."""
    return _with_total({node: [_figures(note)] for node, note in cleaned.items()})


def of_run(cases: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the same over the case records of a run."""
    nodes: dict[str, list[Mapping[str, Any]]] = {}
    for record in cases:
        for node, figures in mapping(mapping(record.get("cleaning")).get("nodes")).items():
            nodes.setdefault(node, []).append(mapping(figures))
    return _with_total(nodes)


def line(cleaning: Any) -> str:
    """Return the total in one line, "" where nothing was cleaned."""
    total = mapping(mapping(cleaning).get("total"))
    if not total:
        return ""
    said = f"removed {removed(total)} in {duration(total.get('seconds'))}"
    passes = total.get("emergency_passes")
    return f"{said}, {passes} emergency pass{'' if passes == 1 else 'es'}" if passes else said


def removed(figures: Any) -> str:
    """Return what was removed in words; figures: counts by kind."""
    counts = {kind: mapping(figures).get(kind) for kind in COUNTED}
    words = [
        f"{count} {kind.removesuffix('es' if kind == 'processes' else 's') if count == 1 else kind}"
        for kind, count in counts.items()
        if count and kind != "bytes"
    ]
    return ", ".join([*words, *([size(counts["bytes"])] if counts["bytes"] else [])]) or "nothing"


def _figures(note: Mapping[str, Any]) -> dict[str, Any]:
    counts = mapping(note.get("removed"))
    figures = {kind: counts.get(kind, 0) for kind in COUNTED}
    errors = {"errors": list(note["errors"])} if note.get("errors") else {}
    return {
        **figures,
        "seconds": note.get("seconds", 0.0),
        "emergency_passes": int(bool(note.get("emergency"))),
        **errors,
    }


def _with_total(nodes: Mapping[str, list[Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the figures of each node and of all, {} when there are none; seconds add up, also of nodes cleaned at once."""
    if not nodes:
        return {}
    summed = {node: _sum(found) for node, found in nodes.items()}
    return {
        "nodes": summed,
        "total": {name: value for name, value in _sum(summed.values()).items() if name != "errors"},
    }


def _sum(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    known = list(found)
    figures = {name: sum(one[name] for one in known) for name in FIGURES}
    errors = [error for one in known for error in one.get("errors", ())]
    return {**figures, "seconds": round(figures["seconds"], 3), **({"errors": errors} if errors else {})}
