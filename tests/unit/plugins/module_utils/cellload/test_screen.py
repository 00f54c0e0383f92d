# SPDX-License-Identifier: MIT
"""The progress lines."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.screen import Progress


def note(progress: Progress, *times: float) -> None:
    record: dict[str, Any] = {"ok": True, "output_tokens": 4}
    for now in times:
        progress.note(record, now, in_flight=2)


def test_progress_is_told_once_a_second_at_most() -> None:
    lines: list[str] = []
    note(Progress(100, lines.append), *(step / 100 for step in range(1, 501)))
    assert len(lines) == 5
    assert lines[0] == "     1 s  100/100 ended, 0 failed, 2 in flight, 400 tok/s"


@pytest.mark.parametrize(("hours", "most"), [(1, 800), (10, 1050)])
def test_progress_becomes_rarer_in_long_loads(hours: int, most: int) -> None:
    lines: list[str] = []
    note(Progress(None, lines.append), *range(1, hours * 3600))
    assert len(lines) <= most
