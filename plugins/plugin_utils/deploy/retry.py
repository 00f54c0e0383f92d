# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a service that failed is started once more: only what a new start can mend, and only as often as was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..verdict import kinds

# Ends of an engine that a run as a whole does not repeat by itself, but that one more start of the service may get past.
ENGINE_ENDS = frozenset({"container_exited", "health_timeout", "service_unhealthy", "service_flapping", "service_died"})
# Of the other groups some kinds can be retried as well, but not by starting a service: a lease, a transfer, a database.
OF_A_START = frozenset({"reach", "docker", "service", "engine", "http"})


@dataclass(frozen=True)
class Decision:
    """What to do about a failed service. clean_first: remove the leftover that is in its way; delay_s: wait before."""

    again: bool
    delay_s: float
    clean_first: bool
    reason: str


def decide(
    kind: str, tries_done: int, retry: Mapping[str, Any], holder: Mapping[str, Any] | None = None, *, run_id: str = ""
) -> Decision:
    """Return whether a service that failed with kind on its try number tries_done is started again. KindError: no kind.

    retry: `retries` (0: none) and `delay_s`. holder: who has the port, with `run` when it is a container of a run;
    run_id: our own run. A leftover of another run is cleaned and the start repeated at once, even without retries.
    """
    name = kinds.get(kind).name
    if name == "port_conflict":
        return _of_port(tries_done, int(retry["retries"]), holder or {}, run_id)
    if not mends(name):
        return _no(f"{name} is not mended by a new start")
    retries = int(retry["retries"])
    if tries_done > retries:
        return _no(f"no retry is left of {retries}" if retries else "retries are off")
    return Decision(True, float(retry["delay_s"]), False, f"retry {tries_done} of {retries} after {name}")


def mends(kind: str) -> bool:
    """Return whether a new start of the service can mend a failure of this kind."""
    entry = kinds.get(kind)
    return entry.name in ENGINE_ENDS or (entry.retriable and entry.group in OF_A_START)


def _of_port(tries_done: int, retries: int, holder: Mapping[str, Any], run_id: str) -> Decision:
    """Clean a leftover of another run out of the way; anything else that holds a port goes on holding it."""
    run = str(holder.get("run") or "")
    if not run:
        return _no(f"the port is held by {_named(holder)}, which is not ours")
    if run == run_id:
        return _no(f"the port is held by {_named(holder)} of this run")
    if tries_done > max(1, retries):
        return _no(f"the port is held by a leftover of run {run} again after it was cleaned")
    return Decision(True, 0.0, True, f"the port is held by {_named(holder)}, a leftover of run {run}, which is cleaned")


def _named(holder: Mapping[str, Any]) -> str:
    """Return who holds a port, in words."""
    if holder.get("container"):
        return f"container {holder['container']}"
    if holder.get("pid"):
        return f"pid {holder['pid']} ({holder.get('program') or 'unknown program'})"
    return "a process that cannot be seen"


def _no(reason: str) -> Decision:
    return Decision(False, 0.0, False, reason)
