# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario's cases: one for each cell of its matrix, with labels and a name that is safe as a folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .model import Label, Scenario

LONGEST_ID = 120
_DIGEST_CHARACTERS = 8
_PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
_UNSAFE = re.compile(r"[^A-Za-z0-9.]+")


@dataclass(frozen=True)
class Case:
    """One cell. id is "" for a scenario without a matrix; labels are texts, values keep the type of the file."""

    scenario: str
    id: str
    labels: Mapping[str, str]
    values: Mapping[str, Label]


def expand(scenario: Scenario) -> tuple[Case, ...]:
    """Return the cases in matrix order, the first label changing slowest; one case without labels when no matrix."""
    if not scenario.matrix:
        return (Case(scenario.name, "", {}, {}),)
    ids = case_ids(scenario.matrix)
    return tuple(
        Case(scenario.name, case_id, {label: label_text(value) for label, value in cell.items()}, dict(cell))
        for case_id, cell in zip(ids, scenario.matrix, strict=True)
    )


def test_config_of(scenario: Scenario, case: Case) -> dict[str, Any]:
    """Return the scenario's test parameters with the keys of `benchmark.from_labels` taken from the case's labels."""
    taken = {key: case.values[label] for key, label in scenario.benchmark.from_labels.items()}
    return {**scenario.test_config, **taken}


def path_of(scenario: Scenario, case: Case) -> str:
    """Return where the engine takes requests of a case: the scenario's own path, else that of the API it is tested by."""
    api = test_config_of(scenario, case).get("api")
    return scenario.benchmark.path or _PATHS.get(str(api), _PATHS["completions"])


test_config_of.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test


def case_ids(cells: tuple[Mapping[str, Label], ...]) -> list[str]:
    """Return one folder name a cell, `concurrency-4_model-tiny`; names that are long or alike end in a digest."""
    plain = ["_".join(f"{label}-{_slug(value)}" for label, value in cell.items()) for cell in cells]
    seen = Counter(name.casefold() for name in plain)
    return [
        name if len(name) <= LONGEST_ID and seen[name.casefold()] == 1 else _with_digest(name, cell)
        for name, cell in zip(plain, cells, strict=True)
    ]


def label_text(value: Label) -> str:
    """Return a label's value as the test script sees it: `true`, `4`, `0.5`, or the text itself."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _slug(value: Label) -> str:
    return _UNSAFE.sub("-", label_text(value)).strip("-.") or "none"


def _with_digest(name: str, cell: Mapping[str, Label]) -> str:
    digest = hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name[: LONGEST_ID - _DIGEST_CHARACTERS - 1]}-{digest}"
