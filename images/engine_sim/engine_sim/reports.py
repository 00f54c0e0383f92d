# SPDX-License-Identifier: MIT
"""Epoch reports: now and then a file that says how far the service has come, each written whole."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from engine_sim.faults import Drawn
from engine_sim.progress import Progress
from engine_sim.settings import Settings

logger = logging.getLogger("engine_sim.reports")

PATTERN = "epoch-*.json"


class Reports:
    """The reports of one service, numbered from 1 on over all its starts. `heads`: Progress.report has them."""

    def __init__(
        self,
        settings: Settings,
        faults: Drawn,
        progress: Progress,
        uptime_s: Callable[[], float],
        heads: Callable[[], Mapping[str, int]],
    ) -> None:
        self._folder = Path(settings.report_dir) if settings.report_dir else None
        self._settings = settings
        self._end_s = faults.amount("no_reports_after_s") if faults.on("no_reports_after_s") else float("inf")
        self._progress = progress
        self._uptime_s = uptime_s
        self._heads = heads
        self._epoch = 0

    def go_on(self) -> None:
        """Make the folder, and go on from the newest report that an earlier start has left there."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            logger.error("cannot make %s: %s", self._folder, error.strerror)
        for path in sorted(self._folder.glob(PATTERN), reverse=True):
            try:
                report = json.loads(path.read_bytes())
                self._progress.go_on_from(report)
                self._epoch = int(report["epoch"])
            except (OSError, KeyError, TypeError, ValueError) as error:
                logger.error("cannot go on from %s: %r", path, error)
                continue
            logger.info("Going on from %s", path)
            return

    async def run(self) -> None:
        """Write a report at once and then one each interval, until cancelled; return at once when none are wanted."""
        while self._folder is not None and self._uptime_s() < self._end_s:
            self.write()
            next_s = (self._uptime_s() // self._settings.report_interval_s + 1) * self._settings.report_interval_s
            await asyncio.sleep(next_s - self._uptime_s())

    def write(self) -> None:
        """Write the report of the next epoch; one that cannot be written is logged and its number is used again."""
        if self._folder is None or self._uptime_s() >= self._end_s:
            return
        epoch = self._epoch + 1
        known = {"epoch": epoch, "written_at": round(time.time(), 3), "node_id": self._settings.name}
        content = json.dumps({**known, **self._progress.report(epoch, self._heads())}, indent=1)
        path = self._folder / f"epoch-{epoch:06d}.json"
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            temporary.write_text(content)
            os.replace(temporary, path)
        except OSError as error:
            logger.error("cannot write %s: %s", path, error.strerror)
            return
        self._epoch = epoch
