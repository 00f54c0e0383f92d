# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit that samples a soak: one line an interval, from before its load until it is ended, whatever else fails."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import gpus, lease, mounts
from ..beneath import case_parts, open_folder
from ..context import Context
from ..engine import NoEngine, connect
from ..errors import CellError
from ..objects import of_case
from ..probes import targets
from . import machine
from .asked import Asked, Scrape, unpacked
from .boxes import Boxes
from .groups import points
from .holding import FOLDER, hold
from .lines import Lines
from .looks import Faults, Look, words
from .metrics import Metrics
from .reports import Copies
from .services import Services

# How often metrics, disks and reports are asked, and what was written is synced; the tool of the cards takes longer than
# all the rest together. Both are an odd number of seconds: what is in every tenth line might lie in those alone that a
# halving drops.
SLOW_S, GPUS_S = 5.0, 11.0
LEASE_S = 5.0
LEASE_SHARE = 8.0  # of a lease's time: it is looked at so often, and renewed when half of it is over
LAST_S = 2.0
SCENARIO = "scenario"
METRICS = "metrics:"
PROC = Path("/proc")
Slow = Look[Any]


def run(argument: str) -> None:
    """Sample until somebody asks for the end."""
    root, run_ref, asked = unpacked(argument)
    # A flag of the library's threads may be held by the very code that a signal interrupts; a pipe never is.
    wake_fd, wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    Sampling(Context(Path(root), run_ref), asked).run(
        lambda seconds: bool(select.select([wake_fd], [], [], seconds)[0])
    )


class Sampling:
    """The samples of one case. Whatever may wait for somebody else is asked in threads of their own."""

    def __init__(self, ctx: Context, asked: Asked) -> None:
        self._ctx, self._asked = ctx, asked
        self._soak_fd = open_folder(ctx.root, case_parts(ctx, FOLDER), create=True)
        self._lines = Lines(self._soak_fd, asked.cap_bytes, asked.interval_s)
        self._faults = Faults()
        self._write_fault = ""
        engine = connect(ctx.environ) if asked.services else NoEngine("")
        recorded = frozenset(one.service for one in asked.metrics)
        self._boxes = Boxes(engine, of_case(ctx.needed_run), asked.services, recorded, ctx.clock)
        self._services = Services(asked.services, self._boxes, points(mounts.current()))
        self._copies: Copies | None = None
        self._looks = {name: Slow(name, every_s, ask, ctx.clock.monotonic) for name, every_s, ask in self._slow()}

    def _slow(self) -> list[tuple[str, float, Callable[[], Any]]]:
        """Return what is asked in threads: name, how often (s), and how."""
        asked, ctx = self._asked, self._ctx
        found: list[tuple[str, float, Callable[[], Any]]] = [
            ("sync", SLOW_S, self._lines.sync),
            ("disk", SLOW_S, lambda: machine.disks(str(ctx.root), self._boxes.engine_root)),
            ("gpus", GPUS_S, lambda: cards(ctx.environ)),
        ]
        if ctx.needed_run.epoch is not None:
            found.append(("lease", min(LEASE_S, _ttl_s(ctx) / LEASE_SHARE), lambda: hold(ctx, asked.test_unit)))
        if asked.reports:
            found.append(("reports", SLOW_S, self._copy))
        return [*found, *((f"{METRICS}{one.service}", SLOW_S, self._scraper(one)) for one in asked.metrics)]

    def _scraper(self, wanted: Scrape) -> Callable[[], dict[str, float]]:
        metrics = Metrics(wanted.path, wanted.names)

        def scrape() -> dict[str, float]:
            box = self._boxes.known.get(wanted.service)
            return metrics.read(targets(box.record, wanted.port) if box else [])

        return scrape

    def run(self, wait: Callable[[float], bool]) -> None:
        """Write samples until wait (s) returns true, which it does as soon as the end is asked for."""
        if self._asked.services:
            self._boxes.start()
        for look in self._looks.values():
            look.start()
        clock = self._ctx.clock.monotonic
        due = clock()
        while not wait(max(0.0, due - clock())):
            self._write()
            step = self._lines.interval_s
            due += step * max(1, math.ceil((clock() - due) / step))  # what is late does not make the next ones late
        self._finish()

    def _write(self) -> None:
        """Write one line; what kept it from being written is told in the next one that is."""
        interval_s = self._lines.interval_s
        try:
            self._lines.add(self.sample())
            self._write_fault = ""
        except Exception as exc:  # a full disk, or whatever is odd here: the next line may be written again
            self._write_fault = words(exc)
        if self._write_fault or self._lines.interval_s != interval_s:
            self._faults = Faults()  # what lasts is told again: the line that told of it may be gone

    def _finish(self) -> None:
        """Copy the last reports, as far as that is a matter of a moment, and close the file."""
        self._boxes.close()
        for look in self._looks.values():
            look.close()
        last = threading.Thread(target=self._copy, daemon=True)
        last.start()
        last.join(LAST_S)
        self._lines.close()

    def sample(self) -> bytes:
        """Return the line of this moment."""
        clock = self._ctx.clock
        faults = {"samples": self._write_fault}
        news = {name: look.take() for name, look in self._looks.items()}
        line: dict[str, Any] = {"t": round(clock.unix(), 3), "b": round(clock.boottime(), 3)}
        line["i"] = self._lines.interval_s
        line["node"] = {**machine.now(PROC), **(news["disk"] or {})}
        if self._asked.services:
            line["services"] = self._services.sample(faults)
            faults["engine"] = self._boxes.fault
        metrics = {name[len(METRICS) :]: found for name, found in news.items() if found and name.startswith(METRICS)}
        line.update({name: found for name, found in (("gpus", news["gpus"]), ("metrics", metrics)) if found})
        faults.update((name, look.fault) for name, look in self._looks.items())
        faults.update(self._copies.faults if self._copies else {})
        missing = self._faults.new({name: why for name, why in faults.items() if why})
        line.update({"missing": missing} if missing else {})
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def _copy(self) -> None:
        """Copy what is new of the reports."""
        if self._copies is None and self._asked.reports:
            scenario_fd = open_folder(self._ctx.root, case_parts(self._ctx, SCENARIO))
            self._copies = Copies(scenario_fd, self._soak_fd, self._asked.reports, self._ctx.clock)
        if self._copies is not None:
            self._copies.look()


def cards(environ: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return index -> {memory_bytes, utilisation_pct} of the GPUs; raise where they cannot be listed."""
    found = gpus.read(environ, users=False)
    if found.error:
        raise CellError("internal_error", found.error)
    names = {"memory_bytes": "memory_used_bytes", "utilisation_pct": "utilization_percent"}
    told = {str(card["index"]): {name: card[key] for name, key in names.items()} for card in found.cards}
    return {index: {name: value for name, value in card.items() if value is not None} for index, card in told.items()}


def _ttl_s(ctx: Context) -> float:
    """Return for how long the run's lease is given."""
    run = ctx.needed_run
    _, ttl_s = lease.claim(ctx.root, run.id, run.epoch or 0, lease.present(ctx), carried=True)
    return ttl_s or lease.DEFAULT_TTL_S
