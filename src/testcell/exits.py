# SPDX-License-Identifier: MIT

"""The exit codes of Testcell. Ansible's own codes are mapped to them, never passed on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """What the process says to its caller."""

    PASS = 0
    TEST_FAILED = 1
    USAGE = 2
    INVALID_INPUT = 3
    NO_DATA = 4
    INFRASTRUCTURE = 5
    LEASE_HELD = 6
    NOT_CLEAN = 7
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS = {
    Exit.PASS: "everything passed",
    Exit.TEST_FAILED: "a test failed",
    Exit.USAGE: "the command line is wrong",
    Exit.INVALID_INPUT: "a scenario, configuration or inventory file is wrong",
    Exit.NO_DATA: "a gate failed, or the result may not be believed, or there is no data",
    Exit.INFRASTRUCTURE: "the cell, a node or the network failed, not the engine",
    Exit.LEASE_HELD: "another run holds a node",
    Exit.NOT_CLEAN: "a node could not be left clean",
    Exit.HANGUP: "the terminal went away",
    Exit.INTERRUPTED: "interrupted (SIGINT)",
    Exit.TERMINATED: "terminated (SIGTERM)",
}
INPUT_KINDS = frozenset(
    {"config_invalid", "inventory_invalid", "compose_invalid", "chaos_invalid", "template_error", "secret_missing"}
)


def of_kind(error_kind: str) -> Exit:
    """Return the exit code for a failure of this kind that ended the work before there was a summary."""
    if error_kind in INPUT_KINDS:
        return Exit.INVALID_INPUT
    return {"lock_held": Exit.LEASE_HELD, "cleanup_failed": Exit.NOT_CLEAN, "cancelled": Exit.INTERRUPTED}.get(
        error_kind, Exit.INFRASTRUCTURE
    )


def of_summary(summary: Mapping[str, Any]) -> int:
    """Return the exit code that a summary carries; one without a code of ours is an infrastructure failure."""
    code = summary.get("exit_code")
    return code if isinstance(code, int) and code in set(Exit) else Exit.INFRASTRUCTURE


def of_signal(number: int) -> int:
    """Return the exit code for a process that was asked to end by signal number."""
    return 128 + number
