# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person does after a soak, and where to look: one sentence, and the files that tell of a gate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .judgement import FAIL, INVALID, NO_DATA, PASS, Gate
from .record import SoakRecord

LOAD_GATES = frozenset(
    (
        "load",
        "load_counts",
        "stall",
        "failure_ratio",
        "success",
        "success_in_fault",
        "latency",
        "latency_in_fault",
        "burst",
    )
)
FAULT_GATES = frozenset(("fault_planned", "fault_applied", "fault_reverted", "negative_control", "rto"))

NOTHING = "Nothing is to be done. Compare it with other nights: testcell soak --nights."
LACKING = "Nothing failed, and some gates had no data: soak for longer before much is built on it."
READ = "Read failures.md: each failure with its time, the fault that was active, and the files to look at."
# What is to be done by what the gates alone say, where the case did not pass.
AFTER = {
    PASS: "All gates hold, and the case failed elsewhere: read its test_report.md and failure.json.",
    INVALID: "What was measured may not be believed: read failures.md, mend the cell, and run it again.",
    NO_DATA: "Data is missing, and that is no pass: read failures.md for what was not measured, and run it again.",
}


def sentence(record: SoakRecord) -> str:
    """Return the next step after this soak."""
    if record.verdict == PASS:
        return LACKING if record.judgement.warnings else NOTHING
    first = next(iter(record.decisive()), None)
    run = record.identity.get("run_id")
    if first is not None and first.name == "duration":
        return f"The soak was cut short: finish it with 'testcell resume {run}', or run it again."
    if first is not None and first.name == "fault_reverted" and first.verdict == FAIL:
        return f"Something of a fault is left: run 'testcell cleanup {run}' before the nodes are used again."
    return AFTER.get(record.judgement.verdict, READ)


def files(record: SoakRecord, gate: Gate) -> list[str]:
    """Return the files of the case that tell of a gate, those that are there, by their path from the folder `soak/`."""
    soak = record.asked.folder
    return [path for path in dict.fromkeys(_candidates(record, gate)) if (soak / path).exists()]


def _candidates(record: SoakRecord, gate: Gate) -> Iterator[str]:
    node, _, service = gate.subject.partition("/")
    if gate.name in FAULT_GATES:
        fault = next((one for one in record.asked.schedule if one.id == gate.subject), None)
        yield "chaos_events.log"
        for name in [fault.node] if fault else record.asked.services:
            yield f"nodes/{name}/chaos.jsonl"
        node, service = (fault.node, fault.service) if fault else ("", "")
    if gate.name == "duration" or (gate.name in LOAD_GATES and node not in record.asked.services):
        yield "../test.log"
        yield from (_from(record.asked.folder, path) for path in record.asked.loads)
        yield "timeline.csv"
    if node in record.asked.services:
        yield f"nodes/{node}/report/{service}" if service else f"nodes/{node}/samples.jsonl"
        if service:
            yield f"../nodes/{node}/services/{service}.log"
            yield f"nodes/{node}/stderr.log"
            yield f"nodes/{node}/rss.csv"
            yield f"nodes/{node}/samples.jsonl"


def _from(folder: Path, path: Path) -> str:
    """Return the path of a file of the case from its folder `soak/`."""
    try:
        return f"../{path.relative_to(folder.parent).as_posix()}"
    except ValueError:
        return path.as_posix()
