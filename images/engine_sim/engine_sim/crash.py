# SPDX-License-Identifier: MIT
"""How an engine dies: a real traceback from inside a step, the words that real engines add, an exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable

logger = logging.getLogger("engine_sim.core")


class OutOfMemoryError(RuntimeError):
    """Device memory ran out."""


class DistBackendError(RuntimeError):
    """A collective operation failed."""


# Tracebacks name these classes as the real ones are named, since that is what a log is searched for.
OutOfMemoryError.__module__ = "torch"
DistBackendError.__module__ = "torch.distributed"

_ERRORS: dict[str, Callable[[], Exception]] = {
    "engine": lambda: RuntimeError("worker 0 gave no output for the scheduled step"),
    "gpu_oom": lambda: OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which "
        "1.03 GiB is free."
    ),
    "gpu_fault": lambda: RuntimeError("CUDA error: an illegal memory access was encountered"),
    "nccl": lambda: DistBackendError(
        "NCCL error, unhandled system error\nncclRemoteError: A call failed possibly due to a network error or a "
        "remote process exiting prematurely."
    ),
}


class EngineCore:
    """The loop whose step fails, so that the traceback has the depth of a real one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def run_busy_loop(self) -> None:
        """Run the step that fails."""
        self._process_engine_step()

    def _process_engine_step(self) -> None:
        self._execute_model(step=41)

    def _execute_model(self, step: int) -> None:
        logger.debug("step %d", step)
        raise _ERRORS[self.kind]()


def die(kind: str, code: int, leave: Callable[[int], object] = os._exit) -> None:
    """Print the traceback of a failed step to stderr and leave with an exit code at once."""
    logger.error("EngineCore encountered a fatal error.")
    try:
        EngineCore(kind).run_busy_loop()
    except (RuntimeError, OutOfMemoryError, DistBackendError):
        traceback.print_exc(file=sys.stderr)
    logger.error("EngineCore encountered an issue. See stack trace (above) for the root cause.")
    logging.shutdown()
    sys.stderr.flush()
    leave(code)
