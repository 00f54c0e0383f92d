# SPDX-License-Identifier: MIT
"""Logs as engines write them: level, time, service, place, message, one line an event, on stderr."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

TICK_S = 0.05

flood_logger = logging.getLogger("engine_sim.scheduler")


def set_up(service: str, level: str) -> None:
    """Send the logs of this process to stderr in the engine's form; times are UTC."""
    handler = logging.StreamHandler(sys.stderr)
    form = f"%(levelname)s %(asctime)s.%(msecs)03dZ ({service} pid=%(process)d) [%(filename)s:%(lineno)d] %(message)s"
    formatter = logging.Formatter(form, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger("engine_sim")
    root.handlers = [handler]
    root.setLevel(level)
    root.propagate = False


async def flood(lines_per_s: float, line_bytes: int) -> None:
    """Write that many lines a second, until cancelled; return at once when there are none to write."""
    owed, number = 0.0, 0
    while lines_per_s > 0:
        await asyncio.sleep(TICK_S)
        owed += lines_per_s * TICK_S
        while owed >= 1:
            owed, number = owed - 1, number + 1
            flood_logger.info("%s", f"scheduler step {number} ".ljust(line_bytes, "."))
