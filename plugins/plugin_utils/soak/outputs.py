# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person and a program find after a soak, written into the folder `soak/` of its case."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..run import atomic
from . import account, page, pages, sheets
from .left import NODES
from .record import SoakRecord

SUMMARY, PAGE, FAILURES = "summary.json", "soak.html", "failures.md"


def write(folder: Path, record: SoakRecord) -> tuple[Path, ...]:
    """Write all outputs of a soak into folder and return their paths; failures.md only when something failed.

    summary.json comes last: who sees it finds the other files complete.
    """
    drawn = page.draw(record)
    written = [_json(folder / "run_config.json", account.config(record))]
    written.append(_stream(folder / "timeline.csv", sheets.of_time(record)))
    written.append(_stream(folder / "chaos_events.log", sheets.of_faults(record)))
    for node in record.asked.services:
        written.append(_stream(folder / NODES / node / "rss.csv", sheets.of_memory(record, node)))
    for name, content in page.svgs(drawn):
        written.append(_stream(folder / name, [content]))
    failures = pages.failures(record)
    if failures:
        written.append(_stream(folder / FAILURES, [failures]))
    else:
        (folder / FAILURES).unlink(missing_ok=True)
    written.append(_stream(folder / "summary.md", [pages.summary(record)]))
    written.append(_stream(folder / PAGE, [page.html(record, drawn, written)]))
    return (*written, _json(folder / SUMMARY, account.summary(record)))


def brief(record: SoakRecord) -> dict[str, Any]:
    """Return what the record of a case says of its soak, for the pages of the run."""
    found = account.headline(record, record.stories())
    return {
        "page": f"{record.asked.folder.name}/{PAGE}",
        "metric_gate": record.judgement.metric_gate,
        "verdict": record.judgement.verdict,
        "planned_s": record.evidence.planned_s,
        "lasted_s": record.evidence.lasted_s,
        **found,
    }


def _json(path: Path, document: Any) -> Path:
    atomic.write_json(path, document)
    return path


def _stream(path: Path, texts: Iterable[str]) -> Path:
    with atomic.writing(path) as stream:
        for text in texts:
            stream.write(text.encode("utf-8", "backslashreplace"))
    return path
