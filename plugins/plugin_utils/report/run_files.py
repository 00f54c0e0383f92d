# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a run, made from its cases: summary.json, summary.md, report.html and junit.xml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..run import atomic
from . import html_page, junit, run_page, summary


def write(run_dir: Path, run: Mapping[str, Any], before: Callable[[bytes], None] | None = None) -> dict[str, Any]:
    """Write the files of a run into run_dir and return the summary.

    summary.json comes last: who sees it finds the other files complete. run is described at summary.build.
    before: called with the content of summary.json when only that is left to write.
    """
    document = summary.build(run)
    atomic.write_text(run_dir / "summary.md", run_page.render(run))
    atomic.write_text(run_dir / "junit.xml", junit.render(run))
    atomic.write_text(run_dir / "report.html", html_page.render(run, run_dir))
    content = atomic.encoded(document)
    if before:
        before(content)
    atomic.write_bytes(run_dir / "summary.json", content)
    return document
