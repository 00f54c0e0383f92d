# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""The soaks so far, side by side: one line a night, what fails first and what has moved at one glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testcell.cli.errors import CliError
from testcell.cli.output import Part, Table
from testcell.cli.settings import Settings
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.nights import Night

MIB = 1 << 20
COLUMNS = (
    "run",
    "case",
    "verdict",
    "gates",
    "lasted",
    "faults felt",
    "RTO max",
    "lag p95",
    "failed checks",
    "memory growth",
)


def show(settings: Settings, results: Path, scenarios: Sequence[str]) -> None:
    """Show the soaks of these scenarios, or all of them, the oldest first; CliError for results that cannot be listed."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.results import ResultsError
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import nights

    try:
        found = [one for one in nights.nights(results) if not scenarios or one.scenario in scenarios]
    except ResultsError as exc:
        raise CliError(str(exc), Exit.INFRASTRUCTURE) from None
    settings.emit([one.as_dict() for one in found], lambda: [_table(found)])


def _table(found: Sequence[Night]) -> Part:
    note = "" if found else "no soak is kept here; testcell soak NAME makes one"
    return Table(COLUMNS, [_row(one) for one in found], note=note, right=frozenset(COLUMNS[3:]))


def _row(night: Night) -> tuple[str, ...]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.values import duration, shown

    growth = night.rss_slope_bytes_per_h
    cells = (
        night.run_id,
        "/".join(part for part in (night.scenario, night.case) if part),
        f"{night.verdict or night.state}{' (control)' if night.negative_control else ''}",
        _of(night.gates_passed, night.gates),
        duration(night.lasted_s),
        _of(night.faults_felt, night.faults),
        shown(night.rto_max_s, "s"),
        shown(night.lag_p95),
        "-" if night.failure_ratio is None else f"{night.failure_ratio:.2%}",
        "-" if growth is None else f"{growth / MIB:+.1f} MiB/h",
    )
    return tuple(one_line(cell) for cell in cells)


def _of(part: float | None, whole: float | None) -> str:
    """Return `PART/WHOLE`, a dash where nothing is known."""
    return "-" if part is None or whole is None else f"{part:.0f}/{whole:.0f}"
