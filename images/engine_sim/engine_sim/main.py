# SPDX-License-Identifier: MIT
"""From a command line to a running service, and from a signal to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from engine_sim import logs
from engine_sim.service import Service
from engine_sim.settings import Settings, parse_settings

logger = logging.getLogger("engine_sim.main")


def main(argv: Sequence[str]) -> int:
    """Run one service until it is told to end; return the exit code."""
    settings = parse_settings(argv, os.environ)
    logs.set_up(settings.name, settings.log_level)
    try:
        asyncio.run(serve(settings))
    except OSError as error:
        print(f"engine_sim: cannot serve on {settings.host}:{settings.port}: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(settings: Settings) -> None:
    """Run one service until SIGTERM or SIGINT."""
    service = Service(settings)
    told = asyncio.Event()

    def end(signum: int) -> None:
        ignored = service.faults.on("ignore_term")
        logger.info("Received %s%s", signal.Signals(signum).name, ", ignored" if ignored else ", shutting down")
        if not ignored:
            told.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, end, signum)
    await service.start()
    await told.wait()
    await service.stop()
