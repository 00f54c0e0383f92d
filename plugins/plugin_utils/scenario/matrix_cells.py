# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cells of a matrix: every combination of its labels, less `exclude`, plus `extra`.

All cells carry the same labels, so that results of one scenario can be compared and no script meets a missing one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

from ..problems import Problem, describe, format_path, listing, nearest
from . import names
from .model import Label
from .strict_yaml import Document

MOST_CELLS = 1000
MOST_LABELS = 16
LISTS = ("exclude", "extra")

_Cell = dict[str, Label]


def read_cells(matrix: dict[str, Any], document: Document) -> tuple[tuple[_Cell, ...], list[Problem]]:
    """Return the cells of checked data in file order, and what is wrong with the matrix; () when it has no labels."""
    axes = {label: values for label, values in matrix.items() if label not in LISTS}
    problems = list(_axis_problems(axes, document))
    count = math.prod(len(values) for values in axes.values()) + len(matrix.get("extra", []))
    if count > MOST_CELLS:
        message = "has too many cells"
        problems.append(document.problem(("matrix",), message, got=f"{count} cells", allowed=f"up to {MOST_CELLS}"))
    if problems:
        return (), problems
    cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []
    cells, problems = _without_excluded(cells, axes, matrix.get("exclude", []), document)
    problems += _add_extra(cells, matrix.get("extra", []), document)
    if not cells and not problems:
        problems.append(document.problem(("matrix",), "has no cell left", at="key"))
    return tuple(cells), problems


def _axis_problems(axes: dict[str, Any], document: Document) -> Iterator[Problem]:
    for label in axes:
        wrong = names.wrong_label_name(label)
        if wrong:
            path, got = ("matrix", label), describe(label)
            yield document.problem(path, f"label {wrong}", got=got, allowed=names.LABEL_NAME, at="key")
    if len(axes) > MOST_LABELS:
        got = f"{len(axes)} labels"
        yield document.problem(("matrix",), "has too many labels", got=got, allowed=f"up to {MOST_LABELS}")


def _without_excluded(
    cells: list[_Cell], axes: dict[str, Any], excluded: list[_Cell], document: Document
) -> tuple[list[_Cell], list[Problem]]:
    problems = []
    for index, rule in enumerate(excluded):
        path = ("matrix", "exclude", index)
        unknown = [label for label in rule if label not in axes]
        if unknown or not rule:
            allowed = listing(list(axes))
            near = nearest(unknown[0], axes) if unknown else ""
            message = f"unknown label {unknown[0]!r}" if unknown else "names no label"
            problems.append(document.problem(path, message, allowed=allowed, suggestion=near))
            continue
        kept = [cell for cell in cells if any(cell[label] != value for label, value in rule.items())]
        if len(kept) == len(cells):
            problems.append(document.problem(path, f"takes no cell away: {_text(rule)}"))
        cells = kept
    return cells, problems


def _add_extra(cells: list[_Cell], extra: list[_Cell], document: Document) -> list[Problem]:
    """Add the extra cells that are right; each gives every label of the matrix and nothing else."""
    problems = []
    labels = list(cells[0]) if cells else list(extra[0]) if extra else []
    for index, cell in enumerate(extra):
        path = ("matrix", "extra", index)
        if set(cell) != set(labels):
            got = f"labels {listing(list(cell))}"
            problems.append(document.problem(path, "must give every label", got=got, allowed=listing(labels)))
        elif cell in cells:
            problems.append(document.problem(path, f"is already a cell: {_text(cell)}"))
        else:
            cells.append({label: cell[label] for label in labels})
    return problems


def _text(cell: _Cell) -> str:
    return ", ".join(f"{format_path((label,))}={value}" for label, value in cell.items())
